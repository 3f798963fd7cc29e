"""Rebuild the streams of a meter from the samples a run kept, and cost windows of them again."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from devices.energy import energy, rail_energy
from devices.error_bound import CONTEXT_SAMPLES
from devices.errors import DeviceError
from devices.meters.base import MeterInfo
from devices.stream import Stream, StreamSet
from harness.core.errors import DamagedRunError
from harness.evidence.tables import Row, streamed_trace

Window = tuple[float, float]


class KeptSamples:
    """Hold what a trace gives of one meter, and say what windows of it come to.

    Limits by which a sample was believed or not do not count any more: those kept were believed.
    `prefix` stands before its rails where the trace has those of several meters.
    """

    def __init__(self, info: MeterInfo, period_s: float, prefix: str = "") -> None:
        rails = tuple(
            replace(rail, wrap_range_j=None, stale_after_s=None, min_power_w=-sys.float_info.max)
            for rail in info.rails
        )
        self.info = replace(info, rails=rails, least_power_w=0.0)
        self.streams = StreamSet(self.info, period_s)
        self._lenient = [
            Stream(replace(rail, max_power_w=sys.float_info.max), info.kind) for rail in rails
        ]
        self._places = {f"{prefix}{rail.name}": place for place, rail in enumerate(rails)}
        self._column = "energy_j" if info.kind == "counter" else "power_w"

    @classmethod
    def told(cls, meter: Mapping[str, Any], prefix: str = "") -> KeptSamples | None:
        """Return none of the samples of a meter yet; None if it is not described."""
        try:
            known = {f.name: meter[f.name] for f in fields(MeterInfo) if f.name in meter}
            info = MeterInfo.from_dict(known)
            period_s = 1.0 / max(float(meter.get("rate_hz") or 10.0), 1e-6)
        except (DeviceError, ValueError, TypeError, AttributeError):
            return None
        return cls(info, period_s, prefix) if info.kind in ("counter", "sampled") else None

    @classmethod
    def of(cls, meter: Mapping[str, Any], path: Path, version: int) -> KeptSamples | None:
        """Read a trace; None if the meter is not described, or the file cannot be read."""
        found = cls.told(meter)
        return found if found is not None and _read([found], path, version) else None

    def add(self, row: Row) -> None:
        """Add a sample, if it is of this meter, in the order of the file."""
        place = self._places.get(str(row["rail"]))
        if place is not None and row["t_s"] is not None:
            self.streams.streams[place].append(row["t_s"], row[self._column])
            self._lenient[place].append(row["t_s"], row[self._column])

    def energy_j(self, window: Window) -> float | None:
        """Return the joules of the total rails; None if their samples do not span the window."""
        totals = [s for s in self._lenient if s.rail.role == "total"]
        found = [_between_j(stream, window) for stream in totals]
        known = [joules for joules in found if joules is not None]
        return math.fsum(known) if found and len(known) == len(found) else None

    def rail_energy_j(self, rail: str, window: Window) -> float | None:
        """Return the joules of one rail; None if there is none, or its samples do not span it."""
        for stream in self._lenient:
            if stream.rail.name == rail:
                return _between_j(stream, window)
        return None

    def error_j(self, window: Window, rail: str = "") -> float | None:
        """Return the bound on the error of the total, or of a rail; None if it takes more samples.

        Of sampled power readings around the window count too, which a trace does not have for the
        windows at its ends.
        """
        streams = [s for s in self.streams.streams if s.rail.name == rail or not rail]
        totals = [s for s in streams if rail or s.rail.role == "total"]
        if not totals or not all(_has_context(stream, window) for stream in totals):
            return None
        if rail:
            return rail_energy(self.streams, rail, *window).error_j
        return energy(self.streams, *window).error_j

    def power_w(self) -> Iterable[tuple[str, float, float]]:
        """Yield rail, as the trace names it, time and mean power since the sample before."""
        for rail, stream in zip(self._places, self._lenient, strict=True):
            for place in range(1, len(stream)):
                yield rail, stream.times_s[place], stream.power_w[place]


def _spans(stream: Stream, window: Window) -> bool:
    start_s, end_s = window
    enough = len(stream) >= 2 and start_s >= stream.times_s[0] and end_s <= stream.times_s[-1]
    return enough and start_s <= end_s


def _between_j(stream: Stream, window: Window) -> float | None:
    if not _spans(stream, window):
        return None
    return stream.energy_at_j(window[1]) - stream.energy_at_j(window[0])


def _has_context(stream: Stream, window: Window) -> bool:
    if not _spans(stream, window):
        return False
    if stream.kind == "counter":
        return True
    left, right = stream.segment(window[0]), stream.segment(window[1])
    missing = max(0, CONTEXT_SAMPLES - (right - left))
    return left - missing >= 1 and right + 2 + missing <= len(stream) - 1


class CellSamples:
    """Hold what a trace gives of every meter of a cell; those of a total are added up."""

    def __init__(self, meters: Mapping[str, KeptSamples], totals: Collection[str]) -> None:
        self.meters = meters
        self._totals = [meters[name] for name in totals]

    @classmethod
    def of(cls, told: Sequence[Mapping[str, Any]], path: Path, version: int) -> CellSamples | None:
        """Read a trace of the meters that a manifest describes; None if not all can be read.

        Rails bear the name of their meter if there are several, without its options; the second of
        a name is plug#2.
        """
        plain = [plain_name(meter) for meter in told]
        names = [
            f"{n}#{k}" if (k := plain[: i + 1].count(n)) > 1 else n for i, n in enumerate(plain)
        ]
        found: dict[str, KeptSamples] = {}
        for name, meter in zip(names, told, strict=True):
            own = KeptSamples.told(meter, f"{name}/" if len(told) > 1 else "")
            if own is None:
                return None
            found[name] = own
        totals = [n for n, m in zip(names, told, strict=True) if m.get("role", "total") == "total"]
        if not totals or not _read(found.values(), path, version):
            return None
        return cls(found, totals)

    def meter(self, name: str) -> KeptSamples | None:
        """Return what is kept of one meter; where there is one only, it is meant by any name."""
        only = next(iter(self.meters.values())) if len(self.meters) == 1 else None
        return only or self.meters.get(name)

    def energy_j(self, window: Window) -> float | None:
        """Return the joules of all meters of the total; None if one does not span the window."""
        return _added([samples.energy_j(window) for samples in self._totals])

    def power_w(self) -> Iterable[tuple[str, float, float]]:
        """Yield rail, as the trace names it, time and mean power of counters."""
        for samples in self.meters.values():
            if samples.info.kind == "counter":
                yield from samples.power_w()

    def error_j(self, window: Window) -> float | None:
        """Return the bound on the error of the total; None if it takes more samples."""
        return _added([samples.error_j(window) for samples in self._totals])


def plain_name(meter: Mapping[str, Any]) -> str:
    """Return the name of a meter of a manifest without its options."""
    return str(meter.get("name") or "").partition(":")[0]


def _read(meters: Collection[KeptSamples], path: Path, version: int) -> bool:
    """Give meters the samples of a trace, in one pass; say whether it could be read.

    What is wrong with files is named by what looks at files.
    """
    try:
        for row in streamed_trace(path, version):
            for meter in meters:
                meter.add(row)
    except (DamagedRunError, ValueError, TypeError):
        return False
    return True


def _added(parts: Sequence[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return math.fsum(known) if len(known) == len(parts) else None
