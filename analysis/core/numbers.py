"""Turn the cells of a run into one number per method and seed, and those into a mean with spread.

Two spreads exist and are never pooled: repeats of one seed (measurement) are averaged first, and
only seeds (learning) give the spread that is reported.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from analysis.core.loading import Run
from analysis.core.statistics import finite
from harness.evidence.charged import WHOLES
from harness.evidence.paired import half_width, values_by_seed
from harness.evidence.sensors import pretended

SeedValues = dict[int, float]


@dataclass(frozen=True)
class SeedMean:
    """Hold a mean over seeds, its 95 % half-width (None for one seed) and the number of seeds."""

    mean: float
    half_width: float | None
    n: int

    @property
    def low(self) -> float:
        """Return the lower end of the interval, the mean itself for one seed."""
        return self.mean - (self.half_width or 0.0)

    @property
    def high(self) -> float:
        """Return the upper end of the interval, the mean itself for one seed."""
        return self.mean + (self.half_width or 0.0)


@dataclass(frozen=True)
class RatioEstimate(SeedMean):
    """Hold a ratio with an interval that need not be symmetric; `half_width` is half of it."""

    lower: float | None = None
    upper: float | None = None

    @classmethod
    def between(
        cls, ratio: float, lower: float | None, upper: float | None, n: int
    ) -> RatioEstimate:
        """Return a ratio with the bounds of its interval, None for one pair."""
        half = None if lower is None or upper is None else (upper - lower) / 2
        return cls(ratio, half, n, lower, upper)

    @property
    def low(self) -> float:
        """Return the lower bound, the ratio itself for one pair."""
        return self.mean if self.lower is None else self.lower

    @property
    def high(self) -> float:
        """Return the upper bound, the ratio itself for one pair."""
        return self.mean if self.upper is None else self.upper


def summarise(values: Iterable[float], scale: float = 1.0) -> SeedMean | None:
    """Return mean and 95 % half-width of the finite values times `scale`; None without any."""
    array = finite(list(values)) * scale
    if not len(array):
        return None
    numbers = array.tolist()
    return SeedMean(math.fsum(numbers) / len(numbers), half_width(numbers), len(numbers))


def per_seed(cells: pd.DataFrame, method: str, column: str, by: str = "seed") -> SeedValues:
    """Return the value of a column for each seed of a method, repeats averaged within the seed.

    With `by="repeat"` it is the value of each turn of a command, which has no seed.
    """
    rows = cells.loc[cells["method"] == method]
    numbers = rows[column].astype("float64")
    pairs = zip(rows[by], numbers, strict=True)
    plain = [{"method": method, by: place, column: number} for place, number in pairs]
    return values_by_seed(plain, method, column, by)


def method_value(
    cells: pd.DataFrame, method: str, column: str, scale: float = 1.0, by: str = "seed"
) -> SeedMean | None:
    """Return the mean over seeds, or turns, of a column of one method."""
    return summarise(per_seed(cells, method, column, by).values(), scale)


def energy_sources(cells: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Return each (meter, scope, kind) that measured a cell, the most frequent first."""
    measured = cells[cells["energy_j"].notna()]
    names = measured[["energy_meter", "energy_scope", "energy_kind"]].astype(str)
    counted = Counter((row[0], row[1], row[2]) for row in names.to_numpy().tolist())
    return [source for source, _ in sorted(counted.items(), key=lambda item: (-item[1], item[0]))]


def measured_by(cells: pd.DataFrame, source: tuple[str, str, str]) -> pd.DataFrame:
    """Return the cells whose energy one meter measured."""
    meter, scope, kind = source
    return cells[
        cells["energy_j"].notna()
        & (cells["energy_meter"] == meter)
        & (cells["energy_scope"] == scope)
        & (cells["energy_kind"] == kind)
    ]


def source_words(source: tuple[str, str, str]) -> str:
    """Return what a meter is in a few words: its scope and kind, or its name if it lacks them."""
    meter, scope, kind = source
    return ", ".join(word for word in (scope, kind) if word) or meter


def source_origin(source: tuple[str, str, str]) -> str:
    """Return where a meter's joules come from in a word: measured, made up or replayed."""
    return pretended(source[0]) or "measured"


def joules_origin(runs: Iterable[Run]) -> str:
    """Return where the joules of some runs come from; of no joules it is measured."""
    sources = [source for run in runs for source in energy_sources(run.done)]
    return " or ".join(dict.fromkeys(map(source_origin, sources))) or "measured"


def without_whole(phases: pd.DataFrame) -> pd.DataFrame:
    """Return the phases that a program marked in a cell, in order: all rows but that of the whole.

    That is the first of the name of a whole; others of it are the program's own.
    """
    ordered = phases.sort_values("start_s", kind="stable")
    wholes = ordered.index[ordered["phase"].isin(WHOLES)]
    return ordered.drop(index=wholes[:1])


def last_task_losses(run: Run, metric: str = "test_loss") -> pd.DataFrame:
    """Return the last value of a metric per cell and task.

    Returns:
        Columns method, seed, cell, task, value. Of a task trained by several jobs the job of the
        final split counts (see `serving_rows`).
    """
    rows = serving_rows(run, metric).sort_values("round", kind="stable")
    earlier = rows.duplicated(subset=["cell", "task"], keep="last")
    return rows.loc[~earlier, ["method", "seed", "cell", "task", "value"]]


@lru_cache(maxsize=8)
def serving_rows(run: Run, metric: str) -> pd.DataFrame:
    """Return the rows of a per-task metric, one per cell, round and task.

    A task may be trained by several jobs. The one that the run says serves it counts; runs that do
    not say, and tasks that several models serve alike, are read by the groups of the final split.
    Rounds before that job began come from the job it started from, so a split method shows its
    merged start.

    Returns:
        The rows of metrics.csv with the columns method, seed and groups of their cell. The frame
        is kept for the next caller, so it must not be changed.
    """
    facts = run.done[["cell", "method", "seed", "groups"]]
    taken = run.metrics[(run.metrics["metric"] == metric) & (run.metrics["task"] != "")]
    rows = taken.merge(facts, on="cell", how="inner")
    if rows.empty:
        return rows
    serving = _serving_jobs(run, rows)
    rows = rows.merge(serving, on=["cell", "task"], how="left")
    own = rows["job"] == rows["serving"]
    begin = rows["round"].where(own).groupby([rows["cell"], rows["task"]]).transform("min")
    before = rows[~own & (rows["round"] < begin)]
    width = before["job"].str.len()
    widest = width == width.groupby([before["cell"], before["task"]]).transform("max")
    start = before[widest].drop_duplicates(subset=["cell", "task", "round"])
    return pd.concat([start, rows[own]], ignore_index=True).drop(columns="serving")


def _serving_jobs(run: Run, rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per cell and task with the job that serves it in the end."""
    last = rows.reset_index().sort_values("round", kind="stable")
    jobs = last.drop_duplicates(subset=["cell", "task", "job"], keep="last")
    first_seen = rows.reset_index().drop_duplicates(subset=["cell", "task", "job"])
    place = first_seen.set_index(["cell", "task", "job"])["index"].rename("place")
    jobs = jobs.join(place, on=["cell", "task", "job"])
    said = run.metrics.loc[run.metrics["metric"] == "serves", ["cell", "task", "job"]]
    said = said.drop_duplicates()
    said = said[~said.duplicated(subset=["cell", "task"], keep=False)].assign(said=True)
    jobs = jobs.merge(said, on=["cell", "task", "job"], how="left")
    in_split: dict[tuple[str, str], bool] = {}
    pairs = list(zip(jobs["job"].astype(str), jobs["groups"].astype(str), strict=True))
    for job, groups in set(pairs):
        letters = sorted(job)
        in_split[job, groups] = any(letters == sorted(group) for group in groups.split("|"))
    final = np.array([in_split[pair] for pair in pairs], dtype=bool)
    rank = np.where(jobs["said"].notna(), 0, np.where(final, 1, 2))
    # of several final groups the one with the lowest loss serves, of jobs outside it the last one
    losses = np.nan_to_num(jobs["value"].to_numpy(dtype=float), nan=np.inf)
    order = np.where(rank == 1, losses, -jobs["place"].to_numpy(dtype=float))
    chosen = jobs.assign(rank=rank, order=order).sort_values(["rank", "order"], kind="stable")
    chosen = chosen.drop_duplicates(subset=["cell", "task"])
    return chosen[["cell", "task", "job"]].rename(columns={"job": "serving"})


def seed_words(count: int, unit: str = "seed") -> str:
    """Return the number of seeds, or turns, in words that read well for one, too."""
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
