"""What each task gains or loses by a method, relative to training it alone."""

from __future__ import annotations

from functools import partial

import pandas as pd
from matplotlib.axes import Axes

from analysis.core.basis import note_text
from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome
from analysis.core.loading import Run
from analysis.core.method_styles import method_style
from analysis.core.numbers import last_task_losses, summarise
from analysis.core.style import keep_limits, paint_axes
from analysis.core.words import is_wide, origin_words, wide_words
from analysis.multitask import REFERENCE
from models.multitask.tasks import TASKS

TITLE = "Change of each task"
BAR_IN = 0.125


def drawings(run: Run) -> list[Outcome]:
    """Return the figure, or why there is none."""
    drawn = prepare(run)
    if drawn.empty:
        return [NotDrawn(TITLE, f"no method shares a seed with {REFERENCE}")]
    bars = len(drawn) + 0.8 * drawn["task"].nunique()
    pairs = sorted(set(drawn["n"]))
    span = f"{pairs[0]}" if len(pairs) == 1 else f"{pairs[0]} to {pairs[-1]}"
    of_them = "; whiskers are 95 % intervals (Student's t, longer where skewed)"
    whiskers = "" if pairs == [1] else of_them

    return [
        Drawing(
            stem="task_changes",
            timed=False,
            title=TITLE,
            caption="Reduction of each task's last test loss against independent training of the "
            f"same seed; to the right of 0 is better. n = {span} paired seeds{whiskers}."
            f"{wide_words(pairs)}",
            note=note_text(origin_words(run), "one seed" if pairs == [1] else ""),
            aspect=max(0.45, (0.75 + BAR_IN * bars) / 3.5),
            drawn=drawn,
            paint=partial(paint_axes, draw=partial(draw, drawn=drawn)),
        )
    ]


def prepare(run: Run) -> pd.DataFrame:
    """Return the mean over seeds of 100 · (1 − loss / loss of independent), per task and method.

    Returns:
        Columns task, method, reduction_percent, half_width (empty for one seed), n.
    """
    losses = last_task_losses(run).groupby(["method", "task", "seed"])["value"].mean()
    table = losses.rename("loss").reset_index()
    reference = table.loc[table["method"] == REFERENCE, ["task", "seed", "loss"]]
    paired = table[table["method"] != REFERENCE].merge(
        reference, on=["task", "seed"], suffixes=("", "_alone")
    )
    paired = paired.assign(percent=100 * (1 - paired["loss"] / paired["loss_alone"]))
    rows = []
    for task in run.tasks:
        for method in run.methods:
            own = paired[(paired["task"] == task) & (paired["method"] == method)]
            value = summarise(own["percent"])
            if value is not None:
                rows.append((task, method, value.mean, value.half_width, value.n))
    columns = ["task", "method", "reduction_percent", "half_width", "n"]
    return pd.DataFrame(rows, columns=columns)


def draw(ax: Axes, drawn: pd.DataFrame) -> Axes:
    """Draw one group of horizontal bars per task, one bar per method, from 0."""
    tasks = list(dict.fromkeys(drawn["task"]))
    methods = list(dict.fromkeys(drawn["method"]))
    step = 1.0 / (len(methods) + 0.8)
    bars: list[pd.DataFrame] = []
    for number, method in enumerate(methods):
        shape = method_style(method)
        own = drawn[drawn["method"] == method]
        places = [tasks.index(task) + (number - (len(methods) - 1) / 2) * step
                  for task in own["task"]]  # fmt: skip
        bars += [own.assign(place=places)]
        ax.barh(
            places, own["reduction_percent"], height=0.86 * step, color=shape.colour,
            hatch=shape.hatch[:2], edgecolor="white", linewidth=0.4, label=method,
        )  # fmt: skip
    whiskers = pd.concat(bars).dropna(subset=["half_width"])
    wide = whiskers["n"].map(is_wide).astype(bool)
    _draw_whiskers(ax, whiskers[~wide])
    with keep_limits(ax):
        _draw_whiskers(ax, whiskers[wide])
    ax.axvline(0, color="black", linewidth=0.75)
    ax.set_yticks(range(len(tasks)), [task_name(task) for task in tasks])
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(f"Loss reduction against {REFERENCE} (%)")
    return ax


def task_name(letter: str) -> str:
    """Return letter and name of a task, the name on lines of its own where it has several words."""
    return f"{TASKS[letter].name.replace(' ', chr(10))} ({letter})" if letter in TASKS else letter


def _draw_whiskers(ax: Axes, rows: pd.DataFrame) -> None:
    if len(rows):
        ax.errorbar(
            rows["reduction_percent"], rows["place"], xerr=rows["half_width"].astype(float),
            fmt="none", ecolor="black", elinewidth=0.8, capsize=1.5,
        )  # fmt: skip
