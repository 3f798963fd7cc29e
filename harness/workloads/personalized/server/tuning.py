"""Train networks on the server over public images: with labels, without, or toward given logits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.workloads.personalized.client import divergence
from harness.workloads.personalized.work import training
from models.personalized.blocks import ChainNet

if TYPE_CHECKING:
    from harness.workloads.personalized.methods.rule import ServerSide

BATCH = 32
TEMPERATURE = 0.07
"""Of NT-Xent (pFedClub, eq. 3)."""

SHIFT = 1
"""Pixels by which an augmented image is moved at most, for each 8 of its side."""

GRAIN = 0.1
"""Standard deviation of the noise of an augmented image."""

StepLoss = Callable[[Tensor], Tensor]
"""Of the images chosen for a step, by index."""


def descend(
    parameters: Iterable[nn.Parameter], images: int, loss: StepLoss, epochs: int, rate: float,
    random: torch.Generator,
) -> None:  # fmt: skip
    """Minimise a loss over so many images with Adam; nothing is done without parameters."""
    those = list(parameters)
    if not those:
        return
    optimizer = torch.optim.Adam(those, rate)
    for _ in range(epochs):
        for chosen in torch.split(torch.randperm(images, generator=random), BATCH):
            found = loss(chosen)
            optimizer.zero_grad(set_to_none=True)
            found.backward()  # type: ignore[no-untyped-call]
            optimizer.step()


def train_labelled(side: ServerSide, net: ChainNet, family: str, epochs: int) -> None:
    """Train all of a network on the public images and their labels."""
    club = side.federation.club
    assert club.public_labels is not None
    labels, images = club.public_labels, club.public_images
    net.train()
    descend(
        net.parameters(), len(images),
        lambda chosen: functional.cross_entropy(net(images[chosen]), labels[chosen]),
        epochs, side.federation.training.learning_rate, side.torch_random(),
    )  # fmt: skip
    net.eval()
    side.observer.work(training(family, epochs * len(images)))


def toward(net: ChainNet, images: Tensor, logits: Tensor) -> StepLoss:
    """Return the loss of a network that is to say what given logits say."""
    return lambda chosen: divergence(net(images[chosen]), logits[chosen])


def contrast(net: ChainNet, images: Tensor, random: torch.Generator) -> StepLoss:
    """Return NT-Xent on the logits of two augmentations of each image (pFedClub, eq. 3)."""

    def loss(chosen: Tensor) -> Tensor:
        some = images[chosen]
        views = torch.cat([augmented(some, random), augmented(some, random)])
        return nt_xent(net(views))

    return loss


def nt_xent(logits: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Return the loss of pairs (i, i + n) among 2n logits: each is to find its partner."""
    rows = functional.normalize(logits, dim=1)
    similar = rows @ rows.T / temperature
    similar = similar.masked_fill(torch.eye(len(rows), dtype=torch.bool), float("-inf"))
    partners = torch.arange(len(rows)).roll(len(rows) // 2)
    return functional.cross_entropy(similar, partners)


def augmented(images: Tensor, random: torch.Generator) -> Tensor:
    """Return images moved by a pixel or so each, with noise."""
    reach = max(1, SHIFT * images.shape[-1] // 8)
    padded = functional.pad(images, (reach,) * 4)
    height, width = images.shape[2:]
    moves = torch.randint(2 * reach + 1, (len(images), 2), generator=random).tolist()
    moved = torch.stack([
        image[:, down : down + height, right : right + width]
        for image, (down, right) in zip(padded, moves, strict=True)
    ])  # fmt: skip
    return moved + GRAIN * torch.randn(moved.shape, generator=random)
