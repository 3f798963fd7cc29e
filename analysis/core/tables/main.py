"""Table 1: what each method costs on each device, and the loss it buys."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pandas as pd

from analysis.core.basis import cost_basis
from analysis.core.curves import cell_curves, cost_to_target
from analysis.core.loading import Run
from analysis.core.numbers import method_value, summarise
from analysis.core.tables.fields import (
    MethodColumn,
    cell_column,
    energy_columns,
    method_rows_table,
    partial_energy_words,
    time_columns,
)
from analysis.core.tables.table import Absent, Content, Heading, Table
from analysis.core.words import spread_words
from harness.evidence.yardstick import LOSS


def main_table(runs: Sequence[Run]) -> Table | None:
    """Return one row per run and method: time, energy, power, cost to target, loss."""
    target = _target_column(runs)
    columns = [
        *time_columns(runs),
        *energy_columns(runs),
        MethodColumn(Heading("power_w", "Mean power, measured", "W"), _mean_power),
        *([target] if target else []),
        *_judged_column(runs),
        cell_column(Heading("delta_mtl", "Δ loss", "%", "high")),
        cell_column(Heading("delta_metric", "Δ measures", "%", "high")),
        cell_column(Heading("peak_memory_mb", "Peak memory", "MB", "low"), "peak_memory_bytes"),
        *_gpu_memory_column(runs),
    ]
    judged = runs[0].manifest.yardstick
    what = "Cost and loss" if judged.objective else "Cost"
    words = [f"{what} of each {judged.noun}. {spread_words(runs)}", *partial_energy_words(runs)]
    if target:
        words.append(
            f"To target: {target.heading.title.removesuffix(' to target').lower()} spent when the "
            f"total test loss first reached what {judged.reference} of the same seed ended with."
        )
    elif len(runs) > 1 and judged.objective:
        words.append("No cost to target: the runs share no one kind of energy.")
    return method_rows_table("main", " ".join(words), runs, columns)


def _gpu_memory_column(runs: Sequence[Run]) -> list[MethodColumn]:
    """Return the peak of GPU memory, where a GPU trained in any run."""
    name = "peak_gpu_memory_bytes"
    if not any(name in run.done and run.done[name].notna().any() for run in runs):
        return []
    heading = Heading("peak_gpu_memory_mb", "Peak GPU memory", "MB", "low")
    return [cell_column(heading, name, why_empty="A processor trained.")]


def _judged_column(runs: Sequence[Run]) -> list[MethodColumn]:
    """Return the column that methods are judged by: total loss, or the workload's own objective."""
    done = [run.done for run in runs]
    if any(LOSS in rows and rows[LOSS].notna().any() for rows in done):
        heading = Heading(LOSS, "Total loss", "", "low")
        return [cell_column(heading, why_empty="No total loss")]
    judged = runs[0].manifest.yardstick
    if not judged.objective:
        return []
    words = (judged.words or "objective").capitalize()
    heading = Heading("objective_value", words, "", "high" if judged.better == "higher" else "low")
    return [cell_column(heading, why_empty="None")]


def _mean_power(run: Run, method: str) -> Content:
    """Return measured joules per second of the charged phases, seed by seed."""
    cells = run.done.assign(power_w=run.done["energy_j"] / run.done["time_s"])
    by = run.manifest.yardstick.paired_by
    return method_value(cells, method, "power_w", by=by) or Absent("No measured energy.")


def _target_column(runs: Sequence[Run]) -> MethodColumn | None:
    """Return the cost to target in the one basis all runs share, or None if they share none."""
    if not runs[0].manifest.yardstick.objective:
        return None
    bases = {run.run_id: cost_basis(run) for run in runs}
    kinds = {(basis.kind, basis.quantity) for basis in bases.values()}
    if len(kinds) != 1:
        return None
    basis = next(iter(bases.values()))
    words = {"measured": "Energy", "modelled": "Modelled energy", "time": basis.quantity}
    key = {"measured": "energy_to_target_j", "modelled": "energy_model_to_target_j"}.get(
        basis.kind, basis.column.replace("_s", "_to_target_s")
    )
    heading = Heading(key, f"{words[basis.kind]} to target", basis.unit, "low")

    @cache
    def reached(run_id: str) -> pd.DataFrame:
        run = next(run for run in runs if run.run_id == run_id)
        curves = cell_curves(run, bases[run_id])
        return cost_to_target(curves, run.manifest.yardstick.reference)

    def content(run: Run, method: str) -> Content:
        return target_content(reached(run.run_id), method, run.manifest.yardstick.reference)

    return MethodColumn(heading, content)


def target_content(reached: pd.DataFrame, method: str, reference: str) -> Content:
    """Return the mean cost to target; none if a seed missed it, for the rest would look cheap."""
    own = reached[reached["method"] == method]
    if own.empty:
        return Absent(f"No {reference} cell of the same seeds sets a target.")
    hits = int(own["cost"].notna().sum())
    if hits < len(own):
        return Absent(f"Target reached by {hits} of {len(own)} seeds.")
    return summarise(own["cost"])
