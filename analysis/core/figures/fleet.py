"""Who worked, spoke and waited when: one cell of a fleet, a line per device."""

from __future__ import annotations

from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.core.basis import note_text
from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome
from analysis.core.loading import Run
from analysis.core.method_styles import PHASE_COLOURS, PHASE_HATCHES
from analysis.core.style import legend_above, scaled_unit
from analysis.core.words import origin_words

TITLE = "Devices over time"
SHOWN = ("train", "affinity", "distil", "communicate", "idle")
MOST_DEVICES = 24
ROW_IN = 0.2
HATCH = "white"
UNUSED = "#CC3311"
"""Frames work whose update was not used."""


def drawings(run: Run) -> list[Outcome]:
    """Return the figure; nothing for a run on one device."""
    if run.devices is None:
        return []
    drawn = prepare(run)
    if drawn.empty:
        return [NotDrawn(TITLE, "no finished cell has times of devices")]
    cell, devices = str(drawn["cell"].iloc[0]), drawn["device"].nunique()
    left = run.devices["device"].nunique() - devices
    return [
        Drawing(
            stem="fleet_timeline",
            title=TITLE,
            caption=f"Rounds of one cell, {cell}: what every device did when. Dotted lines are the"
            " starts of rounds; a red frame is work whose update came too late or was refused."
            + (f" {left} further devices are not shown." if left > 0 else ""),
            note=note_text(f"cell {cell}", origin_words(run)),
            aspect=(0.9 + ROW_IN * devices) / 3.5,
            drawn=drawn,
            paint=partial(paint, drawn=drawn),
        )
    ]


def prepare(run: Run) -> pd.DataFrame:
    """Return the stretches of the first finished cell, its start being 0.

    Returns:
        Columns cell, device, job, round, phase, fate, start_s, end_s.
    """
    columns = ["cell", "device", "job", "round", "phase", "fate", "start_s", "end_s"]
    cells = run.done.sort_values(["seed", "repeat"], kind="stable")["cell"].tolist()
    assert run.devices is not None
    rows = run.devices[run.devices["phase"].isin(SHOWN)].dropna(subset=["start_s", "end_s"])
    chosen = next((cell for cell in cells if (rows["cell"] == cell).any()), None)
    if chosen is None:
        return pd.DataFrame(columns=columns)
    own = rows[rows["cell"] == chosen]
    shown = sorted(own["device"].unique())[:MOST_DEVICES]
    own = own[own["device"].isin(shown)]
    zero_s = own["start_s"].min()
    own = own.assign(start_s=own["start_s"] - zero_s, end_s=own["end_s"] - zero_s)
    found: pd.DataFrame = own.sort_values(["device", "start_s"], kind="stable")[columns]
    return found


def paint(figure: Figure, width_in: float, drawn: pd.DataFrame) -> None:
    """Put the lines on the figure, with a legend above."""
    ax = draw(figure.subplots(), drawn)
    legend_above(figure, ax, width_in)


def draw(ax: Axes, drawn: pd.DataFrame) -> Axes:
    """Draw one line of boxes per device."""
    factor, unit = scaled_unit(float(drawn["end_s"].max()), "s")
    devices = list(dict.fromkeys(drawn["device"]))
    for phase in SHOWN:
        own = drawn[drawn["phase"] == phase]
        for place, device in enumerate(devices):
            stretches = own[own["device"] == device]
            spans = [
                (start * factor, (end - start) * factor)
                for start, end in stretches[["start_s", "end_s"]].to_numpy().tolist()
            ]
            plain = HATCH if PHASE_HATCHES[phase] else PHASE_COLOURS[phase]
            edges = [UNUSED if f in ("late", "refused") else plain for f in stretches["fate"]]
            ax.broken_barh(
                spans, (place - 0.4, 0.8), facecolors=PHASE_COLOURS[phase], edgecolors=edges,
                hatch=PHASE_HATCHES[phase] or None, linewidth=0.4,
                zorder=3 if phase in ("train", "affinity", "distil") else 2,
            )  # fmt: skip
    begins = drawn[drawn["phase"] == "train"].groupby(["job", "round"])["start_s"].min()
    for start_s in begins:
        ax.axvline(start_s * factor, color="black", linewidth=0.4, linestyle=":", zorder=4)
    ax.set_yticks(range(len(devices)), devices)
    ax.set_ylim(len(devices) - 0.5, -0.5)
    ax.set_xlim(0, float(drawn["end_s"].max()) * factor)
    ax.set_xlabel(f"Time since the start of the cell ({unit})")
    ax.grid(visible=False)
    for phase in (phase for phase in SHOWN if (drawn["phase"] == phase).any()):
        hatch = PHASE_HATCHES[phase] or None
        ax.bar(0, 0, color=PHASE_COLOURS[phase], hatch=hatch, edgecolor=HATCH, label=phase)
    return ax
