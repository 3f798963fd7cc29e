"""Small interactions, and methods carried out on them without a run."""

import numpy as np
import pytest

from harness.workloads.unlearning.data.generated import Generated
from harness.workloads.unlearning.methods.base import World
from harness.workloads.unlearning.methods.registry import parse
from harness.workloads.unlearning.training import Training

SMALL = Generated(60, 50, 12.0)


@pytest.fixture(scope="session")
def small():
    """Interactions of 60 users with 50 items."""
    return SMALL.draw(0)


class Carried:
    """Carry out a method step by step."""

    def __init__(self, data, text, model="wmf", epochs=2, seed=0):
        self.world = World(data, Training(model, 8, epochs, 64), seed)
        self.method = parse(text).build()
        self.gone: tuple[int, ...] = ()
        self.state = {}
        for _, steps in self.method.prepare(self.world):
            self._do(steps)

    def _do(self, steps):
        for step in steps:
            self.state, self.work = step.carry_out(self.world, self.state)

    @property
    def kept(self):
        return np.setdiff1d(self.world.data.everyone, self.gone)

    def forget(self, *users):
        self.gone += users
        gone = np.array(sorted(users))
        self._do(self.method.forget(self.world, self.state, gone, self.kept))
        return self

    @property
    def serving(self):
        return self.method.serving(self.world, self.state, self.kept)


@pytest.fixture
def carried(small):
    """Return a function that prepares a method on the small interactions."""
    return lambda text, **how: Carried(small, text, **how)
