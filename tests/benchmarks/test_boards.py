"""Known networks are laid out as published, and modelled speeds lie within the interval shown."""

import pytest
import torch

from devices.time_model import GPU_TIME_FACTOR
from tests.benchmarks.boards import NETWORKS, PUBLISHED, forward_kernels, ratio


@pytest.mark.parametrize(
    ("network", "parameters", "multiplications"),
    [("ResNet-18", 11_689_512, 1.81e9), ("ResNet-50", 25_557_032, 4.09e9),
     ("MobileNetV2", 3_504_872, 0.30e9)],
)  # fmt: skip
def test_networks_are_those_that_were_published(network, parameters, multiplications):
    """Parameters as torchvision documents them, multiplications as well, to a hundredth."""
    with torch.device("meta"):
        assert sum(p.numel() for p in NETWORKS[network]().parameters()) == parameters
    flop = sum(k.count * k.flop for k in forward_kernels(network))
    assert flop / 2 == pytest.approx(multiplications, rel=0.02)


@pytest.mark.parametrize("one", PUBLISHED, ids=lambda one: f"{one.board} {one.network}")
def test_published_speeds_lie_within_the_interval(one):
    assert 1 / GPU_TIME_FACTOR < ratio(one) < GPU_TIME_FACTOR
