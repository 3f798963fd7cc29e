"""Run layers of several decoders at once, where every decoder has such a layer of the same shape.

A decoder's layers are so small that calling them takes as long as computing them: five of them one
after another cost a merged network a third of its step. Here each kind of layer is called once, on
the channels of all decoders. Weights and statistics stay where they are, in each decoder's own
layers; what is computed is the same but for rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def rows(x: Tensor) -> Tensor:
    """Return (N, C, H, W) as (N·H·W, C): without a copy if channels are last in memory."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def picture(pixels: Tensor, n: int, height: int, width: int) -> Tensor:
    """Return (N·H·W, C) as (N, C, H, W) with channels last in memory."""
    return pixels.view(n, height, width, -1).permute(0, 3, 1, 2)


def pointwise(layer: nn.Conv2d, pixels: Tensor) -> Tensor:
    """Apply a 1×1 convolution to (N·H·W, C).

    Unlike the convolution it needs no copy where these are some of the columns of a wider matrix.
    """
    return functional.linear(pixels, layer.weight.flatten(1), layer.bias)


def convolutions(layers: Sequence[nn.Conv2d], x: Tensor) -> Tensor:
    """Apply one convolution after another to the channels each of them is for."""
    weight = torch.cat([layer.weight for layer in layers])
    first = layers[0]
    return functional.conv2d(x, weight, None, first.stride, first.padding, groups=len(layers))


def batch_norms(layers: Sequence[nn.BatchNorm2d], x: Tensor) -> Tensor:
    """Apply one batch norm after another to the channels each of them is for.

    In training their statistics move as ever.
    """
    first = layers[0]
    means, variances, counts = ([layer.get_buffer(name) for layer in layers] for name in _BUFFERS)
    mean, variance = torch.cat(means), torch.cat(variances)
    weight = torch.cat([layer.weight for layer in layers])
    bias = torch.cat([layer.bias for layer in layers])
    momentum = first.momentum
    assert momentum is not None
    y = functional.batch_norm(x, mean, variance, weight, bias, first.training, momentum, first.eps)
    if first.training:
        with torch.no_grad():
            torch._foreach_copy_(means, torch.split(mean, first.num_features))
            torch._foreach_copy_(variances, torch.split(variance, first.num_features))
            torch._foreach_add_(counts, 1)
    return y
