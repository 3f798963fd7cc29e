"""What the figure of power over time shows of one cell: phases, power, idle, heat, throttling."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from analysis.core.loading import Run
from analysis.core.numbers import without_whole
from harness.evidence.yardstick import TURN

GAP_S = 1e-3
"""Phases closer than this adjoin: what lies between them is the marking itself."""
SHORTEST_MEAN_S = 0.5
MOST_POINTS = 2000
"""More than a column of print can show at 300 dots an inch."""


CARD = "gpu_temperature_c"


@dataclass(frozen=True)
class PowerData:
    """Hold what the figure draws for one cell; times count from its start.

    Attributes:
        spans: columns phase, start_s, end_s.
        lines: columns rail, t_s, power_w; NaN power breaks the line. Where samples were joined,
            power_w holds from t_s to the next one, and low_w and high_w are the extremes.
        modelled: whether the power is computed from the profile.
        on_device: whether the time axis is modelled time of the device.
        means_w: phase → its joules over its seconds, for phases that have both.
        idle_w: idle power, of the same kind as the power; None if it is not known.
        split_s: when the merged model was split; None if it was not.
        conditions: columns t_s, temperature_c, flags, of condition samples; flags are those that
            were new then; gpu_temperature_c too where a card told it.
    """

    spans: pd.DataFrame
    lines: pd.DataFrame
    modelled: bool
    on_device: bool
    means_w: dict[str, float] = field(default_factory=dict)
    idle_w: float | None = None
    split_s: float | None = None
    conditions: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=["t_s", "temperature_c", "flags"])
    )

    @property
    def joined(self) -> bool:
        """Tell whether samples were joined, so that lines are means with extremes beside them."""
        return "low_w" in self.lines and bool(self.lines["low_w"].notna().any())

    def drawn(self) -> pd.DataFrame:
        """Return everything drawn as one table; `element` says what a row is."""
        spans = self.spans.rename(columns={"phase": "name"}).assign(element="phase")
        spans = spans.assign(mean_w=spans["name"].map(self.means_w).astype("float64"))
        lines = self.lines.rename(columns={"rail": "name", "t_s": "start_s"})
        lines = lines.assign(element="power", end_s=lines["start_s"])
        samples = self.conditions.rename(columns={"t_s": "start_s", "flags": "name"})
        samples = samples.assign(element="condition", end_s=samples["start_s"])
        single = [("idle", None, self.idle_w), ("split", self.split_s, None)]
        rows = [
            {"element": name, "start_s": start, "power_w": power}
            for name, start, power in single
            if start is not None or power is not None
        ]
        parts = [spans, lines, samples, pd.DataFrame(rows)]
        columns = ["element", "name", "start_s", "end_s", "power_w", "low_w", "high_w", "mean_w",
                   "temperature_c", *([CARD] if CARD in samples else [])]  # fmt: skip
        return pd.concat([part for part in parts if len(part)]).reindex(columns=columns)


def prepare(run: Run, cell: str) -> PowerData | None:
    """Return the phases and the power of a cell on one time axis, or None if there is no power."""
    phases = run.phases[run.phases["cell"] == cell].sort_values("start_s", kind="stable")
    if run.manifest.yardstick.unit == TURN and len(phases) > 1:
        phases = without_whole(phases)
    trace = _measured_trace(run, cell)
    if trace is not None:
        zero = float(np.nanmin([phases["start_s"].min(), trace["t_s"].min()]))
        return PowerData(
            _spans(phases, zero),
            thinned(trace.assign(t_s=trace["t_s"] - zero)),
            modelled=False,
            on_device=False,
            means_w=_means_w(phases, "energy_j"),
            idle_w=_idle_w(run, cell),
            split_s=_split_s(run, cell, phases, zero),
            conditions=_conditions(run, cell, zero),
        )
    known = phases[phases["energy_model_j"].notna()]
    on_device = bool(known["time_model_s"].notna().any())
    if on_device:
        known = _on_device_clock(known[known["time_model_s"].notna()])
    known = known[known["end_s"] > known["start_s"]]
    within = known["start_s"].iloc[1:].to_numpy() < known["end_s"].cummax().iloc[:-1].to_numpy()
    if known.empty or (run.manifest.yardstick.unit == TURN and within.any()):
        return None  # of phases within one another no power of a moment follows
    zero = float(known["start_s"].min())
    return PowerData(
        _spans(known, zero),
        _steps(_coarse(known), zero),
        modelled=True,
        on_device=on_device,
        means_w=_means_w(known, "energy_model_j"),
        idle_w=_number((run.manifest.energy_model or {}).get("idle_w")),
        split_s=_split_s(run, cell, known, zero),
        **({} if on_device else {"conditions": _conditions(run, cell, zero)}),
    )


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


def _means_w(phases: pd.DataFrame, column: str) -> dict[str, float]:
    known = phases[phases[column].notna()]
    sums = known.assign(length_s=known["end_s"] - known["start_s"]).groupby("phase", sort=False)
    totals = sums[["length_s", column]].sum()
    totals = totals[totals["length_s"] > 0]
    return {str(phase): float(w) for phase, w in (totals[column] / totals["length_s"]).items()}


def _idle_w(run: Run, cell: str) -> float | None:
    """Return the measured idle power of the run a cell belongs to: the mean of before and after."""
    rows = run.cells.loc[run.cells["cell"] == cell, "run_id"]
    own = [facts for facts in run.members if facts.run_id in set(rows)] or [run.manifest]
    idle = own[0].section("idle")
    known = [w for key in ("before_w", "after_w") if (w := _number(idle.get(key))) is not None]
    return sum(known) / len(known) if known else None


def _split_s(run: Run, cell: str, phases: pd.DataFrame, zero: float) -> float | None:
    """Return when the first job after the merged one began, in the clock of `phases`."""
    methods = run.cells.loc[run.cells["cell"] == cell, "method"].astype(str)
    if all(run.manifest.merge_rounds(method) is None for method in methods):
        return None
    named = phases[phases["job"] != ""]
    later = named[named["job"] != named["job"].iloc[0]] if len(named) else named
    return float(later["start_s"].min()) - zero if len(later) else None


def _conditions(run: Run, cell: str, zero: float) -> pd.DataFrame:
    """Return the condition samples with the flags that were not in the sample before."""
    columns = ["t_s", "temperature_c", "flags"]
    found = run.conditions(cell)
    if found is None:
        return pd.DataFrame(columns=columns)
    if CARD in found and found[CARD].notna().any():
        columns.append(CARD)
    seen: set[str] = set()
    fresh = []
    for text in found["flags"].astype(str):
        own = [flag for flag in text.split("+") if flag and flag not in seen]
        seen |= set(own)
        fresh.append("+".join(own))
    return found.assign(t_s=found["t_s"] - zero, flags=fresh)[columns]


def _number(value: object) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(str(value)) if known else None


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
