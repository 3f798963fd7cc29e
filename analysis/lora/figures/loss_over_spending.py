"""Held-out loss against joules spent, and against bytes sent."""

from __future__ import annotations

from functools import partial

import pandas as pd

from analysis.core.basis import cost_basis, note_text
from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome
from analysis.core.loading import Run
from analysis.core.style import paint_axes, scaled_unit
from analysis.core.words import origin_words, spread_words, wide_words
from analysis.lora.figures.lines import draw_lines, mean_lines
from analysis.lora.values import MIXTURE, cost_by_round, values_of

TITLE = "Loss against joules and against bytes"
LOSS = "Held-out loss (nat/token)"


def drawings(run: Run) -> list[Outcome]:
    """Return both figures, or why there are none."""
    return [*_against_cost(run), *_against_bytes(run)]


def losses(run: Run) -> pd.DataFrame:
    """Return the tested loss of each cell and round: cell, method, seed, round, y."""
    rows = values_of(run, "test_loss", MIXTURE)
    return rows[["cell", "method", "seed", "round"]].assign(y=rows["value"].astype("float64"))


def _against_cost(run: Run) -> list[Outcome]:
    basis = cost_basis(run)
    spent = cost_by_round(run, basis).rename(columns={"cost": "x"})
    rows = losses(run).merge(spent, on=["cell", "round"]).dropna(subset=["x"])
    if rows.empty:
        return [NotDrawn(TITLE, "no round has both a loss and its cost")]
    drawn = mean_lines(rows, run.methods)
    factor, unit = scaled_unit(float(drawn["x"].max()), basis.unit)
    drawn["x"] *= factor
    words = f"{basis.quantity} spent ({unit})"
    return [_drawing("loss_over_joules", run, drawn, words, note_text(*basis.notes))]


def _against_bytes(run: Run) -> list[Outcome]:
    """Bytes of a round are those of the cell by its rounds: only FLoRA's differ, in the first."""
    sent = run.done.assign(
        bytes=run.done["upload_bytes"].astype("float64")
        + run.done["download_bytes"].astype("float64")
    )
    rows = losses(run).merge(sent[["cell", "bytes", "rounds"]], on="cell")
    rows = rows[rows["bytes"] > 0]
    if rows.empty:
        return [NotDrawn(TITLE, "nothing was sent")]
    share = rows["round"].astype("float64") / rows["rounds"].astype("float64")
    drawn = mean_lines(rows.assign(x=rows["bytes"] * share / 1e6), run.methods)
    return [_drawing("loss_over_bytes", run, drawn, "Sent up and down (MB)", origin_words(run))]


def _drawing(stem: str, run: Run, drawn: pd.DataFrame, words: str, note: str) -> Drawing:
    caption = (
        f"{words} until a round, and the held-out loss on the clients' mixture after it. Lines are"
        f" means over seeds, bands 95 % intervals of the loss. {spread_words([run])}"
    )
    if stem == "loss_over_bytes":
        caption += (
            " Bytes of a cell are spread evenly over its rounds; local and central send none."
        )
    draw = partial(draw_lines, drawn=drawn, x_label=words, y_label=LOSS)
    return Drawing(
        stem, TITLE, caption + wide_words(drawn["n"]), note, 0.74, drawn,
        partial(paint_axes, draw=draw),
    )  # fmt: skip
