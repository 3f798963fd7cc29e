"""Define the default network: sized for edge processors at 64×64 pixels.

Merging saves only what tasks share, so the encoder must cost much more than one decoder *on a
processor*, where work at high resolution is bound by memory traffic and not by multiplications.
Hence the encoder goes down to an eighth of the resolution early and works there with dense
convolutions, and a decoder unfolds its channels into pixels at the very end. Class scores, of which
there are many, are given for blocks of 2×2 pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.multitask.network import Architecture
from models.multitask.side_by_side import batch_norms, convolutions, picture, pointwise, rows

WIDTH = 96
"""Channels of the features of `small`."""
WIDE = 144
"""Those of `small-wide`, whose encoder multiplies about twice as much."""
POSITION_SCALE = 0.3
"""Size of the position channels; larger ones drown the picture (docs/log.md, 2026-11-23)."""


class WithPosition(nn.Module):
    """Centre the colours and append each pixel's position (Liu et al., CoordConv, NeurIPS 2018).

    Floors are below and ceilings above: without it a small network has to learn from its zero
    padding where it looks.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) in [0, 1] to (N, 5, H, W)."""
        n, _, height, width = images.shape
        rows = torch.linspace(-1.0, 1.0, height, dtype=images.dtype, device=images.device)
        columns = torch.linspace(-1.0, 1.0, width, dtype=images.dtype, device=images.device)
        position = torch.stack(torch.meshgrid(rows, columns, indexing="ij")) * POSITION_SCALE
        both = torch.cat([images - 0.5, position.expand(n, 2, height, width)], dim=1)
        if images.is_contiguous(memory_format=torch.contiguous_format):
            return both.contiguous()
        return both.contiguous(memory_format=torch.channels_last)


class Residual(nn.Module):
    """Add a 3×3 convolution's output to its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = _convolution(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        y: Tensor = x + self.convolution(x)
        return y


def _convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    padding = kernel // 2 if stride == 1 or kernel == 3 else 0
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def encoder(width: int = WIDTH) -> nn.Module:
    """Build the encoder: (N, 3, H, W) to (N, width, H/8, W/8)."""
    return nn.Sequential(
        WithPosition(),
        _convolution(5, width // 4, 3, 2),
        _convolution(width // 4, width // 2, 2, 2),
        _convolution(width // 2, width, 2, 2),
        *(Residual(width) for _ in range(4)),
    )


def decoder(channels: int, width: int = WIDTH) -> nn.Module:
    """Build one task's decoder: (N, width, H/8, W/8) to (N, channels, H, W).

    With more than four channels, class scores, it ends at (N, channels, H/2, W/2).
    """
    fold = 4 if channels <= 4 else 2
    return nn.Sequential(
        nn.Conv2d(width, 48, 1, bias=False),
        nn.BatchNorm2d(48),
        nn.ReLU(inplace=True),
        nn.PixelShuffle(2),
        _convolution(12, 12),
        nn.Conv2d(12, channels * fold * fold, 1),
        nn.PixelShuffle(fold),
    )


def decode_together(decoders: Sequence[nn.Module], features: Sequence[Tensor]) -> list[Tensor]:
    """Run decoders side by side in a training step, each on features of its own.

    Returns what each decoder by itself would return, but for rounding.
    """
    n, _, height, width = features[0].shape
    layers = [_layers(decoder) for decoder in decoders]
    first = [pointwise(own.squeeze, rows(x)) for own, x in zip(layers, features, strict=True)]
    x = picture(torch.cat(first, 1), n, height, width)
    x = functional.relu_(batch_norms([own.squeeze_norm for own in layers], x))
    x = functional.pixel_shuffle(x, 2)
    x = convolutions([own.spread for own in layers], x)
    x = functional.relu_(batch_norms([own.spread_norm for own in layers], x))
    hidden = torch.split(rows(x), x.shape[1] // len(layers), 1)
    return [
        own.unfold(picture(pointwise(own.last, pixels), n, 2 * height, 2 * width))
        for own, pixels in zip(layers, hidden, strict=True)
    ]


@dataclass(frozen=True)
class _Layers:
    """Name the layers of a decoder."""

    squeeze: nn.Conv2d
    squeeze_norm: nn.BatchNorm2d
    spread: nn.Conv2d
    spread_norm: nn.BatchNorm2d
    last: nn.Conv2d
    unfold: nn.PixelShuffle


def _layers(decoder: nn.Module) -> _Layers:
    squeeze, squeeze_norm, _, _, block, last, unfold = decoder.children()
    spread, spread_norm, _ = block.children()
    return _Layers(squeeze, squeeze_norm, spread, spread_norm, last, unfold)  # type: ignore[arg-type]


def initialise(part: nn.Module) -> None:
    """Draw convolution weights by He et al. (2015), fan out; batch norm starts as identity."""
    for module in part.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


SMALL = Architecture(
    name="small",
    description="default, sized for edge processors at 64×64",
    encoder=encoder,
    decoder=decoder,
    initialise=initialise,
    together=decode_together,
)

WIDE_SMALL = Architecture(
    name="small-wide",
    description="small with an encoder half as wide again",
    encoder=partial(encoder, WIDE),
    decoder=partial(decoder, width=WIDE),
    initialise=initialise,
    together=decode_together,
)
