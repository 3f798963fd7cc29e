"""Average what groups share: their encoders, and the decoders of one task (FedAvg)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.workloads.multitask.exchange.server import Model

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Averaging:
    """Weigh each group by its number of clients."""

    clients: Sequence[int]

    def joined(self, before: Sequence[Model], after: Sequence[Model]) -> list[dict[str, Tensor]]:  # noqa: ARG002 - the mean asks for nothing else
        """Return models that agree in all tensors of one name."""
        sums: dict[str, Tensor] = {}
        weights: dict[str, int] = defaultdict(int)
        for model, clients in zip(after, self.clients, strict=True):
            for name, tensor in model.items():
                part = tensor.double() * clients
                sums[name] = sums[name] + part if name in sums else part
                weights[name] += clients
        return [
            {name: _mean(sums[name], weights[name], tensor) for name, tensor in model.items()}
            for model in after
        ]


def _mean(total: Tensor, weight: int, like: Tensor) -> Tensor:
    mean = total / weight
    return (mean if like.is_floating_point() else mean.round()).to(like.dtype)
