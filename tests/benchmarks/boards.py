"""Compare modelled with published speeds of known networks on known boards.

What was published is the eager speed of a framework (PyTorch; TensorFlow where the source says so):
of images forward, or of whole training steps. Figures of TensorRT, which fuses kernels, say nothing
of an eager loop. Published training includes loading and augmenting the images where its source
does; the model has neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from statistics import geometric_mean

import torch
from torch import Tensor
from torch.nn import functional

from devices.profile import find_profile
from devices.time_model import GpuTimeModel
from models.kernels import Kernel, kernels_of
from tests.benchmarks.networks import NETWORKS
from tests.benchmarks.table import head, row

TORCH2TRT = "github.com/NVIDIA-AI-IOT/torch2trt, docs/benchmarks, column PyTorch, fp16"
FORUM = "github.com/NVIDIA-AI-IOT/torch2trt, discussion 861, fp16, MAXN"
TF_TRT = "github.com/NVIDIA-AI-IOT/tf_to_trt_image_classification, column TensorFlow float"
QUANTIZED = "github.com/kentaroy47/benchmark-FP32-FP16-INT8-with-TensorRT, Jetson Xavier, row Raw"
ORIN_YOLO = "github.com/hokwangchoi/jetson-orin-nano-benchmarks, PyTorch FP32, MAXN_SUPER"
PLANTS = "github.com/dusty-nv/jetson-inference, docs/pytorch-plants.md, log of a Nano, fp32"
SSD = "github.com/dusty-nv/jetson-inference, docs/pytorch-ssd.md, fp32, images loaded meanwhile"


@dataclass(frozen=True)
class Published:
    """Hold a published speed: seconds of one batch, forward or in training, and where it stands."""

    board: str
    network: str
    time_s: float
    source: str
    side: int = 224
    batch: int = 1
    trains: bool = False


PUBLISHED = (
    Published("jetson-nano", "ResNet-18", 34.7e-3, TORCH2TRT),
    Published("jetson-nano", "ResNet-18", 65e-3, FORUM),
    Published("jetson-nano", "ResNet-34", 64.8e-3, TORCH2TRT),
    Published("jetson-nano", "ResNet-50", 81.7e-3, TORCH2TRT),
    Published("jetson-nano", "ResNet-18", 0.773, PLANTS, batch=8, trains=True),
    Published("jetson-nano", "SSD-MobileNet", 4 / 4.77, SSD, side=300, batch=4, trains=True),
    Published("jetson-tx2", "ResNet-50", 63.9e-3, TF_TRT),
    Published("jetson-xavier-nx", "SSD-MobileNet", 4 / 14.65, SSD, side=300, batch=4, trains=True),
    Published("jetson-agx-xavier", "ResNet-18", 7.33e-3, TORCH2TRT),
    Published("jetson-agx-xavier", "ResNet-34", 12.9e-3, TORCH2TRT),
    Published("jetson-agx-xavier", "ResNet-50", 17.9e-3, TORCH2TRT),
    Published("jetson-agx-xavier", "MobileNetV2", 15.4e-3, TORCH2TRT),
    Published("jetson-agx-xavier", "ResNet-18", 10.93e-3, QUANTIZED, side=256),
    Published("jetson-agx-xavier", "ResNet-34", 12.35e-3, QUANTIZED, side=256),
    Published("jetson-agx-xavier", "ResNet-50", 16.02e-3, QUANTIZED, side=256),
    Published("jetson-orin-nano", "YOLOv8n", 20.88e-3, ORIN_YOLO, side=640),
)
"""Every published speed of an eager loop on a board with a profile that was found."""


@lru_cache
def forward_kernels(network: str, side: int = 224, batch: int = 1) -> tuple[Kernel, ...]:
    """Return the kernels of a batch forward, of tensors without values."""
    with torch.device("meta"):
        net, images = NETWORKS[network]().eval(), torch.empty(batch, 3, side, side)
    with torch.no_grad():
        return tuple(kernels_of(lambda: net(images)))


@lru_cache
def training_kernels(network: str, side: int, batch: int) -> tuple[Kernel, ...]:
    """Return the kernels of a training step: forward, loss, backward, SGD with momentum.

    Of the loss of SSD the choice of boxes is left out, which is made on the processor.
    """
    with torch.device("meta"):
        net, images = NETWORKS[network]().train(), torch.empty(batch, 3, side, side)
        optimizer = torch.optim.SGD(
            net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4, foreach=False
        )

        def step() -> None:
            optimizer.zero_grad()
            _loss(net(images)).backward()  # type: ignore[no-untyped-call]
            optimizer.step()

        step()  # the first one makes what later steps have: momentum
        return tuple(kernels_of(step))


def _loss(found: Tensor | tuple[Tensor, Tensor]) -> Tensor:
    if isinstance(found, Tensor):
        return functional.cross_entropy(found, torch.empty(len(found), dtype=torch.long))
    scores, places = found
    kinds = torch.empty(scores.shape[0] * scores.shape[1], dtype=torch.long)
    of_kinds = functional.cross_entropy(scores.flatten(0, 1), kinds)
    return of_kinds + functional.smooth_l1_loss(places, torch.empty_like(places))


def ratio(one: Published) -> float:
    """Return the modelled seconds over the published ones."""
    gpu = find_profile(one.board).gpu
    assert gpu is not None
    kernels = training_kernels if one.trains else forward_kernels
    model = GpuTimeModel.from_figures(gpu.compute)
    return model.time_s(kernels(one.network, one.side, one.batch)) / one.time_s


def report() -> list[str]:
    """Return a line for every published speed, and the middle of each board."""
    lines = head("board", "network", "published ms", "modelled/published", "source")
    for one in PUBLISHED:
        words = f"{one.network}, training, batch {one.batch}" if one.trains else one.network
        lines.append(
            row(one.board, words, f"{1e3 * one.time_s:.1f}", f"{ratio(one):.2f}", one.source)
        )
    for board in dict.fromkeys(one.board for one in PUBLISHED):
        lines.append(_middle(board, [one for one in PUBLISHED if one.board == board]))
    forward = [one for one in PUBLISHED if not one.trains]
    lines.append(_middle("forward, all boards", forward))
    lines.append(_middle("training, all boards", [one for one in PUBLISHED if one.trains]))
    lines += ["", *head("board", "two networks of one source", "their ratio is off by")]
    return lines + [row(board, both, f"{off:.2f}") for board, both, off in pairs()]


def pairs() -> list[tuple[str, str, float]]:
    """Return board, two networks, and by how much their ratio is off, of one source and batch."""
    return [
        (a.board, f"{a.network}, {b.network}", max(ratio(a) / ratio(b), ratio(b) / ratio(a)))
        for a, b in combinations(PUBLISHED, 2)
        if (a.board, a.source, a.batch, a.trains) == (b.board, b.source, b.batch, b.trains)
        and a.network != b.network
    ]


def _middle(name: str, some: list[Published]) -> str:
    ratios = [ratio(one) for one in some]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    return row(name, "geometric mean", "", f"{geometric_mean(ratios):.2f}", spread)
