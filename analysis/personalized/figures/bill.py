"""What server and clients take, by phase."""

from __future__ import annotations

from functools import partial

import pandas as pd
from matplotlib.axes import Axes

from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome
from analysis.core.loading import Run
from analysis.core.method_styles import PHASE_COLOURS, PHASE_HATCHES
from analysis.core.style import finish_bars, paint_axes, scaled_unit
from analysis.core.words import origin_words, spread_words
from analysis.personalized.frames import costs

TITLE = "Bill of clients and server"
ORDER = ("train", "distil", "communicate", "aggregate", "likeness", "group", "search", "stitch",
         "tune", "match")  # fmt: skip


def drawings(run: Run) -> list[Outcome]:
    """Return the figure, or why there is none."""
    frame = costs(run)
    measured = bool(len(frame)) and frame["energy_j"].notna().all()
    column = "energy_j" if measured else "energy_model_j"
    drawn = prepare(frame, column)
    if drawn.empty:
        return [NotDrawn(TITLE, "no finished cell has a bill")]
    kind = "Measured" if measured else "Modelled"
    note = "" if measured else "energy modelled from the device profile, not measured"
    rows = drawn[["method", "party"]].drop_duplicates()
    return [
        Drawing(
            stem="bill",
            title=TITLE,
            caption=f"{kind} energy of all clients together (C) and of the server (S) by phase,"
            f" means over seeds; evaluation is not charged. {spread_words([run])}",
            note="; ".join(filter(None, (origin_words(run), note))),
            aspect=0.3 + 0.05 * len(rows),
            drawn=drawn,
            paint=partial(paint_axes, draw=partial(draw, drawn=drawn, label=f"{kind} energy")),
        )
    ]


def prepare(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the mean over seeds of joules by method, party and phase, repeats averaged first."""
    names = ["method", "party", "phase", "energy_j"]
    if frame.empty:
        return pd.DataFrame(columns=names)
    repeats = frame.groupby(["method", "seed"])["cell"].transform("nunique")
    seeds = frame.groupby("method")["seed"].transform("nunique")
    shares = frame.assign(energy_j=frame[column] / (repeats * seeds))
    sums = shares.groupby(["method", "party", "phase"], sort=False)["energy_j"].sum().reset_index()
    return sums[sums["energy_j"] > 0][names].reset_index(drop=True)


def draw(ax: Axes, drawn: pd.DataFrame, label: str) -> Axes:
    """Draw two bars per method, stacked by phase."""
    methods = list(dict.fromkeys(drawn["method"]))
    bars = [(m, p) for m in methods for p in ("clients", "server")]
    names = [f"{method}  {party[0].upper()}" for method, party in bars]
    totals = drawn.groupby(["method", "party"])["energy_j"].sum()
    factor, unit = scaled_unit(float(totals.max()), "J")
    left = [0.0] * len(bars)
    found = drawn.set_index(["method", "party", "phase"])["energy_j"]
    for phase in [name for name in ORDER if name in set(drawn["phase"])]:
        widths = [float(found.get((*bar, phase), 0.0)) * factor for bar in bars]
        ax.barh(names, widths, left=left, height=0.7, color=PHASE_COLOURS[phase],
                hatch=PHASE_HATCHES[phase], edgecolor="white", linewidth=0.4,
                label=phase)  # fmt: skip
        left = [start + width for start, width in zip(left, widths, strict=True)]
    finish_bars(ax, f"{label} ({unit})")
    return ax
