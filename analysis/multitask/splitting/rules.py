"""Write how the baselines stand at both lengths, and the row set at the paper's length."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.multitask.splitting.points import (
    BASELINES,
    FORMER,
    LABELS,
    PARTS,
    POINTS,
    RULES,
    Point,
)
from analysis.multitask.splitting.rows import StudyRow
from analysis.multitask.splitting.summary import REFERENCE, Standing, standing, taken
from analysis.multitask.splitting.table import NOT_RUN, change, grid, times

LONG = "paper-hold"
SHOWN = ("all-in-one", "mas:splits=2", "mas:splits=3", "mas-plus")
BESIDE = {"together": "mas:splits=2", "unlike": "apart", "kinds": "apart"}
"""Part → the method whose processor time is that of one; else all-in-one."""


def baselines(rows: Sequence[StudyRow]) -> str:
    """Return a row for each baseline: loss against independent training, seconds, at each length.

    Losses are against independent training of the same seed and descent, processor seconds against
    `BESIDE` in the same run.
    """
    head = ["method"]
    for rounds in FORMER:
        head += [f"{rounds} rounds: seeds", "total test loss", "processor time"]
    lines = []
    for part in RULES:
        points = [point for point in BASELINES if point.axis == part]
        for method in PARTS[part]:
            if method == "all-in-one" and part != RULES[0]:  # what others are compared with
                continue
            cells = (cell for point in points for cell in _cells(rows, point, method))
            lines.append([_named(method, part), *cells])
    return grid(head, lines)


def _named(method: str, part: str) -> str:
    kinds = LABELS.get(part, "").replace("|", r"\|")
    return f"`{method}`, clients with {kinds}" if kinds else f"`{method}`"


def _cells(rows: Sequence[StudyRow], point: Point, method: str) -> list[str]:
    loss = standing(rows, point, method, taken(rows, FORMER[point.rounds], REFERENCE)).loss
    beside = BESIDE.get(point.axis, "all-in-one")
    own = standing(rows, point, method, taken(rows, point.name, beside))
    if not own.seeds:
        return ["", NOT_RUN, NOT_RUN]
    time = "–" if own.cpu is None else f"{own.cpu.ratio:.2f}"
    return [str(len(own.seeds)), change(loss), time]


def paper_rows(rows: Sequence[StudyRow]) -> str:
    """Return how methods stand against independent training at the paper's length, as ratios."""
    (point,) = (p for p in POINTS if p.name == LONG)
    base = taken(rows, LONG, REFERENCE)
    found = [standing(rows, point, method, base) for method in SHOWN]
    head = ("method, 100 rounds", "processor time / independent", "total test loss / independent",
            "seeds")  # fmt: skip
    return grid(head, [_paper_row(one) for one in found])


def _paper_row(one: Standing) -> list[str]:
    name = "mas-plus (ours)" if one.method == "mas-plus" else one.method
    if one.cpu is None or one.loss is None:
        return [name, NOT_RUN, NOT_RUN, ""]
    return [name, times(one.cpu, 2), times(one.loss, 3), str(len(one.seeds))]
