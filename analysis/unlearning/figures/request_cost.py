"""Cost of a request against what those who stay get, with completeness as the marker."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.core.basis import note_text
from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome
from analysis.core.loading import Run
from analysis.core.style import legend_above, log_axis, spans_decade
from analysis.core.words import origin_words, spread_words
from analysis.unlearning.looks import look
from analysis.unlearning.reading import by_seed, cost_of, data_words, summary
from harness.evidence.paired import half_width
from harness.workloads.unlearning.comparison import completeness_words, grouped

TITLE = "Cost of a request against utility"
KINDS = ("exact", "approximate", "not known", "not forgotten")
MARKERS = {"exact": "o", "approximate": "s", "not known": "^", "not forgotten": "X"}
LABELS = {
    "exact": "exact", "approximate": "approximate, no attack succeeds",
    "not known": "approximate, too few users to say", "not forgotten": "an attack succeeds",
}  # fmt: skip


def drawings(run: Run) -> list[Outcome]:
    """Return a figure per scenario, or why there is none."""
    rows = summary(run)
    found: list[Outcome] = []
    for (scenario,), own in grouped(rows, "scenario").items():
        _, column, quantity, unit = cost_of(own)
        drawn = prepare(own, column)
        if drawn.empty:
            continue
        found.append(
            Drawing(
                stem=f"unlearning_request_{scenario}",
                title=f"{TITLE}: {scenario}",
                caption=f"{quantity} of one request ({unit}) against NDCG@20 of those who stay"
                f" ({scenario}, {data_words(run)}); towards the upper left is better. The marker"
                " says how completely users are forgotten. Bars are 95 % intervals over seeds."
                f" {spread_words([run])}",
                note=note_text(data_words(run), origin_words(run), _basis_words(quantity)),
                aspect=0.8,
                drawn=drawn,
                paint=partial(paint, drawn=drawn, quantity=quantity, unit=unit),
            )
        )
    return found or [NotDrawn(TITLE, "no finished cell has both a cost and an NDCG")]


def _basis_words(quantity: str) -> str:
    return "energy modelled from the device profile, not measured" if "Mod" in quantity else ""


def prepare(rows: list[dict[str, Any]], column: str) -> pd.DataFrame:
    """Return columns method, completeness, cost, ndcg_20, half_width, n (seeds) of each method."""
    found = []
    for (method,), own in grouped(rows, "method").items():
        known = [r for r in own if r[column] is not None and r["ndcg_20"] is not None]
        if known:
            costs, ndcg = by_seed(known, column), by_seed(known, "ndcg_20")
            words = completeness_words(known)
            kind = next(k for k in (*KINDS[2:], *KINDS[:2]) if words.startswith(k))
            found.append((method, kind, np.mean(costs), np.mean(ndcg), half_width(ndcg), len(ndcg)))
    columns = ["method", "completeness", "cost", "ndcg_20", "half_width", "n"]
    return pd.DataFrame(found, columns=columns)


def paint(figure: Figure, width_in: float, drawn: pd.DataFrame, quantity: str, unit: str) -> None:
    """Draw a point per method, and a legend of markers above."""
    ax = draw(figure.subplots(), drawn, quantity, unit)
    legend_above(figure, ax, width_in)


def draw(ax: Axes, drawn: pd.DataFrame, quantity: str, unit: str) -> Axes:
    """Draw each method by its colour and the marker of its completeness, and its name."""
    for kind in (k for k in KINDS if (drawn["completeness"] == k).any()):
        ax.plot([], [], linestyle="none", marker=MARKERS[kind], color="#777777", label=LABELS[kind])
    for place, row in enumerate(drawn.sort_values("cost").to_dict(orient="records")):
        method, cost, ndcg = str(row["method"]), float(row["cost"]), float(row["ndcg_20"])
        colour, half = look(method)[0], row["half_width"]
        bar = None if half is None or math.isnan(half) else float(half)
        ax.errorbar(
            cost, ndcg, yerr=bar, marker=MARKERS[str(row["completeness"])], color=colour,
            markersize=6, markeredgecolor="black", markeredgewidth=0.5, capsize=2,
            linestyle="none",
        )  # fmt: skip
        above = place % 2 == 0
        ax.annotate(
            method.partition(":")[0], (cost, ndcg), xytext=(5, 5 if above else -5),
            textcoords="offset points", fontsize=7, va="bottom" if above else "top", color=colour,
        )  # fmt: skip
    ax.margins(x=0.2, y=0.16)
    if spans_decade(drawn["cost"]):
        log_axis(ax)
    ax.set_xlabel(f"{quantity} of a request ({unit})")
    ax.set_ylabel("NDCG@20 of those who stay")
    return ax
