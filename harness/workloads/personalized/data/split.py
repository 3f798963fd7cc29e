"""Divide images among clients, each with its own for training and for tests, and a public set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.core.errors import DataError
from harness.federated.partition import Index, class_shares, cut
from harness.workloads.personalized.data.images import Labels

SPLITS = ("dirichlet", "classes", "iid")
LEAST_IMAGES = 10
LEAST_CLASSES = 2
TRIES = 1000


@dataclass(frozen=True)
class Division:
    """Say how images are divided.

    Attributes:
        clients: how many.
        split: `dirichlet` over clients of each class, so many `classes` each, or `iid`.
        concentration: of the Dirichlet distribution; small is uneven.
        classes_each: of the split `classes`.
        test_share: of a client's images.
        public_share: of all images, drawn first.
    """

    clients: int
    split: str = "dirichlet"
    concentration: float = 0.5
    classes_each: int = 2
    test_share: float = 0.22
    public_share: float = 0.08


@dataclass(frozen=True)
class Shares:
    """Hold which images are whose, by index: no image is in two places."""

    train: tuple[Index, ...]
    test: tuple[Index, ...]
    public: Index


def divide(labels: Labels, how: Division, random: np.random.Generator, *, public: bool) -> Shares:
    """Divide images; `public` says whether a share of them is set apart for all.

    Raises:
        DataError: if no draw leaves every client enough.
    """
    order = random.permutation(len(labels))
    apart = int(len(order) * how.public_share) if public else 0
    rest = order[apart:]
    for _ in range(TRIES):
        owned = _owned(labels, rest, how, random)
        if all(_is_enough(labels[own]) for own in owned):
            break
    else:
        raise DataError(
            f"{len(rest)} images in {len(set(labels.tolist()))} classes cannot be divided so that"
            f" each of {how.clients} clients has {LEAST_IMAGES} in {LEAST_CLASSES} classes",
            "Take fewer --clients or a larger --concentration.",
        )
    train, test = [], []
    for own in owned:
        mixed = random.permutation(own)
        held_out = max(1, int(len(mixed) * how.test_share))
        test.append(np.sort(mixed[:held_out]))
        train.append(np.sort(mixed[held_out:]))
    return Shares(tuple(train), tuple(test), np.sort(order[:apart]))


def _is_enough(labels: Labels) -> bool:
    return len(labels) >= LEAST_IMAGES and len(np.unique(labels)) >= LEAST_CLASSES


def _owned(labels: Labels, rest: Index, how: Division, random: np.random.Generator) -> list[Index]:
    """Return the images of each client."""
    if how.split == "iid":
        return [np.sort(part) for part in np.array_split(random.permutation(rest), how.clients)]
    known = np.unique(labels)
    if how.split == "classes":
        shares = class_shares(how.clients, how.classes_each, len(known), random)
    else:
        shares = random.dirichlet([how.concentration] * how.clients, len(known))
    return cut(labels, rest, shares)
