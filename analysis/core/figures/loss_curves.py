"""Total test loss over rounds, with the round at which a merged model is split."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from analysis.core.basis import note_text
from analysis.core.curves import total_losses
from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome
from analysis.core.loading import Run
from analysis.core.method_styles import method_style
from analysis.core.numbers import serving_rows
from analysis.core.style import paint_axes
from analysis.core.words import origin_words, spread_words

TITLE = "Loss over rounds"
MARKS_PER_LINE = 8


def drawings(run: Run) -> list[Outcome]:
    """Return the figure, or why there is none."""
    drawn = prepare(run)
    if drawn.empty:
        return [NotDrawn(TITLE, "no round has a test loss of every task")]
    splits = {
        method: rounds
        for method in run.methods
        if (rounds := run.manifest.merge_rounds(method)) is not None
    }

    return [
        Drawing(
            stem="loss_over_rounds",
            timed=False,
            title=TITLE,
            caption="Total test loss after each round; lines are means over seeds, bands reach "
            "from the lowest seed to the highest. Rounds of different methods do not cost the same."
            + (" Dotted lines mark the split." if splits else "")
            + f" {spread_words([run])}",
            note=note_text(origin_words(run)),
            aspect=0.74,
            drawn=drawn,
            paint=partial(paint_axes, draw=partial(draw, drawn=drawn, splits=splits)),
        )
    ]


def prepare(run: Run) -> pd.DataFrame:
    """Return the total test loss per method, seed and round, repeats averaged.

    A round counts only if every task of the run was evaluated after it; a mean is given only for
    rounds that every seed of the method has.

    Returns:
        Columns method, element (seed or mean), seed, round, total_test_loss.
    """
    rows = serving_rows(run, "test_loss")
    columns = ["method", "element", "seed", "round", "total_test_loss"]
    if rows.empty:
        return pd.DataFrame(columns=columns)
    complete = total_losses(rows, len(run.tasks))
    seeds = complete.groupby(["method", "seed", "round"], sort=False)["total_test_loss"].mean()
    single = seeds.reset_index().assign(element="seed")
    counts = single.groupby("method")["seed"].nunique()
    means = single.groupby(["method", "round"], sort=False)["total_test_loss"].agg(["mean", "size"])
    means = means.reset_index().rename(columns={"mean": "total_test_loss"})
    means = means[means["size"] == means["method"].map(counts)].assign(element="mean")
    frames = [frame.reindex(columns=columns).astype({"seed": "Int64"}) for frame in (single, means)]
    both = pd.concat(frames)
    rank = both["method"].map({method: rank for rank, method in enumerate(run.methods)})
    order = ["rank", "element", "seed", "round"]
    return both.assign(rank=rank).sort_values(order, kind="stable").filter(columns)


def draw(ax: Axes, drawn: pd.DataFrame, splits: Mapping[str, int]) -> Axes:
    """Draw one line per method, a band over its seeds, and a dotted line at each split."""
    for method, own in drawn.groupby("method", sort=False):
        shape = method_style(str(method))
        seeds = own[own["element"] == "seed"]
        if seeds["seed"].nunique() > 1:
            span = seeds.groupby("round")["total_test_loss"].agg(["min", "max"])
            ax.fill_between(
                span.index.astype(float), span["min"].astype(float), span["max"].astype(float),
                color=shape.colour, alpha=0.13, linewidth=0,
            )  # fmt: skip
        mean = own[own["element"] == "mean"]
        ax.plot(
            mean["round"], mean["total_test_loss"], color=shape.colour, linestyle=shape.line,
            marker=shape.marker, markevery=max(1, len(mean) // MARKS_PER_LINE), label=str(method),
        )  # fmt: skip
    _mark_splits(ax, splits)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    ax.set_xlabel("Rounds finished")
    ax.set_ylabel("Total test loss")
    return ax


def _mark_splits(ax: Axes, splits: Mapping[str, int]) -> None:
    for rounds in sorted(set(splits.values())):
        ax.axvline(rounds, color="#444444", linestyle=":", linewidth=1.0)
    for rounds in sorted(set(splits.values())):
        ax.annotate(
            "split", xy=(rounds, 1.0), xycoords=("data", "axes fraction"), xytext=(2, -1),
            textcoords="offset points", va="top", ha="left", fontsize=7, color="#444444",
        )  # fmt: skip
