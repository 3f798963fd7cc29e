"""Write how the baselines stand at both lengths, and the row set at the paper's length."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.multitask.splitting.points import BASELINES, FORMER, PARTS, POINTS, Point
from analysis.multitask.splitting.rows import StudyRow
from analysis.multitask.splitting.summary import REFERENCE, Standing, standing, taken
from analysis.multitask.splitting.table import NOT_RUN, change, times

LONG = "paper-hold"
SHOWN = ("all-in-one", "mas:splits=2", "mas:splits=3", "mas-plus")
BESIDE = {"together": "mas:splits=2", "unlike": "apart"}
"""Part → the method whose processor time is that of one; else all-in-one."""


def baselines(rows: Sequence[StudyRow]) -> str:
    """Return a row for each baseline: loss against independent training, seconds, at each length.

    Losses are against independent training of the same seed and descent, processor seconds against
    `BESIDE` in the same run.
    """
    head = ["method"]
    for rounds in FORMER:
        head += [f"{rounds} rounds: seeds", "total test loss", "processor time"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    parts = dict.fromkeys(point.axis for point in BASELINES)
    for part in parts:
        points = [point for point in BASELINES if point.axis == part]
        for method in _listed(part):
            cells = [cell for point in points for cell in _cells(rows, point, method)]
            lines.append(f"| `{method}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _listed(part: str) -> list[str]:
    """Return what a part adds to the table: all-in-one stands in the first alone."""
    shown_before = {"all-in-one"} if part != "cheap" else set()
    return [method for method in PARTS[part] if method not in shown_before]


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
    lines = [
        "| method, 100 rounds | processor time / independent | total test loss / independent "
        "| seeds |",
        "|---|---|---|---|",
    ]
    return "\n".join([*lines, *(_paper_row(one) for one in found)]) + "\n"


def _paper_row(one: Standing) -> str:
    name = "mas-plus (ours)" if one.method == "mas-plus" else one.method
    if one.cpu is None or one.loss is None:
        return f"| {name} | {NOT_RUN} | {NOT_RUN} | |"
    return f"| {name} | {times(one.cpu, 2)} | {times(one.loss, 3)} | {len(one.seeds)} |"
