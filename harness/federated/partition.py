"""Deal labelled samples to clients so that classes differ: each sample to one client, once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import DataError

Index = NDArray[np.intp]
Labels = NDArray[Any]
"""One label per sample: numbers or words."""

Shares = NDArray[np.float64]

SLACK = 1e-9
"""Shares of a class that sum to all of it may fall short of it by rounding."""


def mixed_classes(
    labels: Labels, clients: int, concentration: float, random: np.random.Generator
) -> list[Index]:
    """Return the samples of each client, whose mix of classes is drawn from a Dirichlet.

    Hsu, Qi, Brown (2019, arXiv 1909.06335): every client gets as many samples, of classes in
    proportions q ~ Dir(α·p), p being those of all samples. A small α leaves a client few classes, a
    large one makes all alike. One client is served after another; a class that has run out is left
    out of what is drawn next, so that the last ones get what is there. Where nothing that a client
    would draw is left, classes come in the proportions of what is.

    Numbers of samples differ by one where they do not divide.
    """
    known, place = np.unique(labels, return_inverse=True)
    left = np.bincount(place, minlength=len(known))
    mixes = class_mixes(left / len(labels), clients, concentration, random)
    packs = [
        random.permutation(np.flatnonzero(place == label)).tolist() for label in range(len(known))
    ]
    owned: list[list[int]] = [[] for _ in range(clients)]
    turns = np.repeat(range(clients), [len(part) for part in np.array_split(labels, clients)])
    for client, draw in zip(turns, random.random(len(labels)), strict=True):
        weights = mixes[client] * (left > 0)
        if not weights.any():
            weights = left.astype(np.float64)
        summed = np.cumsum(weights)
        label = int(np.searchsorted(summed, draw * summed[-1], side="right"))
        owned[client].append(packs[label].pop())
        left[label] -= 1
    return [np.sort(np.array(own, dtype=np.intp)) for own in owned]


def class_mixes(
    prior: Shares, clients: int, concentration: float, random: np.random.Generator
) -> Shares:
    """Return (clients, classes): proportions drawn from Dir(α·prior)."""
    return random.dirichlet(concentration * prior, clients)


def few_classes(
    labels: Labels, clients: int, classes_each: int, random: np.random.Generator
) -> list[Index]:
    """Return the samples of each client, of so many classes each (or of all, if there are fewer).

    A class is divided evenly among the clients that have it; which samples they get is drawn.

    Raises:
        DataError: if some class would be nobody's.
    """
    known = np.unique(labels)
    shares = class_shares(clients, classes_each, len(known), random)
    order = random.permutation(len(labels))
    return [np.sort(own) for own in cut(labels, order, shares)]


def class_shares(
    clients: int, classes_each: int, classes: int, random: np.random.Generator
) -> Shares:
    """Return (classes, clients): each class divided evenly among the clients that have it.

    Classes are dealt from a shuffled pack, laid out anew when it is used up, so that all are used
    about equally often and a client has each at most once.

    Raises:
        DataError: if clients have too few to leave none over.
    """
    if clients * classes_each < classes:
        raise DataError(
            f"{clients} clients of {classes_each} classes each leave over some of {classes}",
            f"Give --classes-each {-(-classes // clients)} or more, or more --clients.",
        )
    has = np.zeros((classes, clients))
    pack: list[int] = []
    for client in range(clients):
        while has[:, client].sum() < min(classes_each, classes):
            own = [c for c in pack if not has[c, client]]
            if not own:
                pack += random.permutation(classes).tolist()
                continue
            has[own[0], client] = 1.0
            pack.remove(own[0])
    shares: Shares = has / np.maximum(has.sum(1, keepdims=True), 1.0)
    return shares


def cut(labels: Labels, rows: Index, shares: Shares) -> list[Index]:
    """Return the rows of each client: of each class, in the order of `rows`, its share.

    `shares` is (classes, clients), classes in the order of `np.unique(labels)`.
    """
    owned: list[list[Index]] = [[] for _ in range(shares.shape[1])]
    for row, label in zip(shares, np.unique(labels), strict=True):
        those = rows[labels[rows] == label]
        cuts = (np.cumsum(row)[:-1] * len(those) + SLACK).astype(int)
        for own, part in zip(owned, np.split(those, cuts), strict=True):
            own.append(part)
    return [np.concatenate(own) for own in owned]


def unlikeness(labels: Labels, owned: Sequence[Index]) -> float:
    """Return by how much clients' classes differ: mean total variation from the mean client's.

    0 if all have equal shares, near 1 if they have nothing in common.
    """
    known, place = np.unique(labels, return_inverse=True)
    counts = [np.bincount(place[own], minlength=len(known)) for own in owned if len(own)]
    shares = np.stack([count / count.sum() for count in counts])
    return float(np.abs(shares - shares.mean(axis=0)).sum(axis=1).mean() / 2.0)
