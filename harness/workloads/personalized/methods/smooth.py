"""Control: a teacher that knows nothing. Its logits are all 0, which is label smoothing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.workloads.personalized.client import ClientSide
from harness.workloads.personalized.methods.rule import ClubRule
from harness.workloads.personalized.methods.teaching import taught


@dataclass(frozen=True)
class Smooth(ClubRule):
    """Train as pFedClub does, with equal logits in place of a teacher's."""

    weight: float = 0.2

    def train(self, side: ClientSide) -> dict[str, Tensor]:
        """Train against the uniform distribution too."""
        nothing = torch.zeros(len(side.images.train_labels), side.club.classes)
        if self.weight:
            side.fit(taught(nothing, self.weight))
        else:
            side.fit()
        return {}
