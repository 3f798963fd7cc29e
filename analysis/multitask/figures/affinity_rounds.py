"""How affinity between tasks changes from round to round, every round on one scale."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from analysis.core.basis import note_text
from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome, file_stem
from analysis.core.loading import Run
from analysis.core.style import SMALL_PT
from analysis.core.words import origin_words
from analysis.multitask.figures.affinity import (
    draw_colours,
    power_of_thousand,
    prepare,
    scale_label,
)

TITLE = "Affinity over rounds"
FULL = (2, 3, 4, 6)
"""Numbers of panels that leave no gap."""

SEEN, DARK = 0.05, 0.6
"""Shares of the scale from which a colour is seen, and from which it is dark."""


def a_row(count: int) -> int:
    """Return how many panels stand beside each other."""
    return 2 if count in (2, 4) else 3


def colour_limit(drawn: pd.DataFrame) -> float:
    """Return where the colours end: the median over rounds of the largest affinity.

    The first round is often many times as strong as all others, which one scale up to its largest
    would leave blank; what is stronger than the limit has the darkest colour.
    """
    others = drawn[drawn["recipient"] != drawn["source"]]
    largest = others["mean"].abs().groupby(others["round"]).max()
    limit = float(largest.median()) if len(largest) else 0.0
    return limit if limit > 0 else 1.0


def drawings(run: Run) -> list[Outcome]:
    """Return the figure of the first method that measured affinity in two rounds or more."""
    for method in run.methods:
        cells = run.done[run.done["method"] == method].sort_values(["seed", "repeat"])
        for cell, seed, split in cells[["cell", "seed", "groups"]].to_numpy().tolist():
            rounds = run.affinity_rounds(str(cell))
            if rounds is not None and rounds["round"].nunique() > 1:
                groups = [group for group in str(split).split("|") if group]
                return [_drawing(run, method, int(seed), shown_rounds(rounds), groups)]
    return [NotDrawn(TITLE, "no finished cell measured affinity in two rounds")]


def shown_rounds(rounds: pd.DataFrame) -> pd.DataFrame:
    """Return rounds evenly spread from the first to the last, as many as fill whole rows.

    Returns:
        Columns round, recipient, source, mean.
    """
    numbers = np.sort(rounds["round"].unique().astype(int))
    count = max(n for n in FULL if n <= max(2, len(numbers)))
    places = np.linspace(0, len(numbers) - 1, count).round().astype(int)
    kept = rounds[rounds["round"].isin(numbers[places])]
    return kept[["round", "recipient", "source", "mean"]].reset_index(drop=True)


def paint(figure: Figure, _width_in: float, drawn: pd.DataFrame, groups: list[str]) -> None:
    """Put one small heat map per round, all with the colours of one scale."""
    numbers = sorted(set(drawn["round"].astype(int)))
    across = a_row(len(numbers))
    down = -(-len(numbers) // across)
    panels = figure.subplots(down, across, squeeze=False)
    limit = colour_limit(drawn)
    power = power_of_thousand(limit)
    images: list[AxesImage] = []
    for ax, number in zip(panels.flat, numbers, strict=False):
        own = drawn[drawn["round"] == number]
        tasks = list(dict.fromkeys(own["recipient"]))
        matrix = own.pivot(index="recipient", columns="source", values="mean").loc[tasks, tasks]
        shown = prepare(matrix / 10.0**power, groups)
        images.append(draw_colours(ax, shown, groups, limit / 10.0**power))
        mark_harm(ax, shown, limit / 10.0**power)
        ax.annotate(
            f"round {number + 1}", xy=(0.5, 1), xycoords="axes fraction", xytext=(0, 2),
            textcoords="offset points", ha="center", va="bottom", fontsize=SMALL_PT,
        )  # fmt: skip
    for ax in list(panels.flat)[len(numbers) :]:
        ax.set_visible(False)
    bar = figure.colorbar(images[0], ax=panels, shrink=0.9, pad=0.03, extend="both")
    bar.set_label(scale_label(power))
    bar.outline.set_linewidth(0.5)


def mark_harm(ax: Axes, matrix: pd.DataFrame, limit: float) -> None:
    """Write a dash where a task harms another, as both ends of the colours are alike in grey."""
    values = matrix.to_numpy(dtype=float)
    for row, column in np.ndindex(*values.shape):
        value = float(values[row, column])
        if row != column and value < -SEEN * limit:
            ax.text(
                column, row, "–", ha="center", va="center", fontsize=SMALL_PT,
                color="white" if value < -DARK * limit else "#222222",
            )  # fmt: skip


def _drawing(run: Run, method: str, seed: int, drawn: pd.DataFrame, groups: list[str]) -> Drawing:
    count = drawn["round"].nunique()
    down = -(-count // a_row(count))
    return Drawing(
        stem=f"affinity_rounds_{file_stem(method)}",
        timed=False,
        title=TITLE,
        caption=f"Affinity in single rounds of {method}, seed {seed}, all on one scale, which ends "
        "at the median over rounds of the largest value, so that the strongest are darkest; a dash "
        "marks harm: rows are recipients, columns sources; the diagonal is not used. Boxes: the "
        "split that the mean of all rounds gave.",
        note=note_text(f"one seed ({seed})", origin_words(run)),
        aspect=0.12 + down * (0.33 if count > 2 else 0.45),
        drawn=drawn,
        paint=partial(paint, drawn=drawn, groups=groups),
    )
