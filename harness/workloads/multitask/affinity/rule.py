"""Name the ways in which affinity may be measured; plain data, so that planning needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

PROJECTED, PROXIMAL = "projected", "proximal"
MODES = ("exact", "linear", PROJECTED, PROXIMAL)
STEPLESS = (PROJECTED, PROXIMAL)
"""Ways that try no step beside the training steps."""

SIGNS_ALIKE, SIZE_RATIO = "linear_signs_alike", "linear_over_exact"
"""Metrics by which a run says how linear affinity agrees with exact."""

SIGNS_NEEDED = 0.7
"""Share of signs that linear affinity must have as exact; with less a group rests on chance: of 20
pairs tossed at random 14 or more are right once in 17 times (binomial)."""

FEW_SIGNS = "take affinity=exact"
"""What is to be done below."""


@dataclass(frozen=True)
class AffinityRule:
    """Say how a job measures affinity, and how often.

    `exact` tries every task's step and looks at the losses after it; `linear` foretells them from
    inner products of gradients, and the first client of the first round takes its look-aheads both
    ways, so that the run says how well they agree; `projected` fits the losses of images in their
    gradients, shortened by a random projection; `proximal` sees losses while a training step is
    taken task by task, and so is the one way that changes the training. `every` is the number of
    batches from one look-ahead to the next (default: the run's). With `momentum` the step tried is
    the optimizer's next one, its momentum included; without, as in the published code, a step of
    plain descent.
    """

    mode: str = "exact"
    every: int | None = None
    momentum: bool = False

    @property
    def trains(self) -> bool:
        """Say whether steps that measure are other ones than those that do not."""
        return self.mode == PROXIMAL
