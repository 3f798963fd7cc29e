"""What each request of a stream took, and what those who stay get after it."""

from __future__ import annotations

from functools import partial

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.core.basis import note_text
from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome
from analysis.core.loading import Run
from analysis.core.style import legend_above
from analysis.core.words import origin_words, spread_words
from analysis.unlearning.looks import look, plain_log
from analysis.unlearning.reading import data_words, requests

TITLE = "Requests one after another"


def drawings(run: Run) -> list[Outcome]:
    """Return the figure, or why there is none."""
    drawn = prepare(requests(run))
    if drawn.empty:
        return [NotDrawn(TITLE, "there is no stream of two requests or more")]
    return [
        Drawing(
            stem="unlearning_trace",
            title=TITLE,
            caption="Seconds of each request of the stream (above) and NDCG@20 of those who stay"
            f" after it (below; {data_words(run)}). Means over seeds. {spread_words([run])}",
            note=note_text(data_words(run), origin_words(run)),
            aspect=1.1,
            drawn=drawn,
            paint=partial(paint, drawn=drawn),
        )
    ]


def prepare(rows: pd.DataFrame) -> pd.DataFrame:
    """Return columns method, request, time_s, energy_model_j, ndcg_20.

    They are means over seeds, repeats averaged first.
    """
    columns = ["method", "request", "time_s", "energy_model_j", "ndcg_20"]
    if rows.empty:
        return pd.DataFrame(columns=columns)
    stream = rows[rows["scenario"] == "stream"]
    if stream.empty or stream["request"].nunique() < 2:
        return pd.DataFrame(columns=columns)
    seeds = stream.groupby(["method", "seed", "request"], sort=False)[columns[2:]].mean()
    return seeds.groupby(["method", "request"], sort=False).mean().reset_index()


def paint(figure: Figure, width_in: float, drawn: pd.DataFrame) -> None:
    """Draw both panels, with one legend above."""
    above, below = figure.subplots(2, 1, sharex=True)
    for method, own in drawn.groupby("method", sort=False):
        colour, line, marker = look(str(method))
        for ax, column in ((above, "time_s"), (below, "ndcg_20")):
            ax.plot(
                own["request"], own[column], label=str(method), color=colour, linestyle=line,
                marker=marker, markersize=3.5,
            )  # fmt: skip
    above.set_yscale("log")
    plain_log(above.yaxis)
    above.set_ylabel("Time of a request (s)")
    below.set_ylabel("NDCG@20")
    below.set_xlabel("Request")
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_above(figure, above, width_in)
