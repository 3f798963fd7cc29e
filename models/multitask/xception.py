"""Define the network of the MAS paper: an Xception-style encoder and up-convolution decoders.

Layer by layer as in the published code (EasyFL `applications/mas`, after Standley et al., ICML
2020): an encoder of 4 089 192 parameters with stride 16 and 256 output channels, and decoders of
115 760 + 48·C parameters. The published decoder interpolates to a fixed 256×256; here it follows
the input, so that any multiple of 16 works and 256×256 gives the same numbers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.multitask.network import Architecture

FEATURES = 256


def _separable(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, kernel, padding=kernel // 2, groups=inputs, bias=False),
        nn.Conv2d(inputs, outputs, 1, bias=False),
    )


class Block(nn.Module):
    """Add two separable convolutions (and a stride-2 convolution) to a projected skip."""

    def __init__(self, inputs: int, outputs: int, stride: int, leading_relu: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.ReLU()] if leading_relu else []
        layers += [_separable(inputs, outputs), nn.BatchNorm2d(outputs), nn.ReLU()]
        layers += [_separable(outputs, outputs), nn.BatchNorm2d(outputs)]
        if stride == 2:
            layers.append(nn.Conv2d(outputs, outputs, 2, stride=2))
        self.body = nn.Sequential(*layers)
        self.skip: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            self.skip = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H/stride, W/stride)."""
        y: Tensor = self.body(x) + self.skip(x)
        return y


class Decoder(nn.Module):
    """Unfold features by four up-convolutions beside a bilinear shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shortcut = nn.Sequential(_separable(FEATURES, 16), nn.BatchNorm2d(16))
        self.body = nn.Sequential(
            _separable(FEATURES, 96), nn.BatchNorm2d(96),
            *_up(96, 96), nn.ReLU(), _separable(96, 64), nn.BatchNorm2d(64), nn.ReLU(),
            *_up(64, 64), nn.ReLU(), _separable(64, 64, 5), nn.BatchNorm2d(64), nn.ReLU(),
            *_up(64, 32), nn.ReLU(), _separable(32, 32, 5), nn.BatchNorm2d(32), nn.ReLU(),
            *_up(32, 32),
        )  # fmt: skip
        self.head = nn.Sequential(nn.ReLU(), _separable(48, channels, 5))

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, 256, h, w) to (N, channels, 16·h, 16·w)."""
        body = self.body(features)
        shortcut = functional.interpolate(
            self.shortcut(features), size=body.shape[-2:], mode="bilinear"
        )
        prediction: Tensor = self.head(torch.cat([body, shortcut], dim=1))
        return prediction


def _up(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.ConvTranspose2d(inputs, outputs, 2, stride=2), nn.BatchNorm2d(outputs)]


def encoder() -> nn.Module:
    """Build the encoder: (N, 3, H, W) to (N, 256, H/16, W/16)."""
    return nn.Sequential(
        nn.Conv2d(3, 24, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(24), nn.ReLU(),
        nn.Conv2d(24, 48, 3, padding=1, bias=False), nn.BatchNorm2d(48), nn.ReLU(),
        Block(48, 96, 2, leading_relu=False), Block(96, 192, 2), Block(192, 512, 2),
        *(Block(512, 512, 1) for _ in range(4)),
        _separable(512, FEATURES), nn.BatchNorm2d(FEATURES), nn.ReLU(),
    )  # fmt: skip


def initialise(part: nn.Module) -> None:
    """Draw every convolution from N(0, √(2 / (k²·out))), depthwise ones too, as published."""
    for module in part.modules():
        if isinstance(module, nn.Conv2d):
            fan = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
            nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan))
        elif isinstance(module, nn.ConvTranspose2d):
            module.reset_parameters()


XCEPTION = Architecture(
    name="xception",
    description="the MAS paper's network, 4.1 M encoder parameters",
    encoder=encoder,
    decoder=Decoder,
    initialise=initialise,
)
