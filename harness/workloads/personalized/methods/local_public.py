"""Control: clients train on their own and on the public images alike."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.workloads.personalized.client import ClientSide
from harness.workloads.personalized.methods.rule import ClubRule


class LocalPublic(ClubRule):
    """Train on both; public images are sent once, nothing else travels."""

    public = labels = True

    def train(self, side: ClientSide) -> dict[str, Tensor]:
        """Train on the client's and the public images."""
        own, club = side.images, side.club
        assert club.public_labels is not None
        images = torch.cat([own.train_images, club.public_images])
        side.fit_on(images, torch.cat([own.train_labels, club.public_labels]))
        return {}
