"""Table 3: energy and time of each phase, one table for every kind of number."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.core.loading import Run
from analysis.core.numbers import energy_sources, measured_by, source_words, summarise
from analysis.core.tables.fields import MethodColumn, method_rows_table
from analysis.core.tables.table import Absent, Content, Heading, Table
from analysis.core.words import spread_words
from harness.core.schema import COST_PHASES, SERVER_PHASES

SHOWN = (*COST_PHASES, "evaluate")
ALWAYS = ("train", "affinity", "aggregate", "communicate", "evaluate")
"""Phases with a column even where no method has them; others have one where some method does."""


def phase_tables(runs: Sequence[Run]) -> list[Table]:
    """Return one table per kind: measured energy of each meter, modelled energy, time."""
    sources = list(dict.fromkeys(s for run in runs for s in energy_sources(run.done)))
    tables = []
    for number, source in enumerate(sources):
        name = "phase_energy" if number == 0 else f"phase_energy_{number + 1}"
        words = f"Measured energy by phase ({source[0]}: {source_words(source)})."
        tables.append(_table(runs, name, words, "energy_j", source))
    words = "Modelled energy by phase, computed from the device profile and not measured."
    tables.append(_table(runs, "phase_energy_modelled", words, "energy_model_j"))
    tables.append(_table(runs, "phase_time", "Time by phase on the host that ran.", "time_s"))
    return [table for table in tables if table is not None]


def phase_means(
    cells: pd.DataFrame, phases: pd.DataFrame, column: str, *, fleet: bool = False
) -> pd.DataFrame:
    """Return the total of each phase per method and seed, repeats averaged.

    A cell counts only if every one of its charged phases has the number; a phase that a cell has
    but without number, such as an evaluation, is left out of it. So is the averaging of a fleet's
    server, whose energy is no device's.

    Returns:
        Columns method, seed, phase, value.
    """
    rows = phases[phases["phase"].isin(SHOWN)].merge(
        cells[["cell", "method", "seed"]], on="cell", how="inner"
    )
    unmeasured = rows["phase"].isin(["evaluate", *(["aggregate", *SERVER_PHASES] if fleet else [])])
    gaps = rows.loc[rows[column].isna() & ~unmeasured, "cell"]
    rows = rows[~rows["cell"].isin(set(gaps))].dropna(subset=[column])
    if rows.empty:
        return pd.DataFrame(columns=["method", "seed", "phase", "value"])
    wide = rows.pivot_table(
        index=["method", "seed", "cell"], columns="phase", values=column, aggfunc="sum"
    )
    means = wide.fillna(0.0).groupby(["method", "seed"]).mean().reset_index()
    return means.melt(id_vars=["method", "seed"], var_name="phase", value_name="value")


def _table(
    runs: Sequence[Run],
    name: str,
    words: str,
    column: str,
    source: tuple[str, str, str] | None = None,
) -> Table | None:
    found = {
        run.run_id: phase_means(
            run.done if source is None else measured_by(run.done, source),
            run.phases,
            column,
            fleet=run.is_fleet,
        )
        for run in runs
    }
    unit = "s" if column == "time_s" else "J"
    known = [run for run in runs if len(found[run.run_id])]
    had = {*ALWAYS, *(phase for means in found.values() for phase in means["phase"])}

    def read(phase: str) -> MethodColumn:
        title = "Evaluate, not charged" if phase == "evaluate" else phase.capitalize()

        def content(run: Run, method: str) -> Content:
            means = found[run.run_id]
            own = means[(means["method"] == method) & (means["phase"] == phase)]
            if not len(own) or not own["value"].any():
                return Absent("The method has no such phase, or it was not measured.")
            return summarise(own["value"])

        return MethodColumn(Heading(f"{phase}_{unit.lower()}", title, unit, "low"), content)

    columns = [read(phase) for phase in SHOWN if phase in had]
    return method_rows_table(name, f"{words} {spread_words(known)}", known, columns)
