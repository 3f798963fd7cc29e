"""Define the default network: sized for edge processors at 64×64 pixels.

Merging saves only what tasks share, so the encoder must cost much more than one decoder *on a
processor*, where work at high resolution is bound by memory traffic and not by multiplications.
Hence the encoder goes down to an eighth of the resolution early and works there with dense
convolutions, and a decoder stays there and unfolds its channels into pixels at the very end.
"""

from __future__ import annotations

from torch import Tensor, nn

from models.network import Architecture

WIDTH = 96


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


def encoder() -> nn.Module:
    """Build the encoder: (N, 3, H, W) to (N, 96, H/8, W/8)."""
    return nn.Sequential(
        _convolution(3, 24, 3, 2),
        _convolution(24, 48, 2, 2),
        _convolution(48, 48),
        _convolution(48, WIDTH, 2, 2),
        *(Residual(WIDTH) for _ in range(4)),
    )


def decoder(channels: int) -> nn.Module:
    """Build one task's decoder: (N, 96, H/8, W/8) to (N, channels, H, W)."""
    return nn.Sequential(
        nn.Conv2d(WIDTH, 64, 1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.PixelShuffle(2),
        _convolution(16, 16),
        nn.Conv2d(16, channels * 16, 1),
        nn.PixelShuffle(4),
    )


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
)
