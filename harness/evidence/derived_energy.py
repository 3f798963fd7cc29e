"""Recompute the seconds and joules of phases from clocks, the power model and the samples."""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from devices.meters.base import Kind, Rail
from devices.power_model import PowerModel
from devices.stream import Stream
from harness.core.errors import DamagedRunError
from harness.core.schema import COST_PHASES, TRACE, sessions_of
from harness.evidence.intact import read_trace
from harness.evidence.reading import Row, RunFiles, parse_table

AGREE = 1e-6
SAMPLES_AGREE = 1e-3
"""Share by which joules may differ from those of the samples: integration may be refined."""

Found = tuple[str, str, str]
"""Column, cell and words of a value that does not follow."""


def phase_contradictions(run: RunFiles) -> Iterator[Found]:
    """Yield what phases.csv and net energy contradict; devices of a fleet have clocks of theirs."""
    yield from _durations(run)
    if not run.section("fleet"):
        yield from _modelled(run)
        yield from _net(run)
        yield from _sampled(run)


def _durations(run: RunFiles) -> Iterator[Found]:
    for phase in run.phases:
        if None in (phase["start_s"], phase["end_s"], phase["time_s"]):
            continue
        length = phase["end_s"] - phase["start_s"]
        if not math.isclose(phase["time_s"], length, rel_tol=AGREE, abs_tol=AGREE):
            text = f"a phase takes {phase['time_s']:.6g} s in phases.csv, from start to end"
            yield "phases' time_s", _place(phase), f"{text} {length:.6g} s"


def _place(phase: Row) -> str:
    return str(phase["cell"] or f"phase {phase['phase']} of the run")


def power_model(run: RunFiles) -> PowerModel | None:
    """Return the power model that a manifest tells of; None if it tells of none, or not enough."""
    told = run.section("energy_model")
    idle, full, cores = (told.get(key) for key in ("idle_w", "full_load_w", "cores"))
    known = isinstance(idle, (int, float)) and isinstance(full, (int, float))
    if not known or not isinstance(cores, int) or cores < 1:
        return None
    return PowerModel(float(idle), float(full), cores, "")  # type: ignore[arg-type]


def _modelled(run: RunFiles) -> Iterator[Found]:
    model = power_model(run)
    if model is None:
        return
    for phase in run.phases:
        stated, time_s, cpu_s = phase["energy_model_j"], phase["time_s"], phase["cpu_s"]
        if stated is None or (phase["time_model_s"] is None and None in (time_s, cpu_s)):
            continue
        if phase["time_model_s"] is not None:
            joules = model.energy_elsewhere_j(phase["time_model_s"])
        else:
            joules = model.energy_on_host_j(time_s, cpu_s)
        if not math.isclose(stated, joules, rel_tol=AGREE, abs_tol=AGREE):
            text = f"a phase has {stated:.6g} J modelled in phases.csv, its seconds and the"
            yield "phases' energy_model_j", _place(phase), f"{text} power model {joules:.6g} J"


def _net(run: RunFiles) -> Iterator[Found]:
    """Idle power lies between the least and the most that was measured in any session."""
    idles = [s.get("idle") for s in sessions_of(run.manifest) if isinstance(s, dict)]
    idles += [] if idles else [run.section("idle")]
    watts = [
        float(value)
        for idle in idles if isinstance(idle, Mapping)
        for key in ("before_w", "after_w")
        if isinstance(value := idle.get(key), (int, float))
    ]  # fmt: skip
    for row in run.done:
        net, gross, time_s = row["energy_net_j"], row["energy_j"], row["time_s"]
        if None in (net, gross, time_s):
            continue
        if not watts:
            text = f"energy_net_j is {net:.6g} J, but no idle power was measured"
            yield "energy_net_j", str(row["cell"]), text
            continue
        least, most = gross - time_s * max(watts), gross - time_s * min(watts)
        slack = AGREE * max(1.0, abs(gross))
        if not least - slack <= net <= most + slack:
            text = f"energy_net_j is {net:.6g} J, energy_j less idle power {least:.6g}"
            yield "energy_net_j", str(row["cell"]), f"{text} to {most:.6g} J"


def _sampled(run: RunFiles) -> Iterator[Found]:
    """Integrate the samples of each cell again; only phases within its samples can be."""
    meter = run.section("meter")
    kind, rails = meter.get("kind"), meter.get("rails")
    if kind not in ("counter", "sampled") or not isinstance(rails, list):
        return
    totals = [r.get("name") for r in rails if isinstance(r, dict) and r.get("role") == "total"]
    phases: dict[str, list[Row]] = defaultdict(list)
    for phase in run.phases:
        if phase["phase"] in COST_PHASES and phase["cell"] and phase["energy_j"] is not None:
            phases[str(phase["cell"])].append(phase)
    for row in run.done:
        own = phases[str(row["cell"])]
        # Samples of several sessions, or of a job lent by another cell, do not adjoin.
        broken = row["interruptions"] or row["shared_jobs"]
        broken = broken or any("reset" in str(p["flags"]) for p in own)
        if own and totals and not broken:
            yield from _against_samples(run, str(row["cell"]), own, _Samples(kind, totals))


class _Samples:
    """Build the streams of the total rails from rows of a trace."""

    def __init__(self, kind: Kind, totals: Iterable[object]) -> None:
        self.kind = kind
        self.streams = {
            str(name): Stream(
                Rail(str(name), "total", max_power_w=sys.float_info.max), kind
            )
            for name in totals
        }  # fmt: skip

    def add(self, rows: Iterable[Row]) -> None:
        """Add samples in the order of the file."""
        column = "energy_j" if self.kind == "counter" else "power_w"
        for row in rows:
            stream = self.streams.get(str(row["rail"]))
            if stream is not None and row["t_s"] is not None:
                stream.append(row["t_s"], row[column])

    def energy_j(self, start_s: float, end_s: float) -> float | None:
        """Return the joules of a window; None if a rail's samples do not span it."""
        total = 0.0
        for stream in self.streams.values():
            if len(stream) < 2 or start_s < stream.times_s[0] or end_s > stream.times_s[-1]:
                return None
            total += stream.energy_at_j(end_s) - stream.energy_at_j(start_s)
        return total


def _against_samples(
    run: RunFiles, cell: str, phases: Iterable[Row], samples: _Samples
) -> Iterator[Found]:
    path = run.folder / "traces" / f"{cell}.csv.gz"
    try:
        content = read_trace(path)
        samples.add(parse_table(path, content, TRACE, int(run.manifest["schema_version"])).rows)
    except (OSError, EOFError, ValueError, DamagedRunError):
        return  # a file that is missing or damaged is named by what looks at files
    for phase in phases:
        if None in (phase["start_s"], phase["end_s"]):
            continue
        joules = samples.energy_j(phase["start_s"], phase["end_s"])
        if joules is None:
            continue
        stated = phase["energy_j"]
        if not math.isclose(stated, joules, rel_tol=SAMPLES_AGREE, abs_tol=SAMPLES_AGREE):
            text = f"a phase has {stated:.6g} J in phases.csv, its samples {joules:.6g} J"
            yield "phases' energy_j", cell, text
