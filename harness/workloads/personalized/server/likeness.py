"""Compare blocks of unlike networks by linear CKA of what they take and what they give.

sim = CKA(inputs) + CKA(outputs) over the same images in the same order (pFedClub, eq. 1), in
[0, 2]. With a centred Gram matrix of each, normalised once, CKA of a pair is one dot product
(Kornblith et al., ICML 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.personalized.blocks import ChainNet

LEAST_IMAGES = 100
"""Below, the biased estimator calls any two features of many numbers alike."""

POOLED = 4
"""Maps are averaged to at most so many pixels a side: more features need more images."""

DEAD = 1e-12
"""A layer whose Gram matrix is smaller gives nothing; it is like nothing."""

Likeness = NDArray[np.float64]


def gram(features: Tensor) -> Tensor:
    """Return the centred Gram matrix of features (images first), its norm 1; 0 of a dead layer."""
    rows = features.double().flatten(1)
    rows = rows - rows.mean(0)
    found = rows @ rows.T
    size = found.norm()
    return torch.zeros_like(found) if size <= DEAD else found / size  # NaN stays NaN


def cka(one: Tensor, other: Tensor) -> float:
    """Return linear CKA of two features of the same images."""
    return float((gram(one) * gram(other)).sum())


@dataclass(frozen=True)
class BlockTrace:
    """Hold what a block takes of the public images, and the Gram matrices of both its sides."""

    takes: Tensor
    gram_in: Tensor
    gram_out: Tensor

    @property
    def finite(self) -> bool:
        """Say whether both are numbers."""
        return bool(torch.isfinite(self.gram_in).all() and torch.isfinite(self.gram_out).all())


@torch.no_grad()
def traces(net: ChainNet, images: Tensor) -> list[BlockTrace]:
    """Return the trace of each block of a network, in eval mode."""
    net.eval()
    found = []
    features = images
    arrived = gram(pooled(features))
    for join, block in zip(net.joins, net.blocks, strict=True):
        features = join(features)
        gives = block(features)
        left = gram(pooled(gives))
        found.append(BlockTrace(features, arrived, left))
        features, arrived = gives, left  # a network of one client has no stitches between
    return found


def pooled(features: Tensor) -> Tensor:
    """Return maps averaged to at most 4×4; vectors as they are."""
    if features.dim() == 4 and max(features.shape[2:]) > POOLED:
        height, width = (min(side, POOLED) for side in features.shape[2:])
        return functional.adaptive_avg_pool2d(features, (height, width))
    return features


def likeness(found: Sequence[BlockTrace]) -> Likeness:
    """Return the matrix of likenesses between all blocks."""
    ins = torch.stack([t.gram_in.flatten() for t in found])
    outs = torch.stack([t.gram_out.flatten() for t in found])
    similar: Likeness = (ins @ ins.T + outs @ outs.T).clamp(0.0, 2.0).numpy()
    return similar
