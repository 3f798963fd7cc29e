"""Train one client: its data, its network, what it was sent, and the loop all methods share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from harness.federated.observer import Observer
from harness.workloads.personalized.data.clubs import ClientImages, Club
from harness.workloads.personalized.federation import Tensors, TrainingSettings
from harness.workloads.personalized.work import forward, training
from models.personalized.blocks import ChainNet

MOST_FORWARD = 512
"""Images of a pass that trains nothing."""


@dataclass(frozen=True)
class Batch:
    """Hold one step: which images of the set, their labels, and what the network makes of them."""

    chosen: Tensor
    images: Tensor
    labels: Tensor
    embedding: Tensor
    logits: Tensor

    def cross_entropy(self) -> Tensor:
        """Return the loss of its labels."""
        return functional.cross_entropy(self.logits, self.labels)


Loss = Callable[[Batch], Tensor]


@dataclass
class ClientSide:
    """Hold one client in one round.

    Attributes:
        client: which.
        family: of its network.
        net: its network, with the weights it begins with; trained in place.
        images: its own data.
        club: whose public images it may use.
        sent: what it was sent beside its own network.
        training: how it trains.
        random: decides in which order it sees its images.
        observer: hears of phases and work.
        losses: mean cross-entropy of its own images, an epoch each.
    """

    client: int
    family: str
    net: ChainNet
    images: ClientImages
    club: Club
    sent: Tensors
    training: TrainingSettings
    random: np.random.Generator
    observer: Observer
    losses: list[float] = field(default_factory=list)

    def fit(self, loss: Loss = Batch.cross_entropy) -> None:
        """Train on the client's own images for the epochs of a round."""
        own = self.images
        self.fit_on(own.train_images, own.train_labels, loss)

    def fit_on(self, images: Tensor, labels: Tensor, loss: Loss = Batch.cross_entropy) -> None:
        """Train on images for the epochs of a round with an optimizer that begins anew."""
        optimizer = self.optimizer(self.net)
        for _ in range(self.training.epochs):
            self.losses.append(self.epoch(images, labels, loss, optimizer))

    def epoch(
        self, images: Tensor, labels: Tensor, loss: Loss, optimizer: torch.optim.Optimizer,
        batch_size: int | None = None,
    ) -> float:  # fmt: skip
        """Train for one epoch and return the mean cross-entropy."""
        self.net.train()
        total = 0.0
        order = torch.from_numpy(self.random.permutation(len(images)))
        for chosen in torch.split(order, batch_size or self.training.batch_size):
            some = images[chosen]
            embedding = self.net.embed(some)
            batch = Batch(chosen, some, labels[chosen], embedding, self.net.classify(embedding))
            found = loss(batch)
            optimizer.zero_grad(set_to_none=True)
            found.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += float(found.detach()) * len(chosen)
        self.observer.work(training(self.family, len(images)))
        return total / len(images)

    def optimizer(self, net: ChainNet) -> torch.optim.Optimizer:
        """Return Adam for a network."""
        return torch.optim.Adam(net.parameters(), self.training.learning_rate)

    def logits(self, images: Tensor) -> Tensor:
        """Return what the network says of images, in eval mode."""
        self.observer.work(forward(self.family, len(images)))
        return outputs(self.net, images)

    @property
    def loss(self) -> float:
        """Return the mean of all epochs."""
        return math.fsum(self.losses) / len(self.losses) if self.losses else 0.0


@torch.no_grad()
def outputs(net: ChainNet, images: Tensor) -> Tensor:
    """Return the logits of images, in eval mode."""
    net.eval()
    return torch.cat([net(part) for part in torch.split(images, MOST_FORWARD)])


@torch.no_grad()
def embeddings(net: ChainNet, images: Tensor) -> Tensor:
    """Return what the classifier is given of images, in eval mode."""
    net.eval()
    return torch.cat([net.embed(part) for part in torch.split(images, MOST_FORWARD)])


def accuracy(net: ChainNet, images: Tensor, labels: Tensor) -> float:
    """Return the share of images that a network names rightly."""
    return float((outputs(net, images).argmax(1) == labels).double().mean())


def divergence(logits: Tensor, teacher: Tensor) -> Tensor:
    """Return KL(softmax of the teacher's logits ‖ softmax of the student's), the mean of images.

    The gradient goes to the student alone (pFedClub, eq. 5, after deep mutual learning).
    """
    target = functional.log_softmax(teacher.detach(), 1)
    own = functional.log_softmax(logits, 1)
    return functional.kl_div(own, target, reduction="batchmean", log_target=True)
