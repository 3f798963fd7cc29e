"""Write what `mas-plus` reaches against single tasks of the very same descent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from analysis.multitask.splitting.points import PARTS, Point
from analysis.multitask.splitting.rows import StudyRow
from analysis.multitask.splitting.summary import REFERENCE, column, taken
from analysis.multitask.splitting.table import NOT_RUN, grid, times
from harness.evidence.paired import PairedRatio, paired_ratio, ratio_of, t_quantile

TASKS = "sdnkt"
CONFIDENCE = 0.95
HEAD = (
    "against `independent`, equally trained", "seeds", "processor time, times less", "total loss",
    "its one-sided 95 % limit", "on unseen buildings", *TASKS,
)  # fmt: skip


def claim_table(rows: Sequence[StudyRow], point: Point) -> str:
    """Return a row for each variant: ratios to single tasks of the same seeds, 95 % intervals."""
    (part,) = point.seeds
    base = taken(rows, point.name, REFERENCE)
    lines = [
        _line(method, taken(rows, point.name, method), base)
        for method in PARTS[part]
        if method != REFERENCE
    ]
    return grid(HEAD, lines)


def _line(method: str, own: Mapping[int, StudyRow], base: Mapping[int, StudyRow]) -> list[str]:
    less = paired_ratio(column(base, "cpu_s"), column(own, "cpu_s"))
    total = paired_ratio(column(own, "total_loss"), column(base, "total_loss"))
    if less is None or total is None:
        return [f"`{method}`", "", *[NOT_RUN] * (len(HEAD) - 2)]
    unseen = paired_ratio(column(own, "unseen_total_loss"), column(base, "unseen_total_loss"))
    return [
        f"`{method}`", str(len(total.seeds)), times(less, 2), times(total, 3), _limit(total),
        "–" if unseen is None else times(unseen, 3), *(_of_task(own, base, t) for t in TASKS),
    ]  # fmt: skip


def _limit(ratio: PairedRatio) -> str:
    """Return the upper end of the one-sided interval, Student's t on the logarithms.

    Where the ratio has no interval, as its pairs show no spread, it has no such end.
    """
    upper = None if ratio.interval is None else one_sided(ratio.logs)
    return "–" if upper is None else f"{upper:.3f}"


def one_sided(logs: Sequence[float]) -> float | None:
    """Return what the geometric mean stays below by 95 %; None for fewer than two logarithms."""
    n = len(logs)
    if n < 2:
        return None
    mean = math.fsum(logs) / n
    variance = math.fsum((x - mean) ** 2 for x in logs) / (n - 1)
    return ratio_of(mean + t_quantile(CONFIDENCE, n - 1) * math.sqrt(variance / n))


def _of_task(own: Mapping[int, StudyRow], base: Mapping[int, StudyRow], task: str) -> str:
    ratio = paired_ratio(_losses(own, task), _losses(base, task))
    return "–" if ratio is None else times(ratio, 3)


def _losses(rows: Mapping[int, StudyRow], task: str) -> dict[int, float]:
    return {s: r.task_losses[task] for s, r in rows.items() if task in r.task_losses}
