"""Error of the joined update against the exact weighted sum of the clients', round by round."""

from __future__ import annotations

from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome
from analysis.core.loading import Run
from analysis.core.style import paint_axes
from analysis.core.words import origin_words, spread_words, wide_words
from analysis.lora.figures.lines import draw_lines, mean_lines
from analysis.lora.values import LEAST_ERROR, MIXTURE, values_of

TITLE = "Error of the joined update"


def drawings(run: Run) -> list[Outcome]:
    """Return the figure, or why there is none."""
    drawn = prepare(run)
    if drawn.empty:
        return [NotDrawn(TITLE, "no method joins updates")]
    return [
        Drawing(
            "update_error",
            TITLE,
            "‖joined − exact‖ / ‖exact‖ (Frobenius, all layers) of each round, exact being"
            " Σ p·s·B·A. What lies at 10⁻⁷ is rounding in single precision. Lines are means over"
            f" seeds. {spread_words([run])}{wide_words(drawn['n'])}",
            origin_words(run),
            0.74,
            drawn,
            partial(paint_axes, draw=partial(draw, drawn=drawn)),
        )
    ]


def prepare(run: Run) -> pd.DataFrame:
    """Return the mean error by method and round."""
    rows = values_of(run, "aggregation_error", MIXTURE)
    rows = rows[["method", "seed", "round"]].assign(
        x=rows["round"].astype("float64"), y=rows["value"].astype("float64").clip(lower=LEAST_ERROR)
    )
    return mean_lines(rows, run.methods)


def draw(ax: Axes, drawn: pd.DataFrame) -> Axes:
    """Draw errors over rounds on powers of ten."""
    draw_lines(ax, drawn.assign(half_width=None), "Round", "Relative error of the update")
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0e}"))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return ax
