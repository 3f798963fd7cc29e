"""Try every meter: can it be used, what does it read now, how fast, and what was left out."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devices.errors import DeviceError
from devices.meters.base import Meter, MeterInfo, RawSample
from devices.meters.registry import METERS, MeterSpec, make_meter, probe_meter
from devices.meters.usability import try_out

Sleep = Callable[[float], None]


@dataclass(frozen=True)
class MeterReport:
    """Hold what one meter could tell.

    Attributes:
        name: The meter, without options.
        usable: True if it was read.
        reason: Why not; empty if usable.
        fix: What would make it usable, or its figure complete.
        info: Its description of itself; None if it could not be opened.
        values: Joules (counter) or watts (sampled) now, in the order of the rails.
        power_w: Watts of the total now; None if unknown or if there is no total.
        energy_j: Joules of the total's counter now; None for sampled power or without a total.
        rate_hz: Readings per second that are useful and possible; None if it was not read.
    """

    name: str
    usable: bool
    reason: str = ""
    fix: str = ""
    info: MeterInfo | None = None
    values: tuple[float | None, ...] = ()
    power_w: float | None = None
    energy_j: float | None = None
    rate_hz: float | None = None

    @property
    def measures(self) -> bool:
        """Return True if it gives a measured figure for the whole it covers."""
        if self.name in METERS and METERS[self.name].made_up:
            return False
        return self.usable and (self.power_w is not None or self.energy_j is not None)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON shows; figures that are not known are absent, not null or zero."""
        said: dict[str, Any] = {
            "name": self.name, "usable": self.usable, "reason": self.reason, "fix": self.fix,
            "scope": self.info.scope if self.info else "", "rails": self._rails(), "rejected": [],
        }  # fmt: skip
        if self.info is None:
            return said
        said["rejected"] = [{"name": r.name, "reason": r.reason} for r in self.info.rejected]
        said |= {"kind": self.info.kind, "notes": list(self.info.notes)}
        figures = {
            "power_w": self.power_w, "energy_j": self.energy_j, "rate_hz": self.rate_hz,
            "averaging_s": self.info.averaging_s,
        }  # fmt: skip
        return said | {key: value for key, value in figures.items() if value is not None}

    def _rails(self) -> list[dict[str, Any]]:
        if self.info is None:
            return []
        unit = "energy_j" if self.info.kind == "counter" else "power_w"
        rails: list[dict[str, Any]] = []
        for rail, value in zip(self.info.rails, self.values, strict=True):
            known = {} if value is None else {unit: value}
            rails.append({"name": rail.name, "role": rail.role, **known})
        return rails


def inspect_meter(
    text: str,
    root: Path = Path("/"),
    clock: Callable[[], float] = time.monotonic,
    sleep: Sleep = time.sleep,
) -> MeterReport:
    """Probe a meter and, if it says it can be used, read it a few times."""
    name = MeterSpec.parse(text).name
    try:
        answer = probe_meter(text, root)
        if not answer.usable:
            return MeterReport(name, False, answer.reason, answer.fix)
        meter = make_meter(text, root, clock)
        try:
            meter.open()
            return _read(name, meter, sleep)
        finally:
            meter.close()
    except DeviceError as error:
        return MeterReport(name, False, error.message, error.remedy)


def _read(name: str, meter: Meter, sleep: Sleep) -> MeterReport:
    trial = try_out(meter, sleep)
    info, rounds = trial.info, trial.rounds
    values = tuple(_last_value(rounds, index) for index in range(len(info.rails)))
    if trial.fault or all(value is None for value in values):
        reason = trial.fault or "it opened, but no rail gave a reading"
        return MeterReport(name, False, reason, meter.trial_fix, info=info, values=values)
    total = _total(info, list(values))
    took_s = statistics.median(_duration_s(samples) for samples in rounds)
    counter = info.kind == "counter"
    return MeterReport(
        name, True, info=info, values=values,
        power_w=_mean_power_w(info, rounds) if counter else total,
        energy_j=total if counter else None,
        rate_hz=min(info.max_rate_hz, 1.0 / took_s) if took_s > 0 else info.max_rate_hz,
    )  # fmt: skip


def _last_value(rounds: Sequence[Sequence[RawSample]], rail: int) -> float | None:
    values = [s.value for samples in rounds for s in samples if s.rail == rail]
    return next((value for value in reversed(values) if value is not None), None)


def _total(info: MeterInfo, values: Sequence[float | None]) -> float | None:
    """Return the sum of the rails that make up the total; None if one of them is missing."""
    parts = [v for rail, v in zip(info.rails, values, strict=True) if rail.role == "total"]
    known = [part for part in parts if part is not None]
    return sum(known) if parts and len(known) == len(parts) else None


def _duration_s(samples: Sequence[RawSample]) -> float:
    return samples[-1].after_s - samples[0].before_s if samples else 0.0


def _mean_power_w(info: MeterInfo, rounds: Sequence[Sequence[RawSample]]) -> float | None:
    """Return the mean power between first and last reading; None unless every counter grew."""
    powers = [_growth_w(*pair) for pair in zip(rounds[0], rounds[-1], strict=True)]
    return _total(info, powers) if len(powers) == len(info.rails) else None


def _growth_w(before: RawSample, after: RawSample) -> float | None:
    if before.value is None or after.value is None or after.value <= before.value:
        return None  # unreadable, standing still, wrapped or reset
    passed_s = after.before_s - before.before_s
    return (after.value - before.value) / passed_s if passed_s > 0 else None


@dataclass
class _Inspection:
    """Inspect one meter in a thread of its own, which a hanging sensor may keep for ever."""

    text: str
    root: Path
    found: list[MeterReport] = field(default_factory=list)

    def start(self) -> threading.Thread:
        thread = threading.Thread(target=self.work, name=f"inspect {self.text}", daemon=True)
        thread.start()
        return thread

    def work(self) -> None:
        self.found.append(inspect_meter(self.text, self.root))


def inspect_meters(texts: Sequence[str], root: Path, timeout_s: float) -> list[MeterReport]:
    """Inspect meters side by side; one that does not answer in time is said to be silent.

    Raises:
        DeviceError: A meter is not written as `name:key=value,…`.
    """
    names = [MeterSpec.parse(text).name for text in texts]
    inspections = [_Inspection(text, root) for text in texts]
    threads = [inspection.start() for inspection in inspections]
    deadline_s = time.monotonic() + timeout_s
    for thread in threads:
        thread.join(max(0.0, deadline_s - time.monotonic()))
    silent = f"it did not answer within {timeout_s:g} s"
    return [
        inspection.found[0] if inspection.found else MeterReport(name, False, silent)
        for name, inspection in zip(names, inspections, strict=True)
    ]
