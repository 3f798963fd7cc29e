"""Recompute the seconds and joules of phases from clocks, the power model and the samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

from devices.power_model import PowerModel
from harness.evidence.charged import by_cell, charged_rows, charged_windows
from harness.evidence.derived_components import component_contradictions, component_rows
from harness.evidence.reading import RunFiles
from harness.evidence.samples import CellSamples, Window
from harness.evidence.tables import Row, streamed_trace

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


def _idle_watts(run: RunFiles) -> tuple[list[float], list[float]]:
    """Return every idle power of the sessions, and the bounds on the error of each one's mean."""
    watts, errors = [], []
    for idle in run.idles:
        before, after, *bounds = (
            float(value) if isinstance(value := idle.get(name), (int, float)) else None
            for name in ("before_w", "after_w", "before_error_w", "after_error_w")
        )
        watts += [value for value in (before, after) if value is not None]
        if before is not None and after is not None:
            own = math.fsum(bound or 0.0 for bound in bounds)
            errors.append(0.5 * (abs(after - before) + own))
    return watts, errors


def _net_error(row: Row, errors: list[float]) -> Iterator[Found]:
    stated, own, time_s = row["energy_net_error_j"], row["energy_error_j"], row["time_s"]
    if None in (stated, own, time_s):
        return
    cell = str(row["cell"])
    if not errors:
        text = f"energy_net_error_j is {stated:.6g} J, but idle power was not looked at twice"
        yield "energy_net_error_j", cell, text
        return
    least, most = own + time_s * min(errors), own + time_s * max(errors)
    slack = AGREE * max(1.0, most)
    if not least - slack <= stated <= most + slack:
        text = f"energy_net_error_j is {stated:.6g} J, its parts add up to {least:.6g}"
        yield "energy_net_error_j", cell, f"{text} to {most:.6g} J"


def _net(run: RunFiles) -> Iterator[Found]:
    """Idle power lies between the least and the most that was measured in any session."""
    watts, errors = _idle_watts(run)
    for row in run.done:
        yield from _net_error(row, errors)
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
    """Integrate the samples of each cell again; only what lies within its samples can be."""
    phases, components = by_cell(run.phases), by_cell(component_rows(run))
    for row in run.done:
        cell = str(row["cell"])
        own = [p for p in phases.get(cell, ()) if None not in (p["start_s"], p["end_s"])]
        yield from _bounds(row, charged_rows(run, own))
        if not own or row["energy_j"] is None or _is_broken(row, own):
            continue
        path = run.folder / "traces" / f"{cell}.csv.gz"
        samples = CellSamples.of(run.meters, path, int(run.manifest["schema_version"]))
        if samples is not None:
            yield from _against_samples(cell, own, samples)
            yield from _error(row, charged_windows(run, own), samples)
            yield from _powers(run, path, cell, samples)
            yield from component_contradictions(run, components.get(cell, ()), own, samples)


def _is_broken(row: Row, own: Iterable[Row]) -> bool:
    """Say whether samples are of several sessions, or of a job lent by another cell."""
    reset = any("reset" in str(phase["flags"]) for phase in own)
    return bool(row["interruptions"] or row["shared_jobs"] or reset)


def _against_samples(cell: str, phases: Iterable[Row], samples: CellSamples) -> Iterator[Found]:
    for phase in phases:
        window = phase["start_s"], phase["end_s"]
        for column, found in (
            ("energy_j", samples.energy_j(window)),
            ("energy_error_j", samples.error_j(window)),
        ):
            stated = phase[column]
            if stated is None or found is None or phase["energy_j"] is None:
                continue
            if not math.isclose(stated, found, rel_tol=SAMPLES_AGREE, abs_tol=SAMPLES_AGREE):
                text = f"a phase has {column} {stated:.6g} J in phases.csv, its samples"
                yield f"phases' {column}", cell, f"{text} give {found:.6g} J"


def _bounds(row: Row, charged: list[Row]) -> Iterator[Found]:
    """Yield a bound that its phases do not allow.

    What is wrong at an edge between two phases cancels, so a counter's bound over a cell is no
    larger than those of its phases; of sampled power readings around a window count too, which
    makes either the larger one, by little.
    """
    errors = [phase["energy_error_j"] for phase in charged]
    stated = row["energy_error_j"]
    if stated is None or None in errors or not errors:
        return
    most = math.fsum(errors) * (1.0 if row["energy_kind"] == "counter" else 2.0)
    if not 0.0 <= stated <= most + AGREE * max(1.0, most):
        text = f"energy_error_j is {stated:.6g} J in cells.csv, its phases allow {most:.6g} J"
        yield "energy_error_j", str(row["cell"]), text


def _error(row: Row, windows: Iterable[Window], samples: CellSamples) -> Iterator[Found]:
    stated = row["energy_error_j"]
    parts = [samples.error_j(window) for window in windows]
    known = [part for part in parts if part is not None]
    if stated is None or not known:
        return
    least = math.fsum(known)
    slack = SAMPLES_AGREE * max(1.0, least)
    whole = len(known) == len(parts)
    if stated < least - slack or (whole and stated > least + slack):
        text = f"energy_error_j is {stated:.6g} J in cells.csv, its samples give"
        yield "energy_error_j", str(row["cell"]), f"{text} {least:.6g} J"


def _powers(run: RunFiles, path: Path, cell: str, samples: CellSamples) -> Iterator[Found]:
    """Compare a counter's mean power with its joules; the first of a rail has none before it."""
    powers = {(rail, time_s): power_w for rail, time_s, power_w in samples.power_w()}
    if not powers:
        return
    for row in streamed_trace(path, int(run.manifest["schema_version"])):
        found = powers.get((str(row["rail"]), row["t_s"]))
        if found is None or row["power_w"] is None or math.isnan(found):
            continue
        if not math.isclose(row["power_w"], found, rel_tol=SAMPLES_AGREE, abs_tol=SAMPLES_AGREE):
            text = f"power_w is {row['power_w']:.6g} W in traces/{cell}.csv.gz, its joules give"
            yield "traces' power_w", cell, f"{text} {found:.6g} W"
            return
