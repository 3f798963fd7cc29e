"""List the tables and figures of runs of personalised models, and say what teachers teach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.core.exhibits import CommonExhibits, Series
from analysis.core.figures import breakdown, fleet, power, stability
from analysis.core.numbers import summarise
from analysis.core.tables.cost import cost_table
from analysis.core.tables.fleet import fleet_table
from analysis.core.tables.main import main_table
from analysis.core.tables.pairs import pair_table
from analysis.core.tables.phases import phase_tables
from analysis.core.tables.setup import settings_table, setup_table
from analysis.core.tables.variants import variant_table
from analysis.personalized.figures import bill, block_map, growth, joules
from analysis.personalized.frames import CONTROL, accuracies, differences, has_teachers
from analysis.personalized.tables import (
    accuracy_table,
    device_table,
    party_table,
    teacher_table,
)

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
            *phase_tables(runs),
            fleet_table(runs),
            setup_table(runs),
            pair_table(runs),
            variant_table(runs),
            settings_table(runs),
            cost_table(runs),
        ]

    def remarks(self, run: Run) -> Sequence[str]:
        """Say for every method with teachers what these add to a teacher that knows nothing."""
        return [_remark(run, method) for method in run.methods if has_teachers(method)]


def _remark(run: Run, method: str) -> str:
    found = summarise(differences(run, method, CONTROL, accuracies(run)), 100.0)
    if found is None:
        return (
            f"{method}: {CONTROL}, the control whose teacher knows nothing, did not run, so nothing"
            " can be said of what its teachers teach."
        )
    text = f"{method} is {found.mean:+.1f} points of accuracy from {CONTROL}, the control"
    text += " whose teacher knows nothing"
    if found.half_width is None:
        return f"{text}; one seed has no interval.".replace("-", "−")
    low, high = found.mean - found.half_width, found.mean + found.half_width
    shown = low > 0 or high < 0
    words = (
        "so what its teachers know " + ("helps" if low > 0 else "harms")
        if shown else "so it is not shown that what its teachers know matters"
    )  # fmt: skip
    return f"{text} (95 % interval {low:+.1f} to {high:+.1f}), {words}.".replace("-", "−")


EXHIBITS = PersonalizedExhibits()
