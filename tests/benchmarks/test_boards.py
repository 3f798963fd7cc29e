"""Known networks are laid out as published, and modelled speeds lie within the interval shown."""

from pathlib import Path

import pytest
import torch

from devices.profile import load_profiles
from devices.time_model import GPU_RATIO_FACTOR, GPU_TIME_FACTOR
from tests.benchmarks.boards import (
    PUBLISHED,
    forward_kernels,
    pairs,
    ratio,
    report,
    training_kernels,
)
from tests.benchmarks.networks import NETWORKS

PAGE = Path(__file__).parents[2] / "docs" / "models-of-devices.md"
GENERIC = {"x86-nvidia", "arm-nvidia"}
"""They describe no particular machine, and say so."""


@pytest.mark.parametrize(
    ("network", "parameters", "multiplications", "side"),
    [("ResNet-18", 11_689_512, 1.81e9, 224), ("ResNet-34", 21_797_672, 3.66e9, 224),
     ("ResNet-50", 25_557_032, 4.09e9, 224), ("MobileNetV2", 3_504_872, 0.30e9, 224),
     ("YOLOv8n", 3_157_200, 4.37e9, 640)],
)  # fmt: skip
def test_networks_are_those_that_were_published(network, parameters, multiplications, side):
    """Parameters and multiplications as torchvision and ultralytics document them."""
    with torch.device("meta"):
        assert sum(p.numel() for p in NETWORKS[network]().parameters()) == parameters
    flop = sum(k.count * k.flop for k in forward_kernels(network, side))
    assert flop / 2 == pytest.approx(multiplications, rel=0.02)


def test_ssd_has_its_three_thousand_boxes():
    """Six boxes at 19², 10², 5², 3², 2² and 1 places (pytorch-ssd, mobilenetv1_ssd_config.py)."""
    with torch.device("meta"):
        scores, places = NETWORKS["SSD-MobileNet"]()(torch.empty(4, 3, 300, 300))
    assert (scores.shape, places.shape) == ((4, 3000, 9), (4, 3000, 4))


def test_training_is_three_times_the_arithmetic_of_a_batch_forward():
    """Backward once for weights, once for what came in; the first layer's input needs none."""
    forward = sum(k.count * k.flop for k in forward_kernels("ResNet-18"))
    step = sum(k.count * k.flop for k in training_kernels("ResNet-18", 224, 8))
    first = 2 * 112 * 112 * 64 * 3 * 49
    assert step == pytest.approx(8 * (3 * forward - first), rel=0.01)


@pytest.mark.parametrize("one", PUBLISHED, ids=lambda one: f"{one.board} {one.network}")
def test_published_speeds_lie_within_the_interval(one):
    assert 1 / GPU_TIME_FACTOR < ratio(one) < GPU_TIME_FACTOR


def test_ratios_of_networks_of_one_family_lie_within_theirs():
    """MobileNet's convolutions by channel are of another kind, which no two methods differ by."""
    family = [off for _, both, off in pairs() if "MobileNetV2" not in both]
    assert len(family) == 9  # three pairs of ResNets, of three sources
    assert max(family) < GPU_RATIO_FACTOR


def test_the_page_shows_what_the_bench_prints():
    page = PAGE.read_text(encoding="utf-8").splitlines()
    assert [line for line in report() if line not in page] == []


def test_boards_without_a_published_speed_say_so():
    known = {one.board for one in PUBLISHED}
    silent = {
        profile.name
        for profile in load_profiles()
        if profile.gpu is not None
        and not any("compared with no published speed" in limit for limit in profile.limits)
    }
    assert silent == known | GENERIC
