"""Name how a client's steps follow from gradients and rounds; plain data, no torch needed."""

from __future__ import annotations

import math
from dataclasses import dataclass

NESTEROV = "nesterov"
OPTIMIZERS = ("heavy-ball", NESTEROV)
SCHEDULES = ("polynomial", "hold")

MINIMUM_LEARNING_RATE = 3e-5
"""Floor of the schedules; the published training stops there."""


@dataclass(frozen=True)
class Descent:
    """Say which kind of SGD with momentum is used and how the learning rate falls.

    `heavy-ball` with `polynomial` is the paper's. `nesterov` looks along the velocity before it
    takes the gradient (Sutskever et al., ICML 2013). `hold` keeps the first rate for half of the
    rounds and then lets it fall in a straight line to 0 (Hägele et al., NeurIPS 2024): where rounds
    are few, a rate that falls from the first on wastes many. `factor` multiplies the run's rate.
    """

    optimizer: str = "heavy-ball"
    schedule: str = "polynomial"
    factor: float = 1.0

    @property
    def nesterov(self) -> bool:
        """Say whether the gradient is taken ahead along the velocity."""
        return self.optimizer == NESTEROV

    def rate(self, base: float, round_index: int, horizon: int) -> float:
        """Return the learning rate of a round of `horizon`, never below its floor."""
        first = base * self.factor
        if self.schedule == "polynomial":
            return polynomial_rate(first, round_index, horizon)
        rate = first * min(1.0, 2.0 * (1.0 - round_index / horizon))
        return max(rate, min(first, MINIMUM_LEARNING_RATE))


def polynomial_rate(base: float, round_index: int, horizon: int, power: float = 0.9) -> float:
    """Return base·(1 − round/horizon)^power, as in the MAS paper, never below its floor."""
    rate = base * math.pow(1.0 - round_index / horizon, power)
    return max(rate, min(base, MINIMUM_LEARNING_RATE))
