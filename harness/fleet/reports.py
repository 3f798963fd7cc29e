"""Judge everything that a node reports, at one place and before anything uses it.

Two degrees: what is not as a worker writes it (types, labels of other cells, times that overlap)
refuses the report as a whole, and with it the update it came with. A figure that is well formed
and cannot be true (joules below zero or beyond what the device can draw, a temperature of no
board) is refused as a figure: it becomes empty with a reason, and the work counts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from itertools import pairwise
from typing import Any

from devices.energy import Reading
from devices.profile import load_profiles
from harness.core.errors import RefusedError
from harness.core.schema import DEVICE_PHASES
from harness.fleet.keys import SAFE_NAME
from harness.fleet.strict import read_record
from harness.records.phases import Segment
from harness.records.step_checks import StepCheck

CHARGED = ("train", "affinity", "distil", "partition", "learn", "unlearn", "aggregate")
"""Phases that a method is charged for; each belongs to a request of the server."""

SLACK_S = 1e-3
"""By how much stretches may overlap: clocks are read one after another."""
PATIENCE_S = 5.0
"""By how much a device's clock may run ahead of this one in a cell."""
EDGE_S = 0.1
"""Joules of a window may reach this far beyond its edges, as sensors are sampled."""
BOUND_S = 120.0
"""By how much more time than its window's an error bound may stand for: a meter that averages over
a minute, as the controller of a battery does, smears both edges of a window by as much."""
MOST_SLOWER = 1e5
"""No device is modelled on a host this many times as fast; the smallest board there is trains at
5 GFLOP/s."""
TEMPERATURES_C = (-60.0, 150.0)
MOST_MEMORY_BYTES = 1 << 48
LATEST_S = 4_102_444_800.0
"""The year 2100; no clock of a board is later."""

BOARD_FACTOR = 5.0
"""No board draws more than this many times the full load of its profile, its supply included."""
COMPUTER_W = 10_000.0
"""No computer with a plug draws more than this."""
REFUSED_FIGURE = "refused-figure"
MOST_FLAGS = 40
MOST_WAYS = 40
"""Ways of launching steps that a device may count; each is graphs, or a reason for none."""
FLAG = re.compile(r"[a-z0-9-]{1,40}")
PEAKS = ("peak_memory_bytes", "peak_gpu_memory_bytes")


@dataclass(frozen=True)
class ReportedEntry:
    """Hold one stretch of a device's time as it was reported, in seconds of its own clock."""

    number: int
    attempt: str
    segment: Segment
    reading: Reading | None
    time_model_s: float | None
    energy_model_j: float | None


@dataclass(frozen=True)
class Report:
    """Hold what every answer of a node says; `refused` are the figures that were not taken.

    `steps` is what came of comparing ways of executing steps with plain fp32 there so far.
    `launches` are its training steps so far by how they were launched, where there is more than one
    way, and `launch_faults` why the faster one was not taken. `flags` are what has disturbed the
    device since it began to train for the present cell, as in `cells.csv`.
    """

    device: str
    session: str
    began_wall_s: float
    wall_s: float
    monotonic_s: float
    no_meter: str
    peak_memory_bytes: int | None
    temperature_c: float | None
    entries: tuple[ReportedEntry, ...]
    steps: tuple[StepCheck, ...] = ()
    peak_gpu_memory_bytes: int | None = None
    launches: Mapping[str, int] = field(default_factory=dict)
    launch_faults: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Expected:
    """Say what a report can be of.

    `device` is empty before it has said its name. `asked` are job, round and client of what it was
    asked to train for this attempt at the cell, which began `since_s` ago; `most_w` is the power
    that its meter can see, `most_model_w` that which a device of its kind can be modelled with.
    """

    device: str = ""
    partition: Collection[int] = ()
    cell: str = ""
    attempt: str = ""
    asked: Collection[tuple[str, int, int]] = ()
    since_s: float = float("inf")
    most_w: float = COMPUTER_W
    most_model_w: float = COMPUTER_W


_TOLD = frozenset(one.name for one in fields(Report)) - {"refused"}


def read_report(header: Mapping[str, Any], expected: Expected) -> Report:
    """Return the report in the header of an answer, what cannot be true taken out of it.

    Raises:
        RefusedError: if it is not as a worker writes it, or of something else than was asked.
    """
    told = {key: value for key, value in header.items() if key in _TOLD}
    # a count below zero is a figure that cannot be true, not a report that cannot be read
    wrong = [name for name in PEAKS if _below_zero(told.get(name))]
    report = read_record(Report, {**told, **dict.fromkeys(wrong)}, "the report")
    _check_origin(report, expected)
    _check_times(report)
    _check_flags(report)
    if len(report.launches) > MOST_WAYS:
        raise RefusedError(f"the report.launches are of {len(report.launches)} ways")
    for entry in report.entries:
        _check_entry(entry, report, expected)
    side = _side_figures(report, ["memory below zero"] * bool(wrong))
    return _judged(side, expected)


def refused_figures(report: Report) -> list[str]:
    """Return in words which figures of a report were refused."""
    return [*report.refused, *(
        entry.reading.reason for entry in report.entries
        if entry.reading and REFUSED_FIGURE in entry.reading.flags
    )]  # fmt: skip


def most_power_w(facts: Mapping[str, Any]) -> float:
    """Return the power that the meter of a device can truly show, from what its card says.

    What the meter says of its rails can lower the limit of the device's kind, never raise it.
    """
    limit_w = most_model_w(facts)
    meter = facts.get("meter")
    rails = meter.get("rails") if isinstance(meter, Mapping) else None
    told = [
        rail.get("max_power_w")
        for rail in (rails if isinstance(rails, list | tuple) else ())
        if isinstance(rail, Mapping) and rail.get("role") == "total"
    ]
    numbers = [float(w) for w in told if isinstance(w, int | float) and 0 < w <= COMPUTER_W]
    return min(limit_w, sum(numbers)) if numbers and len(numbers) == len(told) else limit_w


def most_model_w(facts: Mapping[str, Any]) -> float:
    """Return the power that no device of a kind draws, whatever its meter can see of it."""
    return _limit_of(str(facts.get("profile")))


@cache
def _limit_of(name: str) -> float:
    profile = next((one for one in load_profiles() if one.name == name), None)
    if profile is None:
        return COMPUTER_W
    board = profile.match.compatible or profile.match.model
    return BOARD_FACTOR * profile.power.full_load_w if board else COMPUTER_W


def _check_origin(report: Report, expected: Expected) -> None:
    if not SAFE_NAME.fullmatch(report.device) or len(report.device) > 64:
        raise RefusedError(f"'{report.device[:64]}' cannot be a device's name")
    if not report.session.isalnum() or len(report.session) > 64:
        raise RefusedError("the report names no worker")
    if expected.device and report.device != expected.device:
        raise RefusedError(f"it answers in the name of {report.device}")


def _check_times(report: Report) -> None:
    """Refuse clocks of no board, and stretches that are not one after another."""
    for name in ("began_wall_s", "wall_s", "monotonic_s"):
        if not 0.0 <= getattr(report, name) <= LATEST_S:
            raise RefusedError(f"the report.{name} is no time of a clock")
    for before, after in pairwise(report.entries):
        if after.number <= before.number:
            raise RefusedError(f"entry {after.number} comes after entry {before.number}")
        if after.segment.start_s < before.segment.end_s - SLACK_S:
            raise RefusedError(f"entries {before.number} and {after.number} overlap in time")


def _check_flags(report: Report) -> None:
    if len(report.flags) > MOST_FLAGS or not all(map(FLAG.fullmatch, report.flags)):
        raise RefusedError("the report.flags are none of a cell")


def _check_entry(entry: ReportedEntry, report: Report, expected: Expected) -> None:
    segment, what = entry.segment, f"entry {entry.number}"
    label = segment.label
    if not 0.0 <= segment.start_s <= segment.end_s <= report.monotonic_s + SLACK_S:
        raise RefusedError(f"{what} is of no time before the report")
    if segment.cpu_s < 0.0 or min(_works(entry), default=0.0) < 0.0:
        raise RefusedError(f"{what} counts less than nothing")
    if label.phase not in DEVICE_PHASES:
        raise RefusedError(f"{what} is of no phase of a device")
    if label.client is not None and label.client not in expected.partition:
        raise RefusedError(f"{what} is of client {label.client}, whose data it does not hold")
    if label.phase in CHARGED:
        _check_charged(entry, expected)


def _check_charged(entry: ReportedEntry, expected: Expected) -> None:
    """Refuse work that was not asked for: it would be charged to somebody else."""
    label, what = entry.segment.label, f"entry {entry.number}"
    if not entry.attempt:
        raise RefusedError(f"{what} does not say for which request it is")
    if entry.attempt != expected.attempt:
        return  # of an earlier cell or session, which is not charged any more
    if label.cell != expected.cell:
        raise RefusedError(f"{what} is labelled with another cell")
    if (label.job, label.round_index, label.client) not in expected.asked:
        raise RefusedError(f"{what} is of a round that it was not asked for")
    if entry.segment.time_s > expected.since_s + PATIENCE_S:
        raise RefusedError(f"{what} is longer than this cell")


def _works(entry: ReportedEntry) -> list[float]:
    work = entry.segment.work
    return [*work.trained.values(), work.bytes_moved, *work.forwards.values()]


def _below_zero(count: Any) -> bool:  # noqa: ANN401 - of a header
    return isinstance(count, int) and not isinstance(count, bool) and count < 0


def _side_figures(report: Report, refused: list[str]) -> Report:
    """Empty what no board has: such a temperature, such memory."""
    low_c, high_c = TEMPERATURES_C
    temperature_c = report.temperature_c
    if temperature_c is not None and not low_c <= temperature_c <= high_c:
        refused.append(f"{temperature_c:g} °C")
        temperature_c = None
    peaks: dict[str, int | None] = {name: getattr(report, name) for name in PEAKS}
    for name, count in peaks.items():
        if count is not None and count > MOST_MEMORY_BYTES:
            refused.append(f"{count} bytes of memory")
            peaks[name] = None
    return replace(
        report, temperature_c=temperature_c, refused=tuple(refused),
        peak_memory_bytes=peaks["peak_memory_bytes"],
        peak_gpu_memory_bytes=peaks["peak_gpu_memory_bytes"],
    )  # fmt: skip


def _judged(report: Report, expected: Expected) -> Report:
    """Return a report whose entries are without the figures that cannot be true."""
    entries, refused = [], list(report.refused)
    for entry in report.entries:
        why = _incredible_model(entry, expected.most_model_w)
        if why:
            refused.append(why)
            entry = replace(entry, time_model_s=None, energy_model_j=None)  # noqa: PLW2901
        entries.append(_credible(entry, expected.most_w))
    modelled = len(refused) > len(report.refused)
    flags = (*report.flags, REFUSED_FIGURE) if modelled else report.flags
    return replace(report, entries=tuple(entries), refused=tuple(refused), flags=flags)


def _incredible_model(entry: ReportedEntry, most_w: float) -> str:
    """Return in words why modelled figures are refused; empty if they can be true.

    Those of another device than the one that trains are of its own, longer time.
    """
    longest_s = MOST_SLOWER * (entry.segment.time_s + EDGE_S)
    time_s, joules = entry.time_model_s, entry.energy_model_j
    if not 0.0 <= (time_s or 0.0) <= longest_s:
        return f"modelled {time_s:.4g} s in {entry.segment.time_s:.3g} s"
    modelled_s = max(time_s or 0.0, entry.segment.time_s)
    if not 0.0 <= (joules or 0.0) <= most_w * (modelled_s + EDGE_S):
        return f"modelled {joules:.4g} J in {modelled_s:.3g} s"
    return ""


def _credible(entry: ReportedEntry, most_w: float) -> ReportedEntry:
    """Return an entry without joules that cannot be true."""
    reading = entry.reading
    if reading is None:
        return entry
    why = _incredible(reading, entry.segment, most_w)
    if why:
        flags = (*reading.flags, REFUSED_FIGURE)
        return replace(
            entry, reading=replace(reading, energy_j=None, error_j=None, reason=why, flags=flags)
        )
    bound_j = reading.error_j if reading.energy_j is not None else None
    return replace(entry, reading=replace(reading, error_j=bound_j))


def _incredible(reading: Reading, segment: Segment, most_w: float) -> str:
    """Return in words why a figure is refused; empty if it can be true."""
    joules, time_s = reading.energy_j, segment.time_s
    if joules is None:
        return ""
    if abs(reading.start_s - segment.start_s) + abs(reading.end_s - segment.end_s) > SLACK_S:
        return "the device's figure is of another time and was refused"
    if reading.error_j is None:
        return f"the device's {joules:.4g} J have no bound on their error and were refused"
    if joules < 0.0 or reading.error_j < 0.0:
        return f"the device's {joules:.4g} J are below zero and were refused"
    why = f"in {time_s:.3g} s were refused: it draws at most {most_w:.4g} W"
    if joules > most_w * (time_s + EDGE_S):
        return f"the device's {joules:.4g} J {why}"
    wide = reading.error_j > most_w * (time_s + BOUND_S)
    return f"the device's {joules:.4g} J ± {reading.error_j:.4g} J {why}" if wide else ""
