"""Power over time with the phases shaded: the trace of one cell, or modelled power as steps."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.core.basis import note_text, restated_power_w
from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome
from analysis.core.figures.power_data import CARD, PowerData, prepare
from analysis.core.loading import Run
from analysis.core.method_styles import HATCHES, OTHER_COLOURS, PHASE_COLOURS, PHASE_HATCHES
from analysis.core.style import SMALL_PT, TEXT_PT, paint_axes
from analysis.core.words import origin_words

TITLE = "Power over time"
RAIL_LINES = ("-", "--", ":", "-.")
TRACE_COLOUR = "#222222"
HEAT_COLOUR = "#8B0000"
HEAT_LINES = {"temperature_c": ("temperature", "-"), CARD: ("GPU's temperature", "--")}
"""Column of conditions → what the legend calls it, and its line."""
FLAG_MARKERS = ("v", "X", "P", "d")
MEDIAN_OF = 5
"""Samples of the running median; no median is drawn for rails with fewer than ten times as many."""


def drawings(run: Run, cell: str | None = None) -> list[Outcome]:
    """Return the figure of one cell, or why there is none."""
    power_w = restated_power_w(run)
    if power_w is not None and cell is None:
        reason = f"modelled power is {power_w:.3g} W in all cells, and none was measured"
        return [NotDrawn(TITLE, reason)]
    chosen = cell or chosen_cell(run)
    data = None if chosen is None else prepare(run, chosen)
    if chosen is None or data is None:
        return [NotDrawn(TITLE, "no cell has a power trace or modelled power")]
    if data.modelled and data.spans["phase"].nunique() < 2:
        reason = "no power was measured, and what is modelled of one phase is a single number"
        return [NotDrawn(TITLE, reason)]
    note = "power modelled, not measured" if data.modelled else ""
    return [
        Drawing(
            stem="power_over_time",
            title=TITLE,
            caption=_caption(chosen, data),
            note=note_text(f"cell {chosen}", note, origin_words(run)),
            aspect=0.66,
            drawn=data.drawn(),
            paint=partial(paint_axes, draw=partial(draw, data=data)),
        )
    ]


def chosen_cell(run: Run) -> str | None:
    """Return the cell to show: the first one that split a merged model, else the first one."""
    cells = run.done.sort_values(["seed", "repeat"], kind="stable")
    rows = cells[["cell", "method", "groups"]].to_numpy().tolist()
    merged = [row for row in rows if run.manifest.merge_rounds(row[1]) is not None]
    split = [row for row in merged if "|" in str(row[2])]
    return next((str(row[0]) for row in [*split, *merged, *rows]), None)


def draw(ax: Axes, data: PowerData) -> Axes:
    """Draw phases as shaded spans and each rail as a line of its own; rails are never added up."""
    _shade(ax, data)
    rails = list(dict.fromkeys(data.lines["rail"]))
    for number, rail in enumerate(rails):
        own = data.lines[data.lines["rail"] == rail]
        _draw_rail(ax, own, str(rail), RAIL_LINES[number % len(RAIL_LINES)], data)
    if data.idle_w is not None:
        ax.axhline(
            data.idle_w, color="#888888", linewidth=1.8, alpha=0.9,
            label=f"idle {data.idle_w:.3g} W",
        )  # fmt: skip
    ends = [data.spans["end_s"].max(), data.lines["t_s"].max()]
    ax.set_xlim(0, float(np.nanmax(ends)) or 1.0)
    highest = data.lines[[c for c in ("power_w", "high_w") if c in data.lines]].max().max()
    ax.set_ylim(bottom=0, top=max(float(highest), data.idle_w or 0.0) * 1.12 or 1.0)
    _mark_split(ax, data)
    ax.set_xlabel("Modelled time on the device (s)" if data.on_device else "Time (s)")
    ax.set_ylabel("Modelled power (W)" if data.modelled else "Power (W)")
    ax.grid(visible=False)
    _draw_conditions(ax, data.conditions)
    return ax


def _caption(cell: str, data: PowerData) -> str:
    kind = "Modelled mean power per phase" if data.modelled else "Measured power"
    words = [f"{kind} of one cell, {cell}; phases are shaded, white is between them."]
    if data.means_w:
        words.append("In the legend: joules over seconds of each phase.")
    if data.joined:
        words.append("Lines are means of joined samples, bands their extremes.")
    elif not data.modelled and _has_median(data.lines):
        words.append(f"Faint: samples; dark: running median of {MEDIAN_OF}.")
    if data.idle_w is not None:
        kind = "of the profile" if data.modelled else "measured before and after the run"
        words.append(f"Grey: idle power {kind}.")
    if data.split_s is not None:
        words.append("Dotted: the split; merged training before it, the groups after it.")
    whose = [name for column, name in (("temperature_c", "the host"), (CARD, "the GPU"))
             if column in data.conditions and data.conditions[column].notna().any()]  # fmt: skip
    if whose:
        words.append(f"Right axis: temperature of {' and '.join(whose)}, once a round.")
    if (data.conditions["flags"] != "").any():
        words.append("Marks at the top: what had slowed or disturbed the host by then.")
    return " ".join(words)


def _shade(ax: Axes, data: PowerData) -> None:
    others = [name for name in dict.fromkeys(data.spans["phase"]) if name not in PHASE_COLOURS]
    for phase, own in data.spans.groupby("phase", sort=False):
        place = others.index(phase) if phase in others else 0
        colour = PHASE_COLOURS.get(str(phase), OTHER_COLOURS[place % len(OTHER_COLOURS)])
        hatch = PHASE_HATCHES.get(str(phase), HATCHES[place % len(HATCHES)])
        widths = own["end_s"] - own["start_s"]
        mean = data.means_w.get(str(phase))
        ax.broken_barh(
            list(zip(own["start_s"], widths, strict=True)), (0, 1),
            label=str(phase) if mean is None else f"{phase} {mean:.3g} W",
            transform=ax.get_xaxis_transform(), hatch=hatch, facecolor=colour,
            edgecolor="white", alpha=0.38, linewidth=0,
            zorder=0,
        )  # fmt: skip


def _draw_rail(ax: Axes, own: pd.DataFrame, rail: str, line: str, data: PowerData) -> None:
    """Draw joined samples as means with their extremes, many as faint samples and a median."""
    power = own["power_w"]
    if data.joined:
        ax.fill_between(
            own["t_s"], own["low_w"], own["high_w"], step="post", color=TRACE_COLOUR,
            alpha=0.22, linewidth=0,
        )  # fmt: skip
    elif not data.modelled and _has_median(own):
        ax.plot(own["t_s"], power, color=TRACE_COLOUR, linewidth=0.75, alpha=0.35)
        power = power.rolling(MEDIAN_OF, center=True, min_periods=1).median()
    ax.plot(
        own["t_s"], power, color=TRACE_COLOUR, linewidth=0.8, label=rail, linestyle=line,
        drawstyle="steps-post" if data.joined else "default",
    )  # fmt: skip


def _has_median(lines: pd.DataFrame) -> bool:
    return len(lines) >= 10 * MEDIAN_OF * lines["rail"].nunique()


def _mark_split(ax: Axes, data: PowerData) -> None:
    if data.split_s is None:
        return
    ax.axvline(data.split_s, color="black", linewidth=1.0, linestyle=":")
    ax.annotate(
        "split", xy=(data.split_s, 0.02), xycoords=("data", "axes fraction"), xytext=(3, 0),
        textcoords="offset points", va="bottom", ha="left", fontsize=SMALL_PT,
    )  # fmt: skip


def _draw_conditions(ax: Axes, samples: pd.DataFrame) -> None:
    """Draw temperature on an axis of its own to the right, and a mark where a flag was new."""
    told = {name: line for name, line in HEAT_LINES.items() if name in samples}
    warm = {name: samples[samples[name].notna()] for name in told}
    if any(map(len, warm.values())):
        twin = ax.twinx()
        for name, own in warm.items():
            if not len(own):
                continue
            label, line = told[name]
            style: dict[str, Any] = {
                "color": HEAT_COLOUR, "linewidth": 0.9, "marker": ".", "markersize": 3.0,
                "linestyle": line,
            }  # fmt: skip
            twin.plot(own["t_s"], own[name], **style)
            ax.plot([], [], label=label, **style)
        twin.set_ylabel("Temperature (°C)", color=HEAT_COLOUR, fontsize=TEXT_PT)
        twin.tick_params(axis="y", colors=HEAT_COLOUR)
        twin.grid(visible=False)
        twin.spines["right"].set_visible(True)
        twin.margins(y=0.25)
    flags = [(t, flag) for t, text in zip(samples["t_s"], samples["flags"], strict=True)
             for flag in str(text).split("+") if flag]  # fmt: skip
    for number, flag in enumerate(dict.fromkeys(flag for _, flag in flags)):
        times = [t for t, own in flags if own == flag]
        ax.plot(
            times, [1.0] * len(times), transform=ax.get_xaxis_transform(), linestyle="none",
            marker=FLAG_MARKERS[number % len(FLAG_MARKERS)], color="black", markersize=4.5,
            clip_on=False, label=flag,
        )  # fmt: skip
