"""Mix encoders by how alike they have become (MaT-FL, Cai et al., CVPR workshops 2023).

With δ_k = θ_k − mean θ, group k goes on with Σ_l s_kl·θ_l, where s_kl = max(cos(δ_k, δ_l) + τ, 0)
and rows add up to 1. As released, statistics of batches are mixed too and counters are not.
Decoders of one task are averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.workloads.multitask.exchange.averaging import Averaging
from harness.workloads.multitask.exchange.server import COUNTERS, ENCODER, Model, flat, unflat

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Matching:
    """Weigh decoders by the groups' numbers of `clients`; `threshold` is τ."""

    clients: Sequence[int]
    threshold: float = 0.0

    def joined(self, before: Sequence[Model], after: Sequence[Model]) -> list[dict[str, Tensor]]:
        """Return encoders mixed by likeness and decoders averaged by task."""
        import torch  # noqa: PLC0415

        names = [n for n in after[0] if n.startswith(ENCODER) and not n.endswith(COUNTERS)]
        encoders = torch.stack([flat(model, names) for model in after])
        mixed = likeness(encoders, self.threshold) @ encoders
        averaged = Averaging(self.clients).joined(before, after)
        return [
            {n: own[n] if n.startswith(ENCODER) else mean[n] for n in own} | unflat(row, own, names)
            for own, mean, row in zip(after, averaged, mixed, strict=True)
        ]


def likeness(encoders: Tensor, threshold: float) -> Tensor:
    """Return the shares s_kl, of encoders in rows; a group that resembles none keeps its own."""
    import torch  # noqa: PLC0415

    changes = encoders - encoders.mean(0)
    norms = changes.norm(dim=1, keepdim=True)
    scores = (changes @ changes.T / (norms @ norms.T).clamp(min=1e-8) + threshold).clamp(min=0.0)
    rows = scores.sum(1, keepdim=True)
    alone = torch.eye(len(scores), dtype=scores.dtype)
    return torch.where(rows > 0.0, scores / rows.clamp(min=torch.finfo(rows.dtype).tiny), alone)
