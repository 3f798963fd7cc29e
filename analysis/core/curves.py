"""Follow a method: what it had cost by each round, and its total test loss then.

The cost of a round is what training every task for that many rounds takes, in whatever order the
jobs ran. Jobs that serve nothing in the end (the candidates of HOA, the merged run of TAG) are
charged before the first round, because the final jobs could not have begun without them.
"""

from __future__ import annotations

import pandas as pd

from analysis.core.basis import CostBasis
from analysis.core.loading import Run
from analysis.core.numbers import serving_rows
from harness.core.schema import COST_PHASES, SERVER_PHASES

BY_SERVER = ("aggregate", *SERVER_PHASES)
"""Charged phases of a server."""


def cell_curves(run: Run, basis: CostBasis) -> pd.DataFrame:
    """Return one row per cell and round after which every task was tested.

    A cell counts only if every one of its charged phases has the cost (see `charged_phases`).

    Returns:
        Columns method, seed, cell, round, cost (unit of the basis), total_test_loss.
    """
    rows = serving_rows(run, "test_loss")
    rows = rows[rows["cell"].isin(basis.cells["cell"])]
    columns = ["method", "seed", "cell", "round", "cost", "total_test_loss"]
    costs = charged_phases(run, basis)
    if rows.empty or costs.empty:
        return pd.DataFrame(columns=columns)
    losses = total_losses(rows, len(run.tasks))
    rounds = _cost_by_round(costs, rows)
    losses = losses.assign(upto=losses["round"].astype("float64"))
    known = pd.merge_asof(
        losses.sort_values("upto", kind="stable"), rounds.sort_values("upto", kind="stable"),
        on="upto", by="cell",
    )  # fmt: skip
    return known.dropna(subset=["cost"]).sort_values(["cell", "round"], kind="stable")[columns]


def total_losses(rows: pd.DataFrame, tasks: int) -> pd.DataFrame:
    """Return the sum over tasks per cell and round; rounds that lack a task are left out.

    Returns:
        Columns method, seed, cell, round, total_test_loss.
    """
    grouped = rows.groupby(["method", "seed", "cell", "round"], sort=False)
    totals = grouped.agg(
        total_test_loss=("value", "sum"), known=("value", "count"), tasks=("task", "nunique")
    )
    complete = (totals["tasks"] == tasks) & (totals["known"] == grouped.size())
    return totals.loc[complete, ["total_test_loss"]].reset_index()


def seed_curves(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the curves with the repeats of a seed averaged: method, seed, round, cost, loss."""
    keys = ["method", "seed", "round"]
    means = curves.groupby(keys, sort=False)[["cost", "total_test_loss"]].mean()
    return means.reset_index()


def cost_to_target(curves: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Return what each method and seed had spent when it first reached the target loss.

    The target is the loss that the reference method of the same seed ended with; nothing is
    interpolated between tested rounds.

    Returns:
        Columns method, seed, cost; cost is NaN if the target was not reached. Empty without
        cells of the reference.
    """
    seeds = seed_curves(curves).sort_values("round", kind="stable")
    ends = seeds[seeds["method"] == reference].drop_duplicates("seed", keep="last")
    targets = ends[["seed", "total_test_loss"]].rename(columns={"total_test_loss": "target"})
    paired = seeds.merge(targets, on="seed", how="inner")
    reached = paired[paired["total_test_loss"] <= paired["target"]]
    first = reached.drop_duplicates(subset=["method", "seed"])[["method", "seed", "cost"]]
    everyone = paired[["method", "seed"]].drop_duplicates()
    return everyone.merge(first, on=["method", "seed"], how="left")


def charged_phases(run: Run, basis: CostBasis) -> pd.DataFrame:
    """Return the charged phases of the basis's cells that have their cost in every one.

    What a fleet's server does needs none: its joules are no device's.

    Returns:
        Columns cell, job, round, and that of the basis.
    """
    charged = run.phases["phase"].isin(COST_PHASES) & run.phases["cell"].isin(basis.cells["cell"])
    rows = run.phases.loc[charged, ["cell", "job", "round", "phase", basis.column]]
    if run.is_fleet:
        rows = rows[rows[basis.column].notna() | ~rows["phase"].isin(BY_SERVER)]
    gaps = rows.loc[rows[basis.column].isna(), "cell"].unique()
    return rows[~rows["cell"].isin(gaps)].drop(columns="phase")


def _cost_by_round(costs: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return what had been spent by each round: columns cell, upto (rounds finished), cost.

    Work outside rounds, and of jobs whose losses are never used, is spent at round 0.
    """
    used = rows[["cell", "job"]].drop_duplicates().assign(used=True)
    marked = costs.merge(used, on=["cell", "job"], how="left")
    later = marked["used"].notna() & marked["round"].notna()
    upto = (marked["round"].astype("float64") + 1).where(later, 0.0)
    column = costs.columns[-1]
    steps = marked.assign(upto=upto).groupby(["cell", "upto"], sort=True)[column].sum()
    return steps.groupby(level="cell").cumsum().rename("cost").reset_index()
