"""Which tasks each method trained together, and for how long: its jobs one after another."""

from __future__ import annotations

from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analysis.core.basis import note_text, time_words
from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome
from analysis.core.loading import Run
from analysis.core.method_styles import method_style
from analysis.core.style import scaled_unit
from analysis.core.words import origin_words
from harness.core.schema import COST_PHASES

TITLE = "Split schedule"
ROW_IN = 0.115
LABEL_IN = 0.05
"""Least width of a letter of a job's name inside its box, in inches."""


def drawings(run: Run) -> list[Outcome]:
    """Return the figure, or why there is none."""
    drawn = prepare(run)
    if drawn.empty:
        return [NotDrawn(TITLE, "no finished cell has timed jobs")]
    if not run.tasks:
        return [NotDrawn(TITLE, "jobs of this workload have no tasks to lay out in rows")]
    panels = drawn["method"].nunique()
    seeds = sorted({int(str(seed)) for seed in drawn["seed"]})
    seed_text = ", ".join(str(seed) for seed in seeds)

    return [
        Drawing(
            stem="schedule",
            title=TITLE,
            caption="Jobs of one cell of each method, laid end to end: a box is one federated "
            "training, its rows are the tasks trained together, its width is the time charged for "
            f"it on the host. Seed {seed_text}.",
            note=note_text(f"seed {seed_text}", origin_words(run)),
            aspect=(0.4 + panels * (0.2 + ROW_IN * len(run.tasks))) / 3.5,
            drawn=drawn.assign(quantity=time_words(run)),
            paint=partial(paint_panels, drawn=drawn, tasks=run.tasks),
        )
    ]


def prepare(run: Run) -> pd.DataFrame:
    """Return the jobs of the first finished cell of every method, with the time charged for each.

    Returns:
        Columns method, seed, cell, job, start_s, end_s; times count charged phases only.
    """
    first = run.done.sort_values(["seed", "repeat"], kind="stable").drop_duplicates("method")
    rank = {method: place for place, method in enumerate(run.methods)}
    charged = run.phases[run.phases["phase"].isin(COST_PHASES) & (run.phases["job"] != "")]
    rows = charged.merge(first[["cell", "method", "seed"]], on="cell", how="inner")
    columns = ["method", "seed", "cell", "job", "start_s", "end_s"]
    if rows.empty:
        return pd.DataFrame(columns=columns)
    keys = ["method", "seed", "cell", "job"]
    jobs = rows.groupby(keys, sort=False).agg(begun=("start_s", "min"), time_s=("time_s", "sum"))
    jobs = jobs.reset_index().assign(rank=lambda frame: frame["method"].map(rank))
    jobs = jobs.sort_values(["rank", "begun"], kind="stable")
    ends = jobs.groupby("method", sort=False)["time_s"].cumsum()
    return jobs.assign(start_s=ends - jobs["time_s"], end_s=ends).filter(columns)


def paint_panels(figure: Figure, width_in: float, drawn: pd.DataFrame, tasks: str) -> None:
    """Put one panel per method above the other on one time axis."""
    methods = list(dict.fromkeys(drawn["method"]))
    panels = figure.subplots(len(methods), 1, squeeze=False, sharex=True)[:, 0]
    end_s = max(float(drawn["end_s"].max()), 1e-9)  # an edited run may last no time at all
    factor, unit = scaled_unit(end_s, "s")
    for ax, method in zip(panels, methods, strict=True):
        own = drawn[drawn["method"] == method]
        scaled = own.assign(start_s=own["start_s"] * factor, end_s=own["end_s"] * factor)
        draw(ax, scaled, tasks, (width_in - 0.6) / (end_s * factor))
    panels[-1].set_xlim(0, end_s * factor)
    panels[-1].set_xlabel(f"Time charged ({unit})")


def draw(ax: Axes, own: pd.DataFrame, tasks: str, inch_per_unit: float) -> Axes:
    """Draw the jobs of one method as boxes over the rows of their tasks, with its name above.

    Tasks stand in the order of the run, alike in every panel; a job of tasks that do not stand
    together is several boxes.
    """
    method = str(own["method"].iloc[0])
    shape = method_style(method)
    order = tasks
    for job, start, end in own[["job", "start_s", "end_s"]].to_numpy().tolist():
        rows = sorted({order.index(task) for task in str(job) if task in order})
        for low, high in _runs(rows):
            ax.add_patch(
                Rectangle(
                    (start, low - 0.5), end - start, high - low + 1, facecolor=shape.colour,
                    alpha=0.35, edgecolor="none",
                )
            )  # fmt: skip
            ax.add_patch(
                Rectangle(
                    (start, low - 0.5), end - start, high - low + 1, fill=False, edgecolor="black",
                    linewidth=0.8,
                )
            )  # fmt: skip
        wide_enough = (end - start) * inch_per_unit > LABEL_IN * (len(str(job)) + 1)
        if rows and wide_enough:
            low, high = max(_runs(rows), key=lambda pair: pair[1] - pair[0])
            ax.text(
                (start + end) / 2, (low + high) / 2, str(job), ha="center", va="center_baseline",
                fontsize=7,
            )  # fmt: skip
    ax.set_ylim(len(order) - 0.5, -0.5)
    ax.set_yticks(range(len(order)), list(order), fontsize=7)
    ax.tick_params(axis="y", length=0, pad=2)
    ax.grid(visible=False)
    ax.annotate(
        method, xy=(0, 1), xycoords="axes fraction", xytext=(0, 2), textcoords="offset points",
        fontsize=7, va="bottom", ha="left",
    )  # fmt: skip
    return ax


def _runs(rows: list[int]) -> list[tuple[int, int]]:
    """Return neighbouring numbers as (first, last)."""
    found: list[tuple[int, int]] = []
    for row in rows:
        if found and row == found[-1][1] + 1:
            found[-1] = (found[-1][0], row)
        else:
            found.append((row, row))
    return found
