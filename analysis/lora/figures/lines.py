"""Draw one line per method with the band of its 95 % interval over seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.core.method_styles import method_style
from analysis.core.words import is_wide
from harness.evidence.paired import half_width

MARKS_PER_LINE = 8
COLUMNS = ["method", "round", "x", "y", "half_width", "n"]


def mean_lines(rows: pd.DataFrame, methods: list[str]) -> pd.DataFrame:
    """Return the mean over seeds of x and y by method and round, where every seed has the round.

    Args:
        rows: columns method, seed, round, x, y; repeats of a seed are averaged.
        methods: in the order of the legend.
    """
    seeds = rows.groupby(["method", "seed", "round"], sort=False)[["x", "y"]].mean().reset_index()
    counts = seeds.groupby("method")["seed"].nunique().to_dict()
    found = [
        (method, number, own["x"].mean(), np.mean(own["y"]), half_width(own["y"].tolist()),
         len(own))
        for (method, number), own in seeds.groupby(["method", "round"], sort=False)
        if len(own) == counts[method]
    ]  # fmt: skip
    table = pd.DataFrame(found, columns=COLUMNS)
    rank = table["method"].map({method: place for place, method in enumerate(methods)})
    return table.assign(rank=rank).sort_values(["rank", "round"], kind="stable").filter(COLUMNS)


def draw_lines(ax: Axes, drawn: pd.DataFrame, x_label: str, y_label: str) -> Axes:
    """Draw the lines; a band is left out where two seeds make it wider than the figure."""
    for method, own in drawn.groupby("method", sort=False):
        shape = method_style(str(method))
        half = own["half_width"].astype(float)
        if half.notna().any() and not is_wide(own["n"].max()):
            ax.fill_between(
                own["x"], own["y"] - half, own["y"] + half, color=shape.colour, alpha=0.18, lw=0
            )
        ax.plot(
            own["x"], own["y"], color=shape.colour, linestyle=shape.line, marker=shape.marker,
            markevery=max(1, len(own) // MARKS_PER_LINE), markersize=3.5, label=str(method),
        )  # fmt: skip
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    return ax
