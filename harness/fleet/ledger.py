"""Keep what devices report in one cell: every stretch once, and the fate of every request."""

from __future__ import annotations

import csv
import io
import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devices.energy import Reading
from harness.core.schema import COST_PHASES, TRACE
from harness.federated.work import Work
from harness.fleet.codec import decode_reading
from harness.fleet.roster import Card
from harness.measurement.cost import Cost, SegmentCost
from harness.measurement.phases import Segment
from harness.run_folder.codec import read_segment
from harness.running.remote_clients import RemoteResult

KEY = "devices"
"""The place of what devices reported in a line of a cell's journal."""

FATES = ("used", "late", "missing", "refused")


@dataclass(frozen=True)
class ClockShift:
    """Say where a worker's monotonic clock stands in the run's own time."""

    shift_s: float

    @classmethod
    def of(
        cls, header: Mapping[str, Any], card: Card, wall_s: float, monotonic_s: float, zero_s: float
    ) -> ClockShift:
        """Compare clocks at an answer: the worker's two, this host's two, and the wall clocks.

        Wall clocks are taken to agree as long as they may.
        """
        off_s = card.clock.middle_s if card.clock.certain_s > 0.0 else 0.0
        there = float(header["wall_s"]) - float(header["monotonic_s"]) - off_s
        return cls(there - (wall_s - monotonic_s) - zero_s)


class Ledger:
    """Collect the entries of one cell; implements what `Fleet` notes and concludes."""

    def __init__(self, cell: str) -> None:
        """Begin empty."""
        self._cell = cell
        self.attempt = uuid.uuid4().hex[:12]
        """Names this session of the cell: what was trained for an earlier one is done anew."""
        self._entries: list[dict[str, Any]] = []
        self._fates: dict[tuple[str, int, int], dict[str, Any]] = {}
        self._seen: dict[str, set[int]] = {}
        self._last: dict[str, int] = {}
        self._heard_j: dict[str, list[float]] = {}
        self._noted = 0
        self._fresh: list[dict[str, Any]] = []

    def take_up(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Take over what earlier sessions kept in the journal."""
        for line in lines:
            kept = line.get(KEY) or {}
            for entry in kept.get("entries", []):
                self._seen.setdefault(entry["session"], set()).add(entry["number"])
                self._entries.append(entry)
            for fate in kept.get("fates", []):
                self._fates[fate["job"], fate["round"], fate["client"]] = fate
        self._noted = len(self._entries)

    def follow(self, before: Ledger, moved_s: float) -> None:
        """Go on after the ledger of another cell, or of the time before the first one.

        What belongs to no cell, such as the start of the workers, is written with the first; the
        run's time was not known then, and its zero is `moved_s` later.
        """
        for session, numbers in before._seen.items():
            self._seen.setdefault(session, set()).update(numbers)
        if not before._cell:
            self._entries += [
                {**entry, "shift_s": entry["shift_s"] - moved_s} for entry in before._entries
            ]

    def note(self) -> dict[str, Any]:
        """Return what came since the last note."""
        fresh, self._noted = self._entries[self._noted :], len(self._entries)
        fates, self._fresh = self._fresh, []
        return {KEY: {"entries": fresh, "fates": fates}}

    def acknowledged(self, session: str) -> int:
        """Return up to which number all entries of a worker are here."""
        numbers = self._seen.get(session, set())
        last = self._last.get(session) or min(numbers, default=1) - 1
        while last + 1 in numbers:
            last += 1
        self._last[session] = last
        return last

    def add(self, header: Mapping[str, Any], moment: ClockShift) -> None:
        """Take in the entries of an answer that are not here yet.

        Raises:
            KeyError, TypeError, ValueError: if they are not as a worker writes them.
        """
        session = str(header["session"])
        seen = self._seen.setdefault(session, set())
        for entry in header.get("entries", []):
            segment = read_segment(entry["segment"])
            number = int(entry["number"])
            if number in seen or not segment.end_s >= segment.start_s:
                continue
            if entry["reading"] is not None:
                joules = decode_reading(entry["reading"]).energy_j
                if joules is not None:
                    self._heard_j.setdefault(str(header["device"]), []).append(float(joules))
            seen.add(number)
            own = segment.label.cell == self._cell
            self._entries.append({
                "device": str(header["device"]), "session": session, "number": number,
                "segment": entry["segment"], "reading": entry["reading"],
                "time_model_s": entry["time_model_s"], "energy_model_j": entry["energy_model_j"],
                "shift_s": moment.shift_s, "no_meter": str(header.get("no_meter", "")),
                "peak_memory_bytes": header.get("peak_memory_bytes"),
                "temperature_c": header.get("temperature_c"),
                "lost": own and bool(entry["attempt"]) and entry["attempt"] != self.attempt,
            })  # fmt: skip

    def fate(
        self, job: str, round_index: int, client: int, device: str, what: str, reason: str = ""
    ) -> None:
        """Say what became of a request; a later word replaces an earlier one."""
        found = {
            "job": job, "round": round_index, "client": client, "device": device, "fate": what,
            "reason": reason,
        }  # fmt: skip
        self._fates[job, round_index, client] = found
        self._fresh.append(found)

    def energy_j(self, device: str) -> float | None:
        """Return the joules a device has reported in this cell; None if none were measured."""
        joules = self._heard_j.get(device)
        return math.fsum(joules) if joules else None

    def unknown(self) -> list[dict[str, Any]]:
        """Return the fates of requests about whose cost nothing was ever heard."""
        heard = {
            (s.label.job, s.label.round_index, s.label.client)
            for s in (read_segment(e["segment"]) for e in self._entries)
            if s.label.phase in COST_PHASES
        }
        return [
            fate
            for key, fate in self._fates.items()
            if fate["fate"] in ("missing", "refused") and fate["device"] and key not in heard
        ]

    def started_s(self, session: str) -> float | None:
        """Return where a worker's first entry of this cell begins, on its own clock."""
        starts = [
            e["segment"]["start_s"] for e in self._entries
            if e["session"] == session and e["segment"]["label"]["cell"] == self._cell
        ]  # fmt: skip
        return min(starts, default=None)

    def figures(self) -> list[SegmentCost]:
        """Return the charged stretches of this cell in the run's own time."""
        found = []
        for entry in self._entries:
            segment = read_segment(entry["segment"])
            if not self._charged(entry):
                continue
            shift_s = entry["shift_s"]
            moved = Segment(
                segment.label, segment.start_s + shift_s, segment.end_s + shift_s, segment.cpu_s,
                segment.work,
            )  # fmt: skip
            reading = decode_reading(entry["reading"]) if entry["reading"] else None
            found.append(
                SegmentCost(
                    moved, reading, entry["time_model_s"], float(entry["energy_model_j"] or 0)
                )
            )
        return found

    def _charged(self, entry: Mapping[str, Any]) -> bool:
        """Say whether a method is charged for a stretch: training of this cell, not done anew."""
        label = entry["segment"]["label"]
        worked = label["phase"] in ("train", "affinity") and label["cell"] == self._cell
        return worked and not entry["lost"]

    def conclude(self, traces: Mapping[str, tuple[float, bytes]]) -> RemoteResult:
        """Return what the cell took; `traces` are the devices' samples and clock shifts."""
        figures = self.figures()
        fates = {fate["fate"] for fate in self._fates.values()} - {"used"}
        flags = [f"{fate}-device" for fate in sorted(fates)]
        return RemoteResult(
            self._cost_of(figures), figures, self.rows(), trace_rows(traces),
            _columns([f.reading for f in figures if f.reading]), self._peak(), flags,
        )  # fmt: skip

    def _cost_of(self, figures: Sequence[SegmentCost]) -> Cost:
        modelled = [f.time_model_s for f in figures]
        joules, reason = self._joules(figures)
        errors = [f.reading.error_j for f in figures if f.reading and f.reading.error_j is not None]
        return Cost(
            time_s=math.fsum(f.segment.time_s for f in figures),
            time_model_s=None if None in modelled or not modelled
            else math.fsum(x for x in modelled if x is not None),
            energy_j=joules,
            energy_error_j=math.fsum(errors) if joules is not None else None,
            energy_reason=reason,
            energy_model_j=math.fsum(f.energy_model_j for f in figures),
            work=sum((f.segment.work for f in figures), Work()),
        )  # fmt: skip

    def _joules(self, figures: Sequence[SegmentCost]) -> tuple[float | None, str]:
        """Return the joules of all devices together, or why they are not known."""
        reasons = [
            f"{e['device']}: {_why(e)}"
            for e in self._entries
            if self._charged(e)
            and (not e["reading"] or e["reading"]["energy_j"] is None)
        ]  # fmt: skip
        reasons += [
            f"{fate['device']}: round {fate['round']} of {fate['job']} unknown, {fate['reason']}"
            for fate in self.unknown()
        ]
        if reasons or not figures:
            return None, "; ".join(dict.fromkeys(reasons)) or "nothing was measured"
        joules = [f.reading.energy_j for f in figures if f.reading]
        return math.fsum(x for x in joules if x is not None), ""

    def _peak(self) -> int | None:
        return max((e["peak_memory_bytes"] for e in self._entries if e["peak_memory_bytes"]),
                   default=None)  # fmt: skip

    def rows(self) -> list[dict[str, object]]:
        """Return rows of devices.csv in the order of time, then those nobody could measure."""
        rows = [self._row(entry) for entry in self._entries]
        rows.sort(key=lambda row: (str(row["device"]), float(str(row["start_s"]))))
        unheard = [
            {
                "cell": self._cell, "job": fate["job"], "round": fate["round"],
                "device": fate["device"], "client": fate["client"], "phase": "train",
                "energy_reason": fate["reason"], "fate": fate["fate"],
            }
            for fate in self.unknown()
        ]  # fmt: skip
        return [*rows, *unheard]

    def _row(self, entry: Mapping[str, Any]) -> dict[str, object]:
        segment, shift_s = read_segment(entry["segment"]), entry["shift_s"]
        label = segment.label
        reading = decode_reading(entry["reading"]) if entry["reading"] else None
        fate = {}
        if label.client is not None and label.round_index is not None:
            fate = self._fates.get((label.job, label.round_index, label.client), {})
        return {
            "cell": label.cell, "job": label.job, "round": label.round_index,
            "device": entry["device"], "client": label.client, "phase": label.phase,
            "start_s": segment.start_s + shift_s, "end_s": segment.end_s + shift_s,
            "time_s": segment.time_s, "cpu_s": segment.cpu_s,
            "time_model_s": entry["time_model_s"],
            "energy_j": reading.energy_j if reading else None,
            "energy_error_j": reading.error_j if reading else None,
            "energy_model_j": entry["energy_model_j"],
            "energy_meter": reading.meter if reading else None,
            "energy_scope": reading.scope if reading else None,
            "energy_kind": reading.kind if reading else None,
            "energy_reason": reading.reason if reading else entry["no_meter"],
            "peak_memory_bytes": entry["peak_memory_bytes"],
            "temperature_c": entry["temperature_c"],
            "fate": "lost" if entry["lost"] else fate.get("fate", ""),
            "flags": "+".join(reading.flags) if reading else "",
        }  # fmt: skip


def _why(entry: Mapping[str, Any]) -> str:
    """Return why a stretch has no joules."""
    return (entry["reading"] or {}).get("reason") or entry["no_meter"] or "not measured"


def _columns(readings: Sequence[Reading]) -> dict[str, object]:
    """Return what cells.csv says of the meters: every kind there is, joined."""
    return {
        column: "+".join(sorted({str(getattr(r, name)) for r in readings})) or None
        for column, name in (
            ("energy_meter", "meter"), ("energy_scope", "scope"), ("energy_kind", "kind"),
        )
    }  # fmt: skip


def trace_rows(traces: Mapping[str, tuple[float, bytes]]) -> list[dict[str, object]]:
    """Return the devices' samples in the run's own time; each rail has the device before it.

    Samples that are not as a worker writes them are left out.
    """
    found: list[dict[str, object]] = []
    for device, (shift_s, content) in traces.items():
        for row in csv.DictReader(io.StringIO(content.decode("utf-8", "replace"))):
            try:
                numbers = {
                    c.name: float(row[c.name])
                    for c in TRACE
                    if c.type == "float" and row.get(c.name)
                }
                t_s = numbers.pop("t_s") + shift_s
            except (KeyError, ValueError):
                continue
            found.append({"t_s": t_s, "rail": f"{device}/{row['rail']}", **numbers})
    return sorted(found, key=lambda row: (float(str(row["t_s"])), str(row["rail"])))
