"""Build a candidate, train its stitches, and ask how alike its logits are to a client's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from harness.workloads.personalized.client import outputs
from harness.workloads.personalized.methods.rule import ServerSide
from harness.workloads.personalized.server.blocks_of_clients import GroupedBlocks
from harness.workloads.personalized.server.tuning import contrast, descend
from harness.workloads.personalized.work import TRAINING, through
from models.personalized.assembly import Chain, assemble, stitches
from models.personalized.blocks import ChainNet


@dataclass(frozen=True)
class Tuning:
    """Say how candidates are tuned on the public images: epochs, Adam's rate, labels or none."""

    epochs: int = 3
    rate: float = 3e-3
    labels: bool = True
    whole: bool = False
    """Whether all of a candidate is tuned, as pFedHR does, or its stitches alone."""


def build_candidate(side: ServerSide, chain: Chain, blocks: GroupedBlocks, how: Tuning) -> ChainNet:
    """Return a chain of copied blocks, tuned; what it is copied from stays as it is."""
    with side.observer.phase("stitch"):
        net = assemble(chain, blocks.nets, blocks.images, blocks.used_to)
        side.observer.work(through(chain, len(blocks.images)))
    with side.observer.phase("tune"):
        net.requires_grad_(how.whole)
        trained = list(net.parameters()) if how.whole else stitches(net)
        for parameter in trained:
            parameter.requires_grad = True
        _tune(side, net, chain, how, trained)
    return net.requires_grad_(False)


def _tune(
    side: ServerSide, net: ChainNet, chain: Chain, how: Tuning, trained: list[torch.nn.Parameter]
) -> None:
    if not trained or not how.epochs:
        return
    club, random = side.federation.club, side.torch_random()
    images, labels = club.public_images, club.public_labels
    net.eval()
    if how.labels:
        assert labels is not None
        descend(
            trained, len(images),
            lambda chosen: functional.cross_entropy(net(images[chosen]), labels[chosen]),
            how.epochs, how.rate, random,
        )  # fmt: skip
    else:
        descend(trained, len(images), contrast(net, images, random), how.epochs, how.rate, random)
    views = 1.0 if how.labels else 2.0
    side.observer.work(through(chain, TRAINING * views * how.epochs * len(images)))


def match(side: ServerSide, net: ChainNet, chain: Chain, own: Tensor) -> float:
    """Return α: the mean over public images of the cosine of logits (pFedClub, eq. 4)."""
    images = side.federation.club.public_images
    with side.observer.phase("match"):
        side.observer.work(through(chain, len(images)))
        return float(functional.cosine_similarity(outputs(net, images), own, dim=1).mean())


def some_of(found: Sequence[Chain], most: int, side: ServerSide) -> list[Chain]:
    """Return at most so many, drawn."""
    if len(found) <= most:
        return list(found)
    return [found[i] for i in side.random.choice(len(found), most, replace=False)]
