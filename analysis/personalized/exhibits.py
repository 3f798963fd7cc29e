"""List the tables and figures of runs of personalised models, and say what teachers teach."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.core.exhibits import CommonExhibits, Series, tables_of_any_run
from analysis.core.figures import breakdown, fleet, power, stability
from analysis.core.tables.main import main_table
from analysis.personalized.figures import bill, block_map, growth, joules
from analysis.personalized.frames import CONTROL, accuracies, differences, has_teachers
from analysis.personalized.tables import (
    accuracy_table,
    device_table,
    party_table,
    teacher_table,
)
from harness.evidence.paired import half_widths, without_spread

if TYPE_CHECKING:
    from analysis.core.loading import Run
    from analysis.core.tables.table import Table


class PersonalizedExhibits(CommonExhibits):
    """Show what runs of personalised models have."""

    figures: Sequence[Series] = (
        joules, bill, growth, block_map, breakdown, power, stability, fleet,
    )  # fmt: skip

    def tables(self, runs: Sequence[Run]) -> Sequence[Table | None]:
        """Return accuracy beside its controls first, then costs by party and device class."""
        return [
            accuracy_table(runs),
            main_table(runs),
            party_table(runs),
            teacher_table(runs),
            device_table(runs),
            *tables_of_any_run(runs),
        ]

    def remarks(self, run: Run) -> Sequence[str]:
        """Say for every method with teachers what these add to a teacher that knows nothing."""
        return [_remark(run, method) for method in run.methods if has_teachers(method)]


def _remark(run: Run, method: str) -> str:
    found = differences(run, method, CONTROL, accuracies(run))
    if not found:
        return (
            f"{method}: {CONTROL}, the control whose teacher knows nothing, did not run, so nothing"
            " can be said of what its teachers teach."
        )
    points = [100.0 * difference for difference in found]
    mean, halves = math.fsum(points) / len(points), half_widths(points)
    text = f"{method} is {mean:+.1f} points of accuracy from {CONTROL}, the control"
    text += " whose teacher knows nothing"
    if halves is None:
        return _signs(f"{text}; one seed has no interval.")
    if without_spread(points):
        return _signs(f"{text}, in each of {len(points)} seeds: too coarse to show a spread.")
    low, high = mean - halves[0], mean + halves[1]
    words = "so it is not shown that what its teachers know matters"
    if low > 0 or high < 0:
        words = f"so what its teachers know {'helps' if low > 0 else 'harms'}"
    return _signs(f"{text} (95 % interval {low:+.1f} to {high:+.1f}), {words}.")


def _signs(text: str) -> str:
    """Return a text with minus signs before numbers, and hyphens left in names."""
    return re.sub(r"(?<![\w])-(?=\d)", "−", text)


EXHIBITS = PersonalizedExhibits()
