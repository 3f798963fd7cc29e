"""Total test loss against what had been spent by then, with the point where a method split."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.core.basis import cost_basis, note_text
from analysis.core.curves import cell_curves, seed_curves
from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome
from analysis.core.loading import Run
from analysis.core.method_styles import method_style
from analysis.core.style import keep_limits, log_axis, paint_axes, scaled_unit, spans_decade
from analysis.core.words import is_wide, spread_words, wide_words
from harness.evidence.paired import half_width

TITLE = "Loss against cumulative cost"
MARKS_PER_LINE = 8


def drawings(run: Run) -> list[Outcome]:
    """Return the figure, or why there is none."""
    basis = cost_basis(run)
    drawn = prepare(seed_curves(cell_curves(run, basis)), run.methods)
    if drawn.empty:
        return [NotDrawn(TITLE, "no round has both the test loss of every task and its cost")]
    splits = {
        method: rounds
        for method in run.methods
        if (rounds := run.manifest.merge_rounds(method)) is not None
    }

    draw_it = partial(draw, drawn=drawn, splits=splits, quantity=basis.quantity, unit=basis.unit)
    return [
        Drawing(
            stem="loss_over_cost",
            title=TITLE,
            caption=f"{basis.quantity} spent ({basis.unit}) to train every task for a number of "
            "rounds, and the total test loss after them. Lines are means over seeds, bands 95 % "
            "intervals of the loss." + (" Open circles mark the split." if splits else "")
            + f" {spread_words([run])}{wide_words(drawn['n'])}",
            note=note_text(*basis.notes),
            aspect=0.74,
            drawn=drawn,
            paint=partial(paint_axes, draw=draw_it),
        )
    ]  # fmt: skip


def prepare(seeds: pd.DataFrame, methods: list[str]) -> pd.DataFrame:
    """Return the mean over seeds at each round that every seed of the method has.

    Returns:
        Columns method, round, cost, total_test_loss, half_width (empty for one seed), n.
    """
    columns = ["method", "round", "cost", "total_test_loss", "half_width", "n"]
    rows = []
    counts = seeds.groupby("method")["seed"].nunique().to_dict()
    for (method, number), own in seeds.groupby(["method", "round"], sort=False):
        if len(own) < counts[method]:
            continue
        losses = own["total_test_loss"].tolist()
        rows.append(
            (method, number, own["cost"].mean(), np.mean(losses), half_width(losses), len(own))
        )
    table = pd.DataFrame(rows, columns=columns)
    rank = table["method"].map({method: place for place, method in enumerate(methods)})
    return table.assign(rank=rank).sort_values(["rank", "round"], kind="stable").filter(columns)


def draw(
    ax: Axes, drawn: pd.DataFrame, splits: Mapping[str, int], quantity: str, unit: str
) -> Axes:
    """Draw one line per method with the band of its loss, and an open circle at its split."""
    factor, shown_unit = scaled_unit(float(drawn["cost"].max()), unit)
    for method, own in drawn.groupby("method", sort=False):
        shape = method_style(str(method))
        cost, loss = own["cost"] * factor, own["total_test_loss"]
        if not is_wide(own["n"].max()):
            _draw_band(ax, own, factor)
        ax.plot(
            cost, loss, color=shape.colour, linestyle=shape.line, marker=shape.marker,
            markevery=max(1, len(own) // MARKS_PER_LINE), markersize=3.5, label=str(method),
        )  # fmt: skip
        split = own[own["round"] == splits.get(str(method), -1)]
        if len(split):
            ax.plot(
                split["cost"] * factor, split["total_test_loss"], marker="o", markersize=9,
                markerfacecolor="none", markeredgecolor="black", markeredgewidth=0.9,
                linestyle="none",
            )  # fmt: skip
    if spans_decade(drawn["cost"]):
        log_axis(ax)
    else:
        ax.set_xlim(left=0)
    with keep_limits(ax):
        for _, own in drawn[drawn["n"].map(is_wide)].groupby("method", sort=False):
            _draw_band(ax, own, factor)
    ax.set_xlabel(f"{quantity} spent ({shown_unit})")
    ax.set_ylabel("Total test loss")
    return ax


def _draw_band(ax: Axes, own: pd.DataFrame, factor: float) -> None:
    half, loss = own["half_width"].astype(float), own["total_test_loss"]
    if half.notna().any():
        colour = method_style(str(own["method"].iloc[0])).colour
        ax.fill_between(
            own["cost"] * factor, loss - half, loss + half, color=colour, alpha=0.18, lw=0
        )
