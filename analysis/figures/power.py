"""Power over time with the phases shaded: the trace of one cell, or modelled power as steps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.basis import note_text
from analysis.figures.drawing import Drawing, NotDrawn, Outcome
from analysis.loading import Run
from analysis.looks import PHASE_COLOURS
from analysis.style import paint_axes
from analysis.words import origin_words

RAIL_LINES = ("-", "--", ":", "-.")
TRACE_COLOUR = "#222222"
GAP_S = 1e-3
"""Phases closer than this adjoin: what lies between them is the marking itself."""
SHORTEST_MEAN_S = 0.5
MOST_POINTS = 2000
"""More than a column of print can show at 300 dots an inch."""


@dataclass(frozen=True)
class PowerData:
    """Hold what the figure draws for one cell.

    Attributes:
        spans: columns phase, start_s, end_s; times from the start of the cell.
        lines: columns rail, t_s, power_w; NaN power breaks the line. Where samples were joined,
            power_w holds from t_s to the next one, and low_w and high_w are the extremes.
        modelled: whether the power is computed from the profile.
        on_device: whether the time axis is modelled time of the device.
    """

    spans: pd.DataFrame
    lines: pd.DataFrame
    modelled: bool
    on_device: bool

    def drawn(self) -> pd.DataFrame:
        """Return everything drawn as one table: rows of element phase, then of element power."""
        spans = self.spans.rename(columns={"phase": "name"}).assign(element="phase")
        lines = self.lines.rename(columns={"rail": "name", "t_s": "start_s"})
        lines = lines.assign(element="power", end_s=lines["start_s"])
        columns = ["element", "name", "start_s", "end_s", "power_w", "low_w", "high_w"]
        return pd.concat([spans, lines]).reindex(columns=columns)


def drawings(run: Run, cell: str | None = None) -> list[Outcome]:
    """Return the figure of one cell, or why there is none."""
    chosen = cell or chosen_cell(run)
    data = None if chosen is None else prepare(run, chosen)
    if chosen is None or data is None:
        return [NotDrawn("Power over time", "no cell has a power trace or modelled power")]
    kind = "Modelled mean power per phase" if data.modelled else "Measured power"

    note = "power modelled, not measured" if data.modelled else ""
    return [
        Drawing(
            stem="power_over_time",
            title="Power over time",
            caption=f"{kind} of one cell, {chosen}; phases are shaded.",
            note=note_text(f"cell {chosen}", note, origin_words(run)),
            aspect=0.66,
            drawn=data.drawn(),
            paint=partial(paint_axes, draw=partial(draw, data=data)),
        )
    ]


def chosen_cell(run: Run) -> str | None:
    """Return the cell to show: the first one that split a merged model, else the first one."""
    cells = run.done.sort_values(["seed", "repeat"], kind="stable")
    rows = cells[["cell", "method"]].to_numpy().tolist()
    split = [str(name) for name, method in rows if run.manifest.merge_rounds(method) is not None]
    return next(iter([*split, *(str(name) for name, _ in rows)]), None)


def prepare(run: Run, cell: str) -> PowerData | None:
    """Return the phases and the power of a cell on one time axis, or None if there is no power."""
    phases = run.phases[run.phases["cell"] == cell].sort_values("start_s", kind="stable")
    trace = _measured_trace(run, cell)
    if trace is not None:
        zero = float(np.nanmin([phases["start_s"].min(), trace["t_s"].min()]))
        lines = thinned(trace.assign(t_s=trace["t_s"] - zero))
        return PowerData(_spans(phases, zero), lines, modelled=False, on_device=False)
    known = phases[phases["energy_model_j"].notna()]
    on_device = bool(known["time_model_s"].notna().any())
    if on_device:
        known = _on_device_clock(known[known["time_model_s"].notna()])
    known = known[known["end_s"] > known["start_s"]]
    if known.empty:
        return None
    zero = float(known["start_s"].min())
    return PowerData(
        _spans(known, zero), _steps(_coarse(known), zero), modelled=True, on_device=on_device
    )


def draw(ax: Axes, data: PowerData) -> Axes:
    """Draw phases as shaded spans and each rail as a line of its own; rails are never added up."""
    for phase, own in data.spans.groupby("phase", sort=False):
        widths = own["end_s"] - own["start_s"]
        ax.broken_barh(
            list(zip(own["start_s"], widths, strict=True)), (0, 1), label=str(phase),
            transform=ax.get_xaxis_transform(), facecolor=PHASE_COLOURS.get(str(phase), "#999999"),
            alpha=0.38, linewidth=0, zorder=0,
        )  # fmt: skip
    rails = list(dict.fromkeys(data.lines["rail"]))
    for number, rail in enumerate(rails):
        own = data.lines[data.lines["rail"] == rail]
        joined = "low_w" in own and bool(own["low_w"].notna().any())
        if joined:
            ax.fill_between(
                own["t_s"], own["low_w"], own["high_w"], step="post", color=TRACE_COLOUR,
                alpha=0.22, linewidth=0,
            )  # fmt: skip
        ax.plot(
            own["t_s"], own["power_w"], color=TRACE_COLOUR, linewidth=0.8, label=str(rail),
            linestyle=RAIL_LINES[number % len(RAIL_LINES)],
            drawstyle="steps-post" if joined else "default",
        )  # fmt: skip
    ends = [data.spans["end_s"].max(), data.lines["t_s"].max()]
    ax.set_xlim(0, float(np.nanmax(ends)) or 1.0)
    highest = data.lines[[c for c in ("power_w", "high_w") if c in data.lines]].max().max()
    ax.set_ylim(bottom=0, top=float(highest) * 1.12 or 1.0)
    ax.set_xlabel("Modelled time on the device (s)" if data.on_device else "Time (s)")
    ax.set_ylabel("Modelled power (W)" if data.modelled else "Power (W)")
    ax.grid(visible=False)
    return ax


def thinned(trace: pd.DataFrame) -> pd.DataFrame:
    """Return each rail with at most `MOST_POINTS` points, without changing its integral.

    Neighbouring samples are joined: the power of a stretch is its energy over its length, from the
    counter if there is one, else from the trapezoid; the extremes of its samples stand beside it.
    A rail with fewer samples is returned as it is.

    Returns:
        Columns rail, t_s, power_w, low_w, high_w (both empty for a rail as it is).
    """
    parts = [_thinned_rail(str(rail), own) for rail, own in trace.groupby("rail", sort=False)]
    return pd.concat(parts, ignore_index=True)


def _thinned_rail(rail: str, own: pd.DataFrame) -> pd.DataFrame:
    columns = ["rail", "t_s", "power_w", "low_w", "high_w"]
    if len(own) <= MOST_POINTS:
        return own.reindex(columns=columns)
    time, power = own["t_s"].to_numpy(dtype=float), own["power_w"].to_numpy(dtype=float)
    counter = own["energy_j"].to_numpy(dtype=float)
    steps = np.diff(time) * (power[1:] + power[:-1]) / 2
    energy = np.concatenate([[0.0], np.cumsum(steps)])
    if np.isfinite(counter).all():
        energy = counter
    edges = np.unique(np.linspace(0, len(own) - 1, MOST_POINTS).round().astype(int))
    lengths = np.diff(time[edges])
    means = np.diff(energy[edges]) / np.where(lengths > 0, lengths, np.nan)
    low = np.minimum.reduceat(power, edges)[:-1]
    high = np.maximum.reduceat(power, edges)[:-1]
    table = {"t_s": time[edges], "power_w": means, "low_w": low, "high_w": high}
    ended = {name: values if name == "t_s" else np.append(values, values[-1])
             for name, values in table.items()}  # fmt: skip
    return pd.DataFrame(ended).assign(rail=rail)[columns]


def _measured_trace(run: Run, cell: str) -> pd.DataFrame | None:
    """Return the samples of a cell that carry power, or None if there are none.

    The first sample of a counter has no power, since there is no sample before it.
    """
    trace = run.trace(cell)
    known = None if trace is None else trace[trace["power_w"].notna() & trace["t_s"].notna()]
    return None if known is None or known.empty else known


def _spans(phases: pd.DataFrame, zero: float) -> pd.DataFrame:
    """Return the phases with neighbours of the same kind joined."""
    joined: list[list[float | str]] = []
    rows = phases[["phase", "start_s", "end_s"]].to_numpy().tolist()
    for phase, start, end in rows:
        if joined and joined[-1][0] == phase and start - float(joined[-1][2]) < GAP_S:
            joined[-1][2] = max(float(joined[-1][2]), end)
        else:
            joined.append([phase, start, end])
    spans = [(phase, float(start) - zero, float(end) - zero) for phase, start, end in joined]
    return pd.DataFrame(spans, columns=["phase", "start_s", "end_s"])


def _coarse(phases: pd.DataFrame) -> pd.DataFrame:
    """Return neighbouring phases merged until each stretch is long enough for a mean power.

    Processor seconds are counted in ticks of the kernel, so the modelled power of a millisecond is
    noise although the sum of many is right.
    """
    stretches: list[list[float]] = []
    for start, end, energy in phases[["start_s", "end_s", "energy_model_j"]].to_numpy(float):
        first, last, joules = stretches[-1] if stretches else (start, -np.inf, 0.0)
        if last - first < SHORTEST_MEAN_S and start - last < GAP_S:
            stretches[-1] = [first, end, joules + energy]
        else:
            stretches.append([start, end, energy])
    return pd.DataFrame(stretches, columns=["start_s", "end_s", "energy_model_j"])


def _on_device_clock(phases: pd.DataFrame) -> pd.DataFrame:
    """Return the phases laid end to end with the seconds the device would need."""
    ends = phases["time_model_s"].cumsum()
    return phases.assign(start_s=ends - phases["time_model_s"], end_s=ends)


def _steps(phases: pd.DataFrame, zero: float) -> pd.DataFrame:
    """Return mean power as a staircase, broken where nothing is modelled."""
    points: list[tuple[str, float, float]] = []
    last_end: float | None = None
    rows = phases[["start_s", "end_s", "energy_model_j"]].to_numpy(dtype=float).tolist()
    for start, end, energy in rows:
        power = energy / (end - start)
        if last_end is not None and start - last_end > GAP_S:
            points.append(("modelled mean power", last_end - zero, float("nan")))
        points.append(("modelled mean power", start - zero, power))
        points.append(("modelled mean power", end - zero, power))
        last_end = end
    return pd.DataFrame(points, columns=["rail", "t_s", "power_w"])
