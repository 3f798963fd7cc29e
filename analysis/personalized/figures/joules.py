"""Accuracy against joules by class of device, with the size of the network as the marker."""

from __future__ import annotations

from functools import partial

import pandas as pd
from matplotlib.axes import Axes

from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome
from analysis.core.loading import Run
from analysis.core.method_styles import method_style
from analysis.core.style import log_axis, paint_axes, spans_decade
from analysis.core.words import origin_words, spread_words
from analysis.personalized.frames import clients

TITLE = "Accuracy of a personalised model against its joules"
AREA = 26.0
"""Points² of the mark of a network of 1,000 parameters; areas grow with the parameters' root."""


def drawings(run: Run) -> list[Outcome]:
    """Return the figure, or why there is none."""
    frame = clients(run)
    measured = bool(len(frame)) and frame["energy_j"].notna().all()
    column = "energy_j" if measured else "energy_model_j"
    drawn = prepare(frame, column)
    if drawn.empty:
        return [NotDrawn(TITLE, "no client of a finished cell has accuracy and joules")]
    kind = "Measured" if measured else "Modelled"
    label = f"{kind} energy of one client (J)"
    note = "" if measured else "energy modelled from the device profile, not measured"
    return [
        Drawing(
            stem="accuracy_joules",
            title=TITLE,
            caption=f"One mark per method and family of networks, the mean over clients and seeds;"
            f" its area grows with the network's parameters. {label} is that of all rounds, the"
            " server's is in the next figure. local and the control smooth are in it, without which"
            f" no accuracy of a teacher says anything. {spread_words([run])}",
            note="; ".join(filter(None, (origin_words(run), note))),
            aspect=0.82,
            drawn=drawn,
            paint=partial(paint_axes, draw=partial(draw, drawn=drawn, label=label)),
        )
    ]


def prepare(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a row per method and family: joules, accuracy, parameters, clients × seeds.

    Repeats of a client are averaged first.
    """
    known = frame.dropna(subset=["accuracy", column])
    if known.empty:
        return pd.DataFrame(columns=["method", "family", "energy_j", "accuracy", "parameters", "n"])
    keys = ["method", "family", "seed", "client"]
    once = known.groupby(keys, sort=False)[["accuracy", "parameters", column]].mean().reset_index()
    grouped = once.groupby(["method", "family"], sort=False)
    return grouped.agg(
        energy_j=(column, "mean"), accuracy=("accuracy", "mean"),
        parameters=("parameters", "mean"), n=("accuracy", "size"),
    ).reset_index()  # fmt: skip


def draw(ax: Axes, drawn: pd.DataFrame, label: str) -> Axes:
    """Draw the marks."""
    for method in dict.fromkeys(drawn["method"]):
        own, shape = drawn[drawn["method"] == method], method_style(method)
        ax.scatter(
            own["energy_j"], 100.0 * own["accuracy"],
            s=AREA * (own["parameters"].astype(float) / 1000.0) ** 0.5, marker=shape.marker,
            facecolor=shape.colour, alpha=0.7, edgecolor="black", linewidth=0.4, label=method,
        )  # fmt: skip
    if spans_decade(drawn["energy_j"]):
        log_axis(ax)
    ax.set_xlabel(label)
    ax.set_ylabel("Test accuracy (%)")
    return ax
