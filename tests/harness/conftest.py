"""Provide tiny data and settings on which whole federated jobs take milliseconds."""

from collections.abc import Mapping

import numpy as np
import pytest
from torch import nn

from harness.workloads.multitask.federation import Federation
from harness.workloads.multitask.training.client import LocalTraining
from models.multitask.network import Architecture

CHANNELS = {"rgb": (3,), "s": (), "d": (), "n": (3,), "k": (), "t": ()}


class TinySource:
    """Serve random 8×8 images of a few clients of different sizes from a seeded generator."""

    normalisation: Mapping[str, tuple[float, float]] = {
        "d": (100.0, 50.0), "n": (0.0, 64.0), "k": (128.0, 64.0), "t": (128.0, 64.0),
    }  # fmt: skip

    masked = False
    depth_unit_m = 0.001

    def __init__(
        self, sizes: tuple[int, ...] = (6, 4, 8, 5), identical: bool = False, held_out: int = 3
    ) -> None:
        apart = (held_out,) * len(sizes)
        self.sizes = {"train": sizes, "validation": apart, "test": apart, "test_unseen": (4,)}
        self.arrays = {}
        for split, lengths in self.sizes.items():
            for client, length in enumerate(lengths):
                key = [0 if identical else client, len(split)]
                self.arrays[split, client] = self._client(np.random.default_rng(key), length)

    @staticmethod
    def _client(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        arrays = {
            name: rng.integers(0, 128, (length, 8, 8, *tail)).astype(np.uint8)
            for name, tail in CHANNELS.items()
        }
        arrays["s"] = arrays["s"] % 17 + 1
        return arrays

    def split(self, split, client):
        return self.arrays[split, client]

    def length(self, split, client):
        return self.sizes[split][client]

    def count(self, split):
        return len(self.sizes[split])


def _encoder() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())


def _decoder(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4 * channels, 1),
        nn.PixelShuffle(2),
    )  # fmt: skip


def _initialise(part: nn.Module) -> None:
    for module in part.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            nn.init.zeros_(module.bias)


@pytest.fixture
def tiny_source() -> TinySource:
    return TinySource()


@pytest.fixture
def make_source() -> type[TinySource]:
    return TinySource


@pytest.fixture
def tiny_architecture() -> Architecture:
    return Architecture("tiny", "for tests", _encoder, _decoder, _initialise)


@pytest.fixture
def federation() -> Federation:
    return Federation(
        clients_per_round=2,
        learning_rate=0.05,
        evaluate_every=2,
        training=LocalTraining(epochs=2, batch_size=2, look_ahead_every=2),
    )
