"""Take the cost of a request or of being ready out of all that was measured of a cell."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from harness.core.schema import COST_PHASES
from harness.records.cells import CellResult
from harness.records.cost import SegmentCost

IN_WINDOW = (*COST_PHASES, "repeat")


@dataclass(frozen=True)
class Stretch:
    """Hold one stretch of a phase, of this host or of a board of a fleet."""

    phase: str
    job: str
    round_index: int | None
    board: int | None
    time_s: float
    energy_j: float | None
    energy_error_j: float | None
    reason: str
    energy_model_j: float


@dataclass(frozen=True)
class Charge:
    """Hold what some stretches took together; `energy_j` is None if one has no reading."""

    time_s: float
    energy_j: float | None
    energy_error_j: float | None
    reason: str
    energy_model_j: float


Belongs = Callable[[Stretch], bool]


def stretches(result: CellResult) -> list[Stretch]:
    """Return all stretches of a cell; what boards reported in place of this host's, if any did."""
    if result.remote is not None:
        return list(map(_reported, _kept(result.remote.rows)))
    reason = result.cost.energy_reason
    return [
        _own(figure, reason) for part in result.session_costs for figure in part.figures
    ]  # fmt: skip


def _own(figure: SegmentCost, no_meter: str) -> Stretch:
    segment, label, reading = figure.segment, figure.segment.label, figure.reading
    return Stretch(
        label.phase, label.job, label.round_index, label.client, segment.time_s,
        reading.energy_j if reading else None, reading.error_j if reading else None,
        reading.reason if reading else no_meter or "nothing was measured", figure.energy_model_j,
    )  # fmt: skip


def _kept(rows: Iterable[Any]) -> Iterator[Any]:
    """Yield rows of devices.csv whose work was done once and whose time is known."""
    return (r for r in rows if r.get("fate") != "lost" and r.get("time_s") is not None)


def _reported(row: Any) -> Stretch:  # noqa: ANN401 - a row of devices.csv
    return Stretch(
        str(row["phase"]), str(row["job"]), row["round"], row["client"], row["time_s"],
        row["energy_j"], row["energy_error_j"], str(row["energy_reason"] or ""),
        row["energy_model_j"] or 0.0,
    )  # fmt: skip


def charge(found: Iterable[Stretch], belongs: Belongs) -> Charge:
    """Return what the stretches that `belongs` chooses took."""
    own = [stretch for stretch in found if belongs(stretch)]
    known = [s.energy_j for s in own if s.energy_j is not None]
    whole = bool(own) and len(known) == len(own)
    reasons = dict.fromkeys(s.reason for s in own if s.energy_j is None and s.reason)
    return Charge(
        math.fsum(s.time_s for s in own),
        math.fsum(known) if whole else None,
        math.fsum(s.energy_error_j or 0.0 for s in own) if whole else None,
        "" if whole else "; ".join(reasons) or "nothing was measured",
        math.fsum(s.energy_model_j for s in own),
    )


def of_setup(stretch: Stretch) -> bool:
    """Say whether a stretch is charged to being ready, on one device."""
    return stretch.phase in COST_PHASES and stretch.round_index is None


def in_window(job: str) -> Belongs:
    """Return what chooses the window of a job: what is charged, and its repeats."""
    return lambda s: s.job == job and s.phase in IN_WINDOW


def of_round(board: int, number: int, phases: tuple[str, ...] = COST_PHASES) -> Belongs:
    """Return what chooses the stretches of a board in a round."""
    mine = tuple(phase for phase in phases if phase not in {"communicate", "train"})
    return lambda s: s.board == board and s.round_index == number and s.phase in mine
