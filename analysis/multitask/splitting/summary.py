"""Compare the methods of each point of the map with independent training of the same seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.multitask.splitting.points import PARTS, POINTS, Point
from analysis.multitask.splitting.rows import StudyRow
from harness.evidence.paired import PairedRatio, paired_ratio

REFERENCE = "independent"


@dataclass(frozen=True)
class Standing:
    """Hold how one method stands at one point; without rows it was not run.

    `loss`, `unseen` and `cpu` are ratios to independent training of the same seeds: of test losses,
    of those on buildings no client owns, of processor seconds. `mean_loss` and `mean_cpu_s` are
    plain means over the method's own seeds.
    """

    point: Point
    method: str
    seeds: tuple[int, ...] = ()
    mean_loss: float | None = None
    mean_cpu_s: float | None = None
    loss: PairedRatio | None = None
    unseen: PairedRatio | None = None
    cpu: PairedRatio | None = None
    split_sure: float | None = None
    groups: tuple[str, ...] = ()


def methods_of(point: Point) -> list[str]:
    """Return the methods of a point's runs, each once, the reference first."""
    return list(dict.fromkeys(m for part in point.seeds for m in PARTS[part]))


def standings(rows: Sequence[StudyRow], points: Sequence[Point] = POINTS) -> list[Standing]:
    """Return every method at every point, also those that were not run."""
    return [
        standing(rows, point, method, taken(rows, point.name, REFERENCE))
        for point in points
        for method in methods_of(point)
    ]


def taken(rows: Sequence[StudyRow], point: str, method: str) -> dict[int, StudyRow]:
    """Return a method's rows at a point by seed."""
    return {r.seed: r for r in rows if (r.point, r.method) == (point, method)}


def standing(
    rows: Sequence[StudyRow], point: Point, method: str, base: Mapping[int, StudyRow]
) -> Standing:
    """Return how a method stands at a point against the rows of a reference, by seed."""
    own = taken(rows, point.name, method)
    if not own:
        return Standing(point, method)
    sure = [r.split_sure for r in own.values() if r.split_sure is not None]
    return Standing(
        point,
        method,
        tuple(sorted(own)),
        _mean([r.total_loss for r in own.values()]),
        _mean([r.cpu_s for r in own.values()]),
        paired_ratio(column(own, "total_loss"), column(base, "total_loss")),
        paired_ratio(column(own, "unseen_total_loss"), column(base, "unseen_total_loss")),
        paired_ratio(column(own, "cpu_s"), column(base, "cpu_s")),
        _mean(sure) if sure else None,
        tuple(own[seed].groups for seed in sorted(own)),
    )


def column(rows: Mapping[int, StudyRow], name: str) -> dict[int, float]:
    """Return a figure of rows by seed, where it is known."""
    values = {seed: getattr(row, name) for seed, row in rows.items()}
    return {seed: float(value) for seed, value in values.items() if value is not None}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
