"""Total cost over the number of requests: from which one on a method has paid."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.core.basis import note_text
from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome
from analysis.core.loading import Run
from analysis.core.style import paint_axes
from analysis.core.words import origin_words, spread_words
from analysis.unlearning.looks import look, plain_log
from analysis.unlearning.reading import by_seed, cost_of, data_words, summary
from harness.workloads.unlearning.comparison import REFERENCE, grouped
from harness.workloads.unlearning.judging.rules import break_even

TITLE = "Total cost over requests"
LEAST_REQUESTS = 10
MOST_REQUESTS = 100


def drawings(run: Run) -> list[Outcome]:
    """Return a figure per scenario, or why there is none."""
    found: list[Outcome] = []
    for (scenario,), own in grouped(summary(run), "scenario").items():
        setup, request, quantity, unit = cost_of(own)
        drawn = prepare(own, setup, request)
        if drawn.empty:
            continue
        words = "energy modelled from the device profile, not measured"
        modelled = words if "Mod" in quantity else ""
        found.append(
            Drawing(
                stem=f"unlearning_pays_{scenario}",
                title=f"{TITLE}: {scenario}",
                caption=f"{quantity} of being ready and of a number of requests like those of the"
                f" {scenario} ({data_words(run)}). Circles mark where a method has cost no more"
                f" than training anew at each request. Means over seeds. {spread_words([run])}",
                note=note_text(
                    data_words(run), origin_words(run), modelled if "Mod" in quantity else ""
                ),
                aspect=0.8,
                drawn=drawn,
                paint=partial(
                    paint_axes, draw=partial(draw, drawn=drawn, quantity=quantity, unit=unit)
                ),
            )
        )
    return found or [NotDrawn(TITLE, "no finished cell has the cost of set-up and requests")]


def prepare(rows: list[dict[str, Any]], setup: str, request: str) -> pd.DataFrame:
    """Return columns method, setup, request, break_even (NaN if never), requests (drawn)."""
    found: list[tuple[str, float, float]] = []
    for (method,), own in grouped(rows, "method").items():
        known = [r for r in own if r[setup] is not None and r[request] is not None]
        if known:
            ready, each = (float(np.mean(by_seed(known, name))) for name in (setup, request))
            found.append((str(method), ready, each))
    reference = next(((s, r) for name, s, r in found if name == REFERENCE), None)
    crossings = []
    for name, ready, each in found:
        pays = math.nan
        if reference is not None and name != REFERENCE:
            pays = break_even(ready, each, *reference)
        crossings.append(math.nan if math.isinf(pays) else pays)
    known_pays = [x for x in crossings if not math.isnan(x)]
    drawn = min(MOST_REQUESTS, max(LEAST_REQUESTS, math.ceil(1.3 * max(known_pays, default=0.0))))
    table = pd.DataFrame(found, columns=["method", "setup", "request"])
    return table.assign(break_even=crossings, requests=drawn)


def draw(ax: Axes, drawn: pd.DataFrame, quantity: str, unit: str) -> Axes:
    """Draw a line per method from its set-up on, and a circle where it has paid."""
    for row in drawn.to_dict(orient="records"):
        colour, line, _ = look(str(row["method"]))
        count = np.arange(int(row["requests"]) + 1)
        ax.plot(count, row["setup"] + count * row["request"], color=colour,
                linestyle=line, label=str(row["method"]))  # fmt: skip
        pays = float(row["break_even"])
        if 0.0 < pays <= row["requests"]:
            ax.plot(pays, row["setup"] + pays * row["request"], marker="o", markersize=7,
                    markerfacecolor="none", markeredgecolor=colour)  # fmt: skip
    ax.set_xlim(left=0)
    ax.set_yscale("log")
    plain_log(ax.yaxis)
    ax.set_xlabel("Requests")
    ax.set_ylabel(f"{quantity} in all ({unit})")
    return ax
