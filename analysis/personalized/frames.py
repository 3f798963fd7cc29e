"""Read the tables that only runs of personalised models have, all cells together."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.core.loading import Run
from harness.core.errors import UsageError
from harness.core.schema import Column
from harness.workloads.personalized.methods.registry import TAUGHT, parse
from harness.workloads.personalized.tables import (
    CLIENTS,
    CLIENTS_FILE,
    COSTS,
    COSTS_FILE,
    TEACHERS,
    TEACHERS_FILE,
)

CONTROL = "smooth"
"""The control whose teacher knows nothing."""

REFERENCE = "local"


def _together(run: Run, name: str, columns: Sequence[Column]) -> pd.DataFrame:
    """Return the rows of all finished cells with their method, seed and repeat."""
    found = []
    for cell, method, seed, repeat in run.done[["cell", "method", "seed", "repeat"]].to_numpy():
        own = run.own_table(name, str(cell), columns)
        if own is not None:
            found.append(own.assign(cell=cell, method=method, seed=int(seed), repeat=repeat))
    names = [*(c.name for c in columns), "cell", "method", "seed", "repeat"]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=names)


def clients(run: Run) -> pd.DataFrame:
    """Return a row per cell and client."""
    return _together(run, CLIENTS_FILE, CLIENTS)


def teachers(run: Run) -> pd.DataFrame:
    """Return a row per cell, round and client for whom a teacher was searched."""
    return _together(run, TEACHERS_FILE, TEACHERS)


def costs(run: Run) -> pd.DataFrame:
    """Return a row per cell, party and phase."""
    return _together(run, COSTS_FILE, COSTS)


def measure(run: Run, metric: str) -> pd.Series[float]:
    """Return a value of every finished cell that has it, by cell."""
    rows = run.metrics[(run.metrics["metric"] == metric) & (run.metrics["task"] == "")]
    last = rows.groupby("cell")["value"].last().astype("float64")
    return last[last.index.isin(run.done["cell"])]


def by_seed(run: Run, method: str, values: pd.Series[float]) -> dict[int, float]:
    """Return the values of a method's cells by seed, repeats averaged."""
    own = run.done[(run.done["method"] == method) & run.done["cell"].isin(values.index)]
    frame = pd.DataFrame({"seed": own["seed"].astype(int), "value": own["cell"].map(values)})
    return {int(str(s)): float(v) for s, v in frame.groupby("seed")["value"].mean().items()}


def differences(run: Run, method: str, other: str, values: pd.Series[float]) -> list[float]:
    """Return a method's values minus another's, of the seeds that both have."""
    own, theirs = by_seed(run, method, values), by_seed(run, other, values)
    return [own[seed] - theirs[seed] for seed in sorted(own.keys() & theirs.keys())]


def accuracies(run: Run) -> pd.Series[float]:
    """Return the accuracy of every finished cell, by cell."""
    return run.done.set_index("cell")["objective_value"].astype("float64").dropna()


def has_teachers(method: str) -> bool:
    """Say whether a method's teachers are put together from blocks."""
    return method.partition(":")[0] in TAUGHT


def limit_of(method: str) -> float | None:
    """Return η of a method as typed; None without one."""
    try:
        limit = parse(method).parameters().get("limit")
    except UsageError:
        return None
    return None if limit is None else float(limit)
