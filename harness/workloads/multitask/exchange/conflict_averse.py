"""Add a step from which every group's encoder gains (FedHCA², Lu et al., CVPR 2024).

θ_k ← θ_k + Δ_k + α_k·U, with U the conflict-averse mean of the changes Δ (CAGrad's, over 1 + c²).
Layers of decoders that are of one shape get Δ_i + β_i·softmax(Δ_i·Δᵀ/√d)·Δ. What α and β should be
is learnt: the change that the next round brings stands for the gradient: dL/dα_k ∝ −⟨Δ_k, U⟩.

As released but for three things: changes of a group's clients are averaged before U is found, not
after; a layer is told by its whole name, not by a part of it; layers of unlike shapes, of which the
released tasks have none, are left alone.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.workloads.multitask.exchange.server import (
    DECODERS,
    STATISTICS,
    Model,
    encoder_parameters,
    flat,
    unflat,
)
from models.multitask.gram_weights import conflict_averse

if TYPE_CHECKING:
    from torch import Tensor

RATE, MOMENTUM, DECAY = 0.01, 0.9, 1e-4
"""How α and β are learnt in the released configuration: SGD."""


@dataclass
class LearntShare:
    """Learn how much of an offered step to take, between 0 and 1, from the change that follows."""

    value: float
    velocity: float = 0.0
    offered: Sequence[Tensor] = ()

    def of(self, steps: Sequence[Tensor], changes: Sequence[Tensor]) -> float:
        """Return the share of these steps; `changes` tell what the last ones were worth."""
        if self.offered and 0.0 <= self.value <= 1.0:  # outside, the cut lets no gradient through
            worth = sum(float(s @ c) for s, c in zip(self.offered, changes, strict=True))
        else:
            worth = 0.0
        if self.offered:
            self.velocity = MOMENTUM * self.velocity + DECAY * self.value - worth
            self.value -= RATE * self.velocity
        self.offered = steps
        return min(max(self.value, 0.0), 1.0)


@dataclass
class ConflictAverse:
    """Offer each group the common step; `caution` is c, `share` what α and β begin with."""

    caution: float = 0.4
    share: float = 0.1
    decoders: bool = True
    learnt: dict[tuple[int, str], LearntShare] = field(default_factory=dict)

    def joined(self, before: Sequence[Model], after: Sequence[Model]) -> list[dict[str, Tensor]]:
        """Return the models after their own steps and the common ones."""
        import torch  # noqa: PLC0415

        names = encoder_parameters(after[0])
        starts, ends = ([flat(model, names) for model in those] for those in (before, after))
        changes = [end - start for start, end in zip(starts, ends, strict=True)]
        common = common_step(torch.stack(changes), self.caution)
        found: list[dict[str, Tensor]] = []
        for group, (model, end, change) in enumerate(zip(after, ends, changes, strict=True)):
            share = self._share(group, "").of([common], [change])
            found.append({**model, **unflat(end + share * common, model, names)})
        if self.decoders:
            self._cross(before, after, found)
        return found

    def _cross(
        self, before: Sequence[Model], after: Sequence[Model], found: Sequence[dict[str, Tensor]]
    ) -> None:
        changed = [
            {n: (own[n] - start[n]).double().flatten() for n in _decoder_parameters(own)}
            for start, own in zip(before, after, strict=True)
        ]
        for group, model in enumerate(after):
            for layer, names in _layers(changed[group]).items():
                rows = {n: _alike(n, model[n], changed, after) for n in names}
                steps = [attention(changed[group][n], rows[n]) for n in names]
                share = self._share(group, layer).of(steps, [changed[group][n] for n in names])
                for name, step in zip(names, steps, strict=True):
                    own = model[name]
                    found[group][name] = (own + share * step.reshape(own.shape)).to(own.dtype)

    def _share(self, group: int, layer: str) -> LearntShare:
        return self.learnt.setdefault((group, layer), LearntShare(self.share))


def common_step(changes: Tensor, caution: float) -> Tensor:
    """Return the mean of rows turned so that no row loses, over 1 + c² (CAGrad, NeurIPS 2021)."""
    import torch  # noqa: PLC0415

    weights = conflict_averse((changes @ changes.T).numpy(), caution)
    return torch.from_numpy(weights / len(changes)) @ changes


def attention(own: Tensor, rows: Tensor) -> Tensor:
    """Return softmax(own·rowsᵀ/√d)·rows, d being the length of a row."""
    return (own @ rows.T / math.sqrt(len(own))).softmax(0) @ rows


def _decoder_parameters(model: Model) -> list[str]:
    return [n for n in model if n.startswith(DECODERS) and not n.endswith(STATISTICS)]


def _bare(name: str) -> str:
    """Return what a decoder's tensor is called in the decoder of any task."""
    return name.split(".", 2)[2]


def _layers(names: Iterable[str]) -> Mapping[str, list[str]]:
    """Return the tensors of each layer: `decoders.s.3.weight` and `.bias` are of one."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        found[name.rpartition(".")[0]].append(name)
    return found


def _alike(name: str, like: Tensor, changed: Sequence[Model], models: Sequence[Model]) -> Tensor:
    """Return the changes of all decoders' tensors that stand in this one's place, as rows."""
    import torch  # noqa: PLC0415

    return torch.stack(
        [
            change
            for changes, model in zip(changed, models, strict=True)
            for other, change in changes.items()
            if _bare(other) == _bare(name) and model[other].shape == like.shape
        ]
    )
