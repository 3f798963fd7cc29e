"""Tables of a run's components: their joules, and how far witnesses agree with the sum."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.core.component_data import KEYS, agreements, component_means
from analysis.core.loading import Run
from analysis.core.numbers import SeedMean
from analysis.core.tables.table import Absent, Content, Heading, Table
from analysis.core.words import provenance

NO_FIGURE = Absent("Not all of it was measured: components.csv says why.")
WALL = "wall"


def component_table(runs: Sequence[Run]) -> Table | None:
    """Return a row per method and rail; None if no run has more than one rail."""
    known = [run for run in runs if run.components is not None]
    rows: list[list[Content]] = []
    for run in known:
        means = component_means(run)
        if len(means[KEYS].drop_duplicates()) < 2:
            continue
        rows += [
            [*map(str, names), _value(float(energy_j), cells), _value(float(error_j), cells)]
            for *names, energy_j, error_j, cells in means.to_numpy().tolist()
        ]
    if not rows:
        return None
    return Table(
        "components",
        "Measured joules of each component of a cell, means over cells. A total is added up; a part"
        " lies within a total; a witness was recorded beside and is in no sum. The bound is that of"
        " one cell.",
        [
            Heading("method", "Method"), Heading("component", "Component"),
            Heading("meter", "Meter"), Heading("rail", "Rail"), Heading("role", "Role"),
            Heading("energy_j", "Energy", "J"), Heading("energy_error_j", "Bound", "J"),
        ],
        rows,
        provenance(known),
        key_columns=5,
    )  # fmt: skip


def _value(number: float, cells: int) -> Content:
    return NO_FIGURE if number != number else SeedMean(float(number), None, cells)  # noqa: PLR0124


def witness_table(runs: Sequence[Run]) -> Table | None:
    """Return a row per run and witness; None without a witness that has figures."""
    known = [run for run in runs if run.components is not None]
    rows: list[list[Content]] = []
    for run in known:
        found = agreements(run)
        for (witness, component), own in found.groupby(["witness", "component"], sort=False):
            ratios = own["ratio"]
            low, middle, high = ratios.min(), ratios.median(), ratios.max()
            rows.append([
                str(witness), str(component), str(len(own)),
                *(SeedMean(float(ratio), None, len(own)) for ratio in (low, middle, high)),
                _rest(str(component), float(own["rest_j"].median())),
            ])  # fmt: skip
    if not rows:
        return None
    return Table(
        "witnesses",
        "Witnesses over the sum of the meters that were added up: ratio of joules over windows,"
        " each a cell or one phase of it. A plug sees the losses of the power supply and all else"
        " that it feeds, so its ratio lies above 1.",
        [
            Heading("witness", "Witness"), Heading("component", "Sees"),
            Heading("windows", "Windows"), Heading("ratio_min", "Ratio, least"),
            Heading("ratio_median", "Ratio, median"), Heading("ratio_max", "Ratio, most"),
            Heading("difference", "Difference, median"),
        ],
        rows,
        provenance(known),
        key_columns=2,
    )  # fmt: skip


def _rest(component: str, rest_j: float) -> str:
    """Return the difference in words."""
    if component != WALL:
        return f"{rest_j:+.3g} J"
    return f"{rest_j:+.3g} J: losses of the power supply, and all else behind the plug"
