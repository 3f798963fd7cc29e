"""Joules per component of a run, and how far witnesses agree with what was added up."""

from __future__ import annotations

import pandas as pd

from analysis.core.loading import Run

KEYS = ["component", "meter", "rail", "role"]


def component_means(run: Run) -> pd.DataFrame:
    """Return the joules of every rail over whole cells, per method: the mean of finished cells.

    A rail that lacks a figure in one cell has none.

    Returns:
        Columns method, component, meter, rail, role, energy_j, error_j (mean bound), cells.
    """
    columns = ["method", *KEYS, "energy_j", "error_j", "cells"]
    rows = _whole(run)
    if rows.empty:
        return pd.DataFrame(columns=columns)
    grouped = rows.groupby(["method", *KEYS], sort=False, dropna=False)
    found = grouped.agg(
        energy_j=("energy_j", lambda own: own.mean(skipna=False)),
        error_j=("energy_error_j", lambda own: own.mean(skipna=False)),
        cells=("cell", "nunique"),
    )
    return found.reset_index()[columns]


def _whole(run: Run) -> pd.DataFrame:
    """Return the rows of whole finished cells, with their method."""
    if run.components is None:
        return pd.DataFrame()
    own = run.components[(run.components["phase"] == "") & (run.components["job"] == "")]
    return own.merge(run.done[["cell", "method", "time_s"]], on="cell", how="inner")


def agreements(run: Run) -> pd.DataFrame:
    """Return each witness over the sum, for every window in which both have figures.

    A window is a finished cell, or all stretches of one phase in it; every rail of a witness
    stands for itself.

    Returns:
        Columns witness (meter and rail), component, cell, phase, ratio, rest_j (witness less sum).
    """
    columns = ["witness", "component", "cell", "phase", "ratio", "rest_j"]
    if run.components is None:
        return pd.DataFrame(columns=columns)
    rows = run.components.merge(run.done[["cell"]], on="cell", how="inner")
    window = ["cell", "job", "phase"]
    totals = rows[rows["role"] == "total"].groupby(window)["energy_j"]
    sums = totals.agg(lambda own: own.sum(skipna=False)).rename("sum_j").reset_index()
    beside = rows[rows["role"] == "witness"].merge(sums, on=window, how="inner")
    beside = beside.dropna(subset=["energy_j", "sum_j"])
    beside = beside[beside["sum_j"] > 0]
    found = beside.assign(
        witness=beside["meter"] + " " + beside["rail"],
        ratio=beside["energy_j"] / beside["sum_j"],
        rest_j=beside["energy_j"] - beside["sum_j"],
    )
    return found[columns]
