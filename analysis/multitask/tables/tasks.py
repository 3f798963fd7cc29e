"""Table 2: how well each method learns each task, by loss and by the measure papers report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import pandas as pd

from analysis.core.loading import Run
from analysis.core.numbers import SeedMean, last_task_losses, summarise
from analysis.core.pooling import series_names
from analysis.core.tables.fields import cell_column
from analysis.core.tables.table import Absent, Content, Heading, Table
from analysis.core.words import provenance, spread_words
from models.multitask.measures import MEASURES as TASK_MEASURES
from models.multitask.measures import UNSEEN

DIRECTIONS: dict[str, Literal["low", "high"]] = {"lower": "low", "higher": "high"}


def task_loss_table(runs: Sequence[Run]) -> Table:
    """Return the last test loss of every task per method, and of predicting the mean."""
    tasks = all_tasks(runs)
    unseen = cell_column(Heading("unseen_total_loss", "Unseen total", "", "low"))
    with_unseen = any(run.done["unseen_total_loss"].notna().any() for run in runs)
    headings = [Heading(f"test_loss_{task}", f"Loss {task}", "", "low") for task in tasks]
    rows: list[list[Content]] = []
    references: list[list[Content]] = []
    for run, start in zip(runs, _starts(runs), strict=True):
        losses = last_task_losses(run)
        for method in run.methods:
            values = task_values(losses[losses["method"] == method], tasks)
            ending = [unseen.read(run, method)] if with_unseen else []
            rows.append([*start, method, *values, *ending])
        means = last_task_losses(run, "mean_predictor_loss")
        if len(means):
            values = [_no_spread(value) for value in task_values(means, tasks)]
            none: list[Content] = [Absent("Not computed for the mean.")] if with_unseen else []
            references.append([*start, "predicting the training mean", *values, *none])
    caption = f"Test loss of each task after the last round. {spread_words(runs)}"
    if with_unseen:
        caption += " Unseen total: sum over tasks on buildings no client owns."
    if references:
        caption += " Last row: loss of predicting the training mean of each task."
    return Table(
        name="tasks",
        timed=False,
        caption=caption,
        headings=[*_heads(runs), *headings, *([unseen.heading] if with_unseen else [])],
        rows=[*rows, *references],
        provenance=provenance(runs),
        reference_rows=len(references),
        key_columns=len(_heads(runs)),
        ranked_within="run" if len(runs) > 1 else "",
    )


def measure_table(runs: Sequence[Run]) -> Table | None:
    """Return the headline measure of every task per method; None if no run recorded any."""
    columns = [(task, TASK_MEASURES[task][0]) for task in all_tasks(runs) if task in TASK_MEASURES]
    headings = [
        Heading(f"{m.name}_{task}", f"{_plain(m.name)} {task}", m.unit, DIRECTIONS[m.better])
        for task, m in columns
    ]
    rows: list[list[Content]] = []
    for run, start in zip(runs, _starts(runs), strict=True):
        known = {m.name: last_task_losses(run, m.name) for _, m in columns}
        for method in run.methods:
            values = [_of_task(known[m.name], method, task) for task, m in columns]
            rows.append([*start, method, *values])
    if not any(isinstance(content, SeedMean) for row in rows for content in row):
        return None
    return Table(
        name="measures",
        timed=False,
        caption="Test measure of each task after the last round; task letters as in the run. "
        f"{spread_words(runs)}",
        headings=[*_heads(runs), *headings],
        rows=rows,
        provenance=provenance(runs),
        key_columns=len(_heads(runs)),
        ranked_within="run" if len(runs) > 1 else "",
    )


def all_measures_table(runs: Sequence[Run]) -> Table | None:
    """Return every measure of every task, one row per measure and method, ranked per measure."""
    rows: list[list[Content]] = []
    for run, start in zip(runs, _starts(runs), strict=True):
        names = set(run.metrics["metric"].unique())
        for task in run.tasks:
            for measure in TASK_MEASURES.get(task, ()):
                for name in (measure.name, UNSEEN + measure.name):
                    if name in names:
                        known = last_task_losses(run, name)
                        rows += [
                            [*start, task, name, measure.unit or "1", measure.better, method,
                             _of_task(known, method, task)]
                            for method in run.methods
                        ]  # fmt: skip
    if not rows:
        return None
    heads = [Heading("task", "Task"), Heading("measure", "Measure"), Heading("unit", "Unit"),
             Heading("better", "Better"), Heading("method", "Method")]  # fmt: skip
    start_heads = _heads(runs)[:-1]
    return Table(
        name="measures_all",
        timed=False,
        caption=f"Every test measure of every task; {UNSEEN}: on buildings no client owns. "
        f"{spread_words(runs)}",
        headings=[*start_heads, *heads, Heading("value", "Value")],
        rows=rows,
        provenance=provenance(runs),
        key_columns=len(start_heads) + len(heads),
    )


def all_tasks(runs: Sequence[Run]) -> str:
    """Return the task letters of all runs, in the order of their first appearance."""
    return "".join(dict.fromkeys("".join(run.tasks for run in runs)))


def task_values(losses: pd.DataFrame, tasks: str) -> list[Content]:
    """Return the mean over seeds of every task; repeats of a seed are averaged first."""
    return [_summary(losses[losses["task"] == task]) for task in tasks]


def _of_task(known: pd.DataFrame, method: str, task: str) -> Content:
    return _summary(known[(known["method"] == method) & (known["task"] == task)])


def _summary(rows: pd.DataFrame) -> Content:
    value = summarise(rows.groupby("seed")["value"].mean().to_list())
    return value or Absent("Not tested in this run.")


def _heads(runs: Sequence[Run]) -> list[Heading]:
    start = [Heading("run", "Run")] if len(runs) > 1 else []
    return [*start, Heading("method", "Method")]


def _starts(runs: Sequence[Run]) -> list[list[Content]]:
    names = series_names(runs)
    return [[names[run.run_id]] if len(runs) > 1 else [] for run in runs]


def _plain(name: str) -> str:
    """Return the name of a measure for people, without its unit."""
    words = name.removesuffix("_deg").removesuffix("_m").replace("_", " ")
    return {"miou": "mIoU", "l1": "L1", "rmse": "RMSE"}.get(words, words.capitalize())


def _no_spread(content: Content) -> Content:
    """Return a reference value without half-width: it is a fact of the data, not of training."""
    return replace(content, half_width=None) if isinstance(content, SeedMean) else content
