"""Lay out known networks as their papers have them; shapes suffice, so tensors need no values."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


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
    block: Callable[[int, int, int], tuple[nn.Module, int]],
    depths: tuple[int, ...],
    classes: int = 1000,
) -> nn.Module:
    """Return a ResNet."""
    layers: list[nn.Module] = [*_conv(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for stage, depth in enumerate(depths):
        for number in range(depth):
            stride = 2 if stage and not number else 1
            layer, channels = block(channels, 64 << stage, stride)
            layers.append(layer)
    last = nn.Linear(channels, classes)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), last)


def resnet_18(classes: int = 1000) -> nn.Module:
    """Return ResNet-18."""
    return resnet(_basic, (2, 2, 2, 2), classes)


def resnet_34() -> nn.Module:
    """Return ResNet-34 for 1000 classes."""
    return resnet(_basic, (3, 4, 6, 3))


def resnet_50() -> nn.Module:
    """Return ResNet-50 for 1000 classes."""
    return resnet(_bottleneck, (3, 4, 6, 3))


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


def _mobilenet_v1() -> list[nn.Module]:
    """Return MobileNet of width 1 without its classifier (Howard et al., 2017, table 1)."""
    table = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5,
             (1024, 2), (1024, 1))  # fmt: skip
    blocks: list[nn.Module] = [nn.Sequential(*_conv(3, 32, 3, 2), nn.ReLU(inplace=True))]
    channels = 32
    for outputs, stride in table:
        inner = [*_conv(channels, channels, 3, stride, channels), nn.ReLU(inplace=True)]
        blocks.append(nn.Sequential(*inner, *_conv(channels, outputs, 1), nn.ReLU(inplace=True)))
        channels = outputs
    return blocks


class SsdMobileNet(nn.Module):
    """Find boxes by six maps of MobileNet (Liu et al., ECCV 2016), six boxes at every place.

    Layers as in pytorch-ssd (mobilenetv1_ssd.py), from which the published speeds are.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        blocks = _mobilenet_v1()
        self.stages = nn.ModuleList([nn.Sequential(*blocks[:12]), nn.Sequential(*blocks[12:])])
        channels, widths = 1024, ((256, 512), (128, 256), (128, 256), (128, 256))
        for narrow, wide in widths:
            self.stages.append(nn.Sequential(
                nn.Conv2d(channels, narrow, 1), nn.ReLU(), nn.Conv2d(narrow, wide, 3, 2, 1),
                nn.ReLU(),
            ))  # fmt: skip
            channels = wide
        maps = (512, 1024, 512, 256, 256, 256)
        self.places = nn.ModuleList(nn.Conv2d(width, 6 * 4, 3, padding=1) for width in maps)
        self.kinds = nn.ModuleList(nn.Conv2d(width, 6 * classes, 3, padding=1) for width in maps)
        self._classes = classes

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores of classes and places of all boxes."""
        scores, places, found = [], [], images
        for stage, place, kind in zip(self.stages, self.places, self.kinds, strict=True):
            found = stage(found)
            scores.append(kind(found).permute(0, 2, 3, 1).reshape(len(images), -1, self._classes))
            places.append(place(found).permute(0, 2, 3, 1).reshape(len(images), -1, 4))
        return torch.cat(scores, 1), torch.cat(places, 1)


def _silu(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(*_conv(inputs, outputs, size, stride), nn.SiLU(inplace=True))


class _Split(nn.Module):
    """Take one half further step by step, and join all steps (C2f of YOLOv8)."""

    def __init__(self, inputs: int, outputs: int, count: int, *, adds: bool) -> None:
        super().__init__()
        half = outputs // 2
        self.first = _silu(inputs, outputs, 1)
        self.steps = nn.ModuleList(
            nn.Sequential(_silu(half, half, 3), _silu(half, half, 3)) for _ in range(count)
        )
        self.last = _silu((2 + count) * half, outputs, 1)
        self._adds = adds

    def forward(self, images: Tensor) -> Tensor:
        """Return what the steps find, joined."""
        parts = list(self.first(images).chunk(2, 1))
        for step in self.steps:
            found = step(parts[-1])
            parts.append(parts[-1] + found if self._adds else found)
        joined: Tensor = self.last(torch.cat(parts, 1))
        return joined


class _Pools(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.last = _silu(channels, channels // 2, 1), _silu(channels * 2, channels, 1)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, images: Tensor) -> Tensor:
        parts = [self.first(images)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        joined: Tensor = self.last(torch.cat(parts, 1))
        return joined


class YoloV8n(nn.Module):
    """Find boxes as YOLOv8n does (yolov8.yaml and modules of ultralytics 8), 80 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.low = nn.Sequential(
            _silu(3, 16, 3, 2), _silu(16, 32, 3, 2), _Split(32, 32, 1, adds=True),
            _silu(32, 64, 3, 2), _Split(64, 64, 2, adds=True),
        )  # fmt: skip
        self.middle = nn.Sequential(_silu(64, 128, 3, 2), _Split(128, 128, 2, adds=True))
        self.high = nn.Sequential(
            _silu(128, 256, 3, 2), _Split(256, 256, 1, adds=True), _Pools(256)
        )
        self.up = nn.Upsample(scale_factor=2)
        self.joins = nn.ModuleList(
            _Split(inputs, outputs, 1, adds=False)
            for inputs, outputs in ((384, 128), (192, 64), (192, 128), (384, 256))
        )
        self.downs = nn.ModuleList((_silu(64, 64, 3, 2), _silu(128, 128, 3, 2)))
        self.heads = nn.ModuleList(
            nn.Sequential(_silu(width, hidden, 3), _silu(hidden, hidden, 3),
                          nn.Conv2d(hidden, hidden, 1))
            for width in (64, 128, 256) for hidden in (64, 80)
        )  # fmt: skip
        self.bins = nn.Conv2d(16, 1, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the four numbers of every box and its scores."""
        low = self.low(images)
        middle = self.middle(low)
        high = self.high(middle)
        between = self.joins[0](torch.cat((self.up(high), middle), 1))
        maps = [self.joins[1](torch.cat((self.up(between), low), 1))]
        for down, join, other in zip(self.downs, self.joins[2:], (between, high), strict=True):
            maps.append(join(torch.cat((down(maps[-1]), other), 1)))
        return self._boxes(maps)

    def _boxes(self, maps: list[Tensor]) -> Tensor:
        told = [
            torch.cat((self.heads[2 * n](one), self.heads[2 * n + 1](one)), 1).flatten(2)
            for n, one in enumerate(maps)
        ]
        bins, scores = torch.cat(told, 2).split((64, 80), 1)
        count = bins.shape[2]
        bins = bins.view(len(bins), 4, 16, count).transpose(2, 1).softmax(1)
        first, last = self.bins(bins).view(len(bins), 4, count).chunk(2, 1)
        boxes = torch.cat(((last - first) / 2, last + first), 1) * 8.0
        return torch.cat((boxes, scores.sigmoid()), 1)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "ResNet-18": resnet_18,
    "ResNet-34": resnet_34,
    "ResNet-50": resnet_50,
    "MobileNetV2": mobilenet_v2,
    "SSD-MobileNet": lambda: SsdMobileNet(9),
    "YOLOv8n": YoloV8n,
}
