"""How much larger teachers are than their clients' networks, against the limit."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome
from analysis.core.loading import Run
from analysis.core.method_styles import method_style
from analysis.core.style import paint_axes
from analysis.core.words import origin_words
from analysis.personalized.frames import has_teachers, limit_of, teachers

TITLE = "Growth of teachers against their limit"
LEVELS = (0.25, 0.5, 1, 2, 4, 8, 16, 32)


def drawings(run: Run) -> list[Outcome]:
    """Return the figure, or why there is none."""
    drawn = prepare(teachers(run))
    if drawn.empty:
        return [NotDrawn(TITLE, "no method put teachers together")]
    over = int(drawn["over"].sum())
    return [
        Drawing(
            stem="growth",
            title=TITLE,
            caption="Parameters of every teacher, stitches included, by those of its client's"
            " network; a bar across is the limit 1 + η, a tick the mean."
            f" Of {len(drawn)} teachers {over} are over their limit.",
            note=origin_words(run),
            aspect=0.28 + 0.09 * drawn["method"].nunique(),
            drawn=drawn,
            paint=partial(paint_axes, draw=partial(draw, drawn=drawn)),
        )
    ]


def prepare(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row per teacher: ratio, growth φ, limit η and whether it is over.

    Repeats of a seed put the same teachers together, so each stands here once.
    """
    known = frame.dropna(subset=["ratio"])
    known = known.drop_duplicates(["method", "seed", "round", "client"])
    known = known[known["method"].map(has_teachers).astype(bool)]
    limits = known["method"].map(limit_of).astype("float64")
    growth = known["ratio"].astype("float64") - 1.0
    return known[["method", "seed", "round", "client", "ratio"]].assign(
        growth=growth, limit=limits, over=(growth > limits + 1e-12)
    ).reset_index(drop=True)  # fmt: skip


def draw(ax: Axes, drawn: pd.DataFrame) -> Axes:
    """Draw a row of marks per method on a logarithmic axis."""
    methods = list(dict.fromkeys(drawn["method"]))
    for place, method in enumerate(methods):
        own, shape = drawn[drawn["method"] == method], method_style(method)
        shift = np.linspace(-0.25, 0.25, len(own))
        ax.scatter(own["ratio"], place + shift, s=9, marker=shape.marker, color=shape.colour,
                   alpha=0.5, linewidth=0)  # fmt: skip
        ax.plot([own["ratio"].astype(float).mean()] * 2, [place - 0.34, place + 0.34],
                color="black", linewidth=1.4)  # fmt: skip
        limit = own["limit"].iloc[0]
        if pd.notna(limit):
            ax.plot([1 + limit] * 2, [place - 0.45, place + 0.45], color="#D55E00", linewidth=2.2)
    ax.axvline(1.0, color="#999999", linewidth=0.8, linestyle=":")
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    ticks = [level for level in LEVELS if low <= level <= high]
    ax.set_xticks(ticks, [f"{level:g}×" for level in ticks])
    ax.set_xticks([], minor=True)
    ax.set_yticks(range(len(methods)), methods)
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.set_xlabel("Teacher by own network")
    return ax
