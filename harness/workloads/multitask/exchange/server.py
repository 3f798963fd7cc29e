"""Hold models of several groups between rounds, and let a rule make the next ones of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from harness.federated.job import Checkpoint

if TYPE_CHECKING:
    from torch import Tensor

ENCODER, DECODERS = "encoder.", "decoders."
COUNTERS = ("num_batches_tracked",)
STATISTICS = ("running_mean", "running_var", *COUNTERS)

Model = Mapping[str, "Tensor"]


class Exchange(Protocol):
    """Make the models that a round begins with; what it learns on the way it keeps."""

    def joined(self, before: Sequence[Model], after: Sequence[Model]) -> list[dict[str, Tensor]]:
        """Return one model per group, of those before and after the training of a round."""
        ...


class GroupServer:
    """Hand out what groups begin with, made when the first of them asks.

    So the time of the server's work is taken where a job begins, and a plan, which trains nothing,
    has no need of weights.
    """

    def __init__(self, exchange: Exchange, starts: Sequence[Callable[[], Model]]) -> None:
        self._exchange = exchange
        self._starts = starts
        self._models: Sequence[Model] = []
        self._rounds: list[Sequence[Model]] = []

    def trained(self, models: Sequence[Model]) -> None:
        """Take in what a round came to."""
        self._rounds.append(models)

    def model(self, group: int) -> Checkpoint:
        """Return what a group goes on from."""
        if not self._models:
            self._models = [start() for start in self._starts]
        while self._rounds:
            self._models = self._exchange.joined(self._models, self._rounds.pop(0))
        return Checkpoint(self._models[group])


def encoder_parameters(model: Model) -> list[str]:
    """Return the names of the encoder's tensors that steps change."""
    return [name for name in model if name.startswith(ENCODER) and not name.endswith(STATISTICS)]


def flat(model: Model, names: Sequence[str]) -> Tensor:
    """Return tensors of a model in one row, in fp64."""
    import torch  # noqa: PLC0415 - planning and listing need no torch

    return torch.cat([model[name].double().flatten() for name in names])


def unflat(row: Tensor, like: Model, names: Sequence[str]) -> dict[str, Tensor]:
    """Return the tensors of a row with the shapes and types of a model's."""
    import torch  # noqa: PLC0415

    parts = torch.split(row, [like[name].numel() for name in names])
    return {
        name: part.reshape(like[name].shape).to(like[name].dtype)
        for name, part in zip(names, parts, strict=True)
    }
