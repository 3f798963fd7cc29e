"""Take the mean embedding of each class, which FedProto and FedGH send in place of weights."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.workloads.personalized.client import ClientSide, embeddings
from harness.workloads.personalized.federation import Tensors
from harness.workloads.personalized.work import forward
from models.personalized.families import EMBEDDING
from models.personalized.shapes import BYTES


def class_means(side: ClientSide) -> dict[str, Tensor]:
    """Return the mean embedding of each class of a client's images, and how many it has of it."""
    images, labels = side.images.train_images, side.images.train_labels
    found = embeddings(side.net, images)
    side.observer.work(forward(side.family, len(images)))
    sums = torch.zeros(side.club.classes, EMBEDDING).index_add_(0, labels, found)
    counts = torch.bincount(labels, minlength=side.club.classes).float()
    return {"means": sums / counts.clamp(min=1.0)[:, None], "counts": counts}


def empty_means(classes: int) -> dict[str, Tensor]:
    """Return tensors of the names, shapes and types of `class_means`."""
    return {"means": torch.zeros(classes, EMBEDDING), "counts": torch.zeros(classes)}


def means_bytes(found: Tensors, *, label: bool) -> int:
    """Return the bytes of the means of the classes there are, each with its label or not."""
    return int((found["counts"] > 0).sum()) * (EMBEDDING + label) * BYTES
