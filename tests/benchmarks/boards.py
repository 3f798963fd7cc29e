"""Compare modelled with published speeds of known networks on known boards.

Networks are laid out here as their papers have them, without values: only shapes are needed. What
was published is PyTorch's or TensorFlow's eager speed of one image of 224 × 224 pixels, forward
only; figures of TensorRT, which fuses kernels, say nothing of an eager loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from statistics import geometric_mean

import torch
from torch import Tensor, nn

from devices.profile import find_profile
from devices.time_model import GpuTimeModel
from models.kernels import Kernel, kernels_of
from tests.benchmarks.table import head, row

TORCH2TRT = "github.com/NVIDIA-AI-IOT/torch2trt, docs/benchmarks, column PyTorch, fp16"
FORUM = "github.com/NVIDIA-AI-IOT/torch2trt, discussion 861, fp16, MAXN"
TF_TRT = "github.com/NVIDIA-AI-IOT/tf_to_trt_image_classification, column TensorFlow float"


@dataclass(frozen=True)
class Published:
    """Hold a published speed: seconds of one image, and where it stands."""

    board: str
    network: str
    time_s: float
    source: str


PUBLISHED = (
    Published("jetson-nano", "ResNet-18", 34.7e-3, TORCH2TRT),
    Published("jetson-nano", "ResNet-18", 65e-3, FORUM),
    Published("jetson-nano", "ResNet-50", 81.7e-3, TORCH2TRT),
    Published("jetson-tx2", "ResNet-50", 63.9e-3, TF_TRT),
    Published("jetson-agx-xavier", "ResNet-18", 7.33e-3, TORCH2TRT),
    Published("jetson-agx-xavier", "ResNet-50", 17.9e-3, TORCH2TRT),
    Published("jetson-agx-xavier", "MobileNetV2", 15.4e-3, TORCH2TRT),
)


def _conv(inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs))


class Residual(nn.Module):
    """Add what layers make of an input to that input (He et al., CVPR 2016)."""

    def __init__(self, layers: nn.Sequential, way: nn.Module, last: nn.Module) -> None:
        super().__init__()
        self.layers, self.way, self.last = layers, way, last

    def forward(self, images: Tensor) -> Tensor:
        """Return the sum, by the last activation."""
        found: Tensor = self.last(self.layers(images) + self.way(images))
        return found


def _basic(inputs: int, width: int, stride: int) -> tuple[nn.Module, int]:
    relu = nn.ReLU(inplace=True)
    layers = nn.Sequential(*_conv(inputs, width, 3, stride), relu, *_conv(width, width, 3))
    same = stride == 1 and inputs == width
    return Residual(layers, nn.Identity() if same else _conv(inputs, width, 1, stride), relu), width


def _bottleneck(inputs: int, width: int, stride: int) -> tuple[nn.Module, int]:
    relu, outputs = nn.ReLU(inplace=True), 4 * width
    layers = nn.Sequential(
        *_conv(inputs, width, 1), relu, *_conv(width, width, 3, stride), relu,
        *_conv(width, outputs, 1),
    )  # fmt: skip
    same = stride == 1 and inputs == outputs
    way = nn.Identity() if same else _conv(inputs, outputs, 1, stride)
    return Residual(layers, way, relu), outputs


def resnet(
    block: Callable[[int, int, int], tuple[nn.Module, int]], depths: tuple[int, ...]
) -> nn.Module:
    """Return a ResNet for 1000 classes."""
    layers: list[nn.Module] = [*_conv(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for stage, depth in enumerate(depths):
        for number in range(depth):
            stride = 2 if stage and not number else 1
            layer, channels = block(channels, 64 << stage, stride)
            layers.append(layer)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


def mobilenet_v2() -> nn.Module:
    """Return MobileNetV2 of width 1 for 1000 classes (Sandler et al., CVPR 2018, table 2)."""
    table = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
             (6, 160, 3, 2), (6, 320, 1, 1))  # fmt: skip
    relu = nn.ReLU6(inplace=True)
    layers: list[nn.Module] = [*_conv(3, 32, 3, 2), relu]
    channels = 32
    for widen, outputs, count, first in table:
        for number in range(count):
            stride, hidden = (first if not number else 1), channels * widen
            inner = nn.Sequential(
                *([] if widen == 1 else [*_conv(channels, hidden, 1), relu]),
                *_conv(hidden, hidden, 3, stride, hidden), relu, *_conv(hidden, outputs, 1),
            )  # fmt: skip
            same = stride == 1 and channels == outputs
            layers.append(Residual(inner, nn.Identity(), nn.Identity()) if same else inner)
            channels = outputs
    layers += [*_conv(channels, 1280, 1), relu, nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(1280, 1000))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "ResNet-18": lambda: resnet(_basic, (2, 2, 2, 2)),
    "ResNet-50": lambda: resnet(_bottleneck, (3, 4, 6, 3)),
    "MobileNetV2": mobilenet_v2,
}


@lru_cache
def forward_kernels(network: str) -> tuple[Kernel, ...]:
    """Return the kernels of one image forward, of tensors without values."""
    with torch.device("meta"):
        net, image = NETWORKS[network]().eval(), torch.empty(1, 3, 224, 224)
    with torch.no_grad():
        return tuple(kernels_of(lambda: net(image)))


def ratio(one: Published) -> float:
    """Return the modelled seconds over the published ones."""
    gpu = find_profile(one.board).gpu
    assert gpu is not None
    modelled_s = GpuTimeModel.from_figures(gpu.compute).time_s(forward_kernels(one.network))
    return modelled_s / one.time_s


def report() -> list[str]:
    """Return a line for every published speed, and the middle of each board."""
    lines = head("board", "network", "published ms", "modelled/published", "source")
    for one in PUBLISHED:
        lines.append(
            row(one.board, one.network, f"{1e3 * one.time_s:.1f}", f"{ratio(one):.2f}", one.source)
        )
    for board in dict.fromkeys(one.board for one in PUBLISHED):
        ratios = [ratio(one) for one in PUBLISHED if one.board == board]
        lines.append(
            row(board, "geometric mean", "", f"{geometric_mean(ratios):.2f}",
                f"{min(ratios):.2f} to {max(ratios):.2f}")
        )  # fmt: skip
    return lines
