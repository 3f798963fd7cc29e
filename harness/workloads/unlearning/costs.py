"""Take the cost of a job or of the preparation out of what sessions of a cell measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.core.schema import COST_PHASES
from harness.records.cost import SegmentCost
from harness.records.phases import Label


@dataclass(frozen=True)
class Charge:
    """Hold what some stretches took together; `energy_j` is None if one has no reading."""

    time_s: float
    energy_j: float | None
    energy_error_j: float | None
    reason: str
    energy_model_j: float


def charge(
    figures: Sequence[SegmentCost], belongs: Callable[[Label], bool], no_meter: str
) -> Charge:
    """Return what the stretches whose label `belongs` took."""
    own = [figure for figure in figures if belongs(figure.segment.label)]
    readings = [figure.reading for figure in own]
    known = [r for r in readings if r is not None and r.energy_j is not None]
    whole = bool(own) and len(known) == len(own)
    reasons = dict.fromkeys(
        r.reason if r is not None else no_meter for r in readings if r is None or r.reason
    )
    return Charge(
        math.fsum(figure.segment.time_s for figure in own),
        math.fsum(r.energy_j for r in known if r.energy_j is not None) if whole else None,
        math.fsum(r.error_j or 0.0 for r in known) if whole else None,
        "" if whole else "; ".join(reasons) or no_meter or "nothing was measured",
        math.fsum(figure.energy_model_j for figure in own),
    )


def of_setup(label: Label) -> bool:
    """Say whether a stretch is charged to being ready."""
    return label.phase in COST_PHASES and label.round_index is None


def of_job(job: str) -> Callable[[Label], bool]:
    """Return what says whether a stretch is charged to a job."""
    return lambda label: label.job == job and label.phase in COST_PHASES


def in_window(job: str) -> Callable[[Label], bool]:
    """Return what says whether a stretch is in the window of a job: charged, or its repeats."""
    return lambda label: label.job == job and label.phase in (*COST_PHASES, "repeat")
