"""Read values of fine-tuning from metrics.csv, and the joules that they are set against."""

from __future__ import annotations

import pandas as pd

from analysis.core.basis import CostBasis
from analysis.core.curves import charged_phases
from analysis.core.loading import Run

MIXTURE, WORLD, TEXT = "mixture", "world", "text"
CLIENT = "client "

LEAST_ERROR = 1e-9
"""Smaller errors of an update are shown as this: powers of ten have no 0."""


def values_of(run: Run, metric: str, task: str | None = None) -> pd.DataFrame:
    """Return the rows of a metric of finished cells, with method and seed."""
    rows = run.with_facts(run.metrics)
    rows = rows[(rows["metric"] == metric) & rows["cell"].isin(run.done["cell"])]
    return rows if task is None else rows[rows["task"] == task]


def last_values(run: Run, metric: str, task: str = "") -> pd.DataFrame:
    """Return the last value of each cell: columns cell, method, seed, value."""
    rows = values_of(run, metric, task).sort_values("round", kind="stable")
    last = rows.drop_duplicates("cell", keep="last")
    return last[["cell", "method", "seed", "value"]].reset_index(drop=True)


def by_cell(run: Run, metric: str, task: str = "") -> pd.Series:
    """Return the last value of each cell, by cell."""
    return last_values(run, metric, task).set_index("cell")["value"].astype("float64")


def clients_of(run: Run) -> pd.DataFrame:
    """Return rank and charged cost columns of every client's training: one row per cell and client.

    Returns:
        Columns cell, method, seed, client, rank, board (empty unless ranks follow from boards).
    """
    rows = values_of(run, "rank")
    rows = rows[rows["task"].str.startswith(CLIENT)]
    told = run.manifest.section("adapters").get("boards")
    boards = told if isinstance(told, list) else []
    client = rows["task"].str.removeprefix(CLIENT)
    names = [boards[int(c)] if c.isdigit() and int(c) < len(boards) else "" for c in client]
    found = rows[["cell", "method", "seed"]].assign(
        client=client, rank=rows["value"].astype("float64"), board=names
    )
    return found.reset_index(drop=True)


def training_cost(run: Run, basis: CostBasis) -> pd.DataFrame:
    """Return what the training of each client of each cell has cost in all: cell, client, cost.

    It is NaN if the cost of a part is not known.
    """
    rows = run.phases[
        (run.phases["phase"] == "train")
        & run.phases["cell"].isin(basis.cells["cell"])
        & (run.phases["client"].astype(str) != "")
    ]
    costs = rows.assign(cost=rows[basis.column].astype("float64"))
    totals = costs.groupby(["cell", "client"], sort=False)["cost"].agg(
        lambda own: own.sum(skipna=False)
    )
    return totals.reset_index().assign(client=lambda t: t["client"].astype(str))


def cost_by_round(run: Run, basis: CostBasis) -> pd.DataFrame:
    """Return what each cell had spent after each round: cell, round, cost.

    A cell of which a charged phase lacks its cost is left out: the rest would look cheap.
    """
    rows = charged_phases(run, basis)
    rows = rows[rows["round"].notna()]
    rows = rows.assign(
        cost=rows[basis.column].astype("float64"), round=rows["round"].astype("int64") + 1
    )
    steps = rows.groupby(["cell", "round"], sort=True)["cost"].sum()
    return steps.groupby(level="cell").cumsum().reset_index()
