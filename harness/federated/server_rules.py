"""Step a server along the mean change of its clients: FedAvgM, FedAdam, FedYogi.

With Δ the weighted mean of what clients changed, θ + Δ is FedAvg. Momentum and moments begin at
zero and are the server's alone: they never travel (Hsu et al., 2019; Reddi et al., ICLR 2021).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor

State = dict[str, dict[str, "Tensor"]]
"""Tensors like those that are stepped, by what they remember and their names."""


@dataclass(frozen=True)
class Momentum:
    """Go along v ← β·v + Δ: θ ← θ + η·v (FedAvgM, Hsu et al., 2019)."""

    rate: float = 1.0
    momentum: float = 0.9
    remembers: ClassVar[tuple[str, ...]] = ("velocity",)

    def step(self, change: Tensor, memory: Mapping[str, Tensor]) -> Tensor:
        """Return what is added to a tensor; `memory` changes in place."""
        return self.rate * memory["velocity"].mul_(self.momentum).add_(change)


@dataclass(frozen=True)
class Adaptive:
    """Go along m/(√v + τ), where m and v follow Δ and Δ² (FedAdam, Reddi et al., algorithm 2).

    m ← β₁·m + (1 − β₁)·Δ, v ← β₂·v + (1 − β₂)·Δ²; no correction for starting at zero, as in the
    paper. `first` and `second` are β₁ and β₂, `floor` is τ.
    """

    rate: float = 0.01
    first: float = 0.9
    second: float = 0.99
    floor: float = 1e-3
    remembers: ClassVar[tuple[str, ...]] = ("mean", "square")

    def step(self, change: Tensor, memory: Mapping[str, Tensor]) -> Tensor:
        """Return what is added to a tensor; `memory` changes in place."""
        mean, square = memory["mean"], memory["square"]
        mean.mul_(self.first).add_(change, alpha=1.0 - self.first)
        self._follow(square, change * change)
        return self.rate * mean / (square.sqrt() + self.floor)

    def _follow(self, square: Tensor, seen: Tensor) -> None:
        square.mul_(self.second).add_(seen, alpha=1.0 - self.second)


@dataclass(frozen=True)
class Additive(Adaptive):
    """Let v change by (1 − β₂)·Δ² at most: v ← v − (1 − β₂)·Δ²·sign(v − Δ²) (FedYogi)."""

    def _follow(self, square: Tensor, seen: Tensor) -> None:
        square.sub_(seen * (square - seen).sign(), alpha=1.0 - self.second)


ServerRule = Momentum | Adaptive


def at_rest(rule: ServerRule, tensors: Mapping[str, Tensor], stepped: Collection[str]) -> State:
    """Return what a rule remembers before the first round: zeros for every stepped tensor.

    None are shared: a checkpoint of it holds each tensor once.
    """
    return {
        what: {name: tensors[name].new_zeros(tensors[name].shape) for name in stepped}
        for what in rule.remembers
    }


def stepped(
    rule: ServerRule, before: Mapping[str, Tensor], mean: Mapping[str, Tensor], state: State
) -> tuple[dict[str, Tensor], State]:
    """Return the next model and what the rule remembers then; the arguments stay as they are.

    Tensors that the state does not know, such as batch-norm statistics, are those of the mean.
    """
    memory = {what: {k: t.clone() for k, t in of.items()} for what, of in state.items()}
    known = next(iter(memory.values()))
    after = dict(mean)
    for name in known:
        kept = {what: of[name] for what, of in memory.items()}
        after[name] = before[name] + rule.step(mean[name] - before[name], kept)
    return after, memory
