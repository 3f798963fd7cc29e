"""Name the ways in which affinity may be measured; plain data, so that planning needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

MODES = ("exact", "linear")


@dataclass(frozen=True)
class AffinityRule:
    """Say how a job measures affinity, and how often.

    `exact` tries every task's step and looks at the losses after it; `linear` foretells them from
    inner products of gradients. `every` is the number of batches from one look-ahead to the next
    (default: the run's). With `momentum` the step tried is the optimizer's next one, its momentum
    included; without, as in the published code, a step of plain descent.
    """

    mode: str = "exact"
    every: int | None = None
    momentum: bool = False
