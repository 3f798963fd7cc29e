"""Keep what devices report in one cell: every stretch once, and the fate of every request."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from devices.energy import Reading
from harness.core.errors import RefusedError
from harness.core.schema import COST_PHASES
from harness.fleet.reports import (
    CHARGED,
    PATIENCE_S,
    REFUSED_FIGURE,
    SLACK_S,
    Report,
    ReportedEntry,
)
from harness.fleet.roster import Card
from harness.fleet.stretches import Stretches
from harness.fleet.strict import clean_text, read_record
from harness.fleet.traces import trace_rows
from harness.records.cells import RemoteResult
from harness.records.cost import Cost, SegmentCost
from harness.records.phases import Segment
from harness.records.work import Work

KEY = "devices"
"""The place of what devices reported in a line of a cell's journal."""


@dataclass(frozen=True)
class ClockShift:
    """Say where a worker's monotonic clock stands in the run's own time."""

    shift_s: float

    @classmethod
    def of(
        cls, report: Report, card: Card, wall_s: float, monotonic_s: float, zero_s: float
    ) -> ClockShift:
        """Compare clocks at an answer: the worker's two, this host's two, and the wall clocks.

        Wall clocks are taken to agree as long as they may.
        """
        off_s = card.clock.middle_s if card.clock.certain_s > 0.0 else 0.0
        there = report.wall_s - report.monotonic_s - off_s
        return cls(there - (wall_s - monotonic_s) - zero_s)


@dataclass(frozen=True)
class LedgerEntry:
    """Hold one stretch of one device; `lost` is what was trained for an earlier attempt.

    `flags` are what had disturbed the device in this cell until it was reported.
    """

    device: str
    session: str
    number: int
    segment: Segment
    reading: Reading | None
    time_model_s: float | None
    energy_model_j: float | None
    shift_s: float
    no_meter: str
    peak_memory_bytes: int | None
    temperature_c: float | None
    lost: bool
    peak_gpu_memory_bytes: int | None = None
    flags: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """Return why it has no joules."""
        return (self.reading.reason if self.reading else "") or self.no_meter or "not measured"

    def cost(self) -> SegmentCost:
        """Return what it took, in the run's own time."""
        moved = replace(
            self.segment,
            start_s=self.segment.start_s + self.shift_s,
            end_s=self.segment.end_s + self.shift_s,
        )
        return SegmentCost(moved, self.reading, self.time_model_s, self.energy_model_j or 0.0)


@dataclass(frozen=True)
class Fate:
    """Hold what became of a request."""

    job: str
    round: int
    client: int
    device: str
    fate: str
    reason: str


class Ledger:
    """Collect the entries of one cell; what it is given has been judged before."""

    def __init__(self, cell: str) -> None:
        """Begin empty."""
        self._cell = cell
        self.attempt = uuid.uuid4().hex[:12]
        """Names this session of the cell: what was trained for an earlier one is done anew."""
        self._entries: list[LedgerEntry] = []
        self._fates: dict[tuple[str, int, int], Fate] = {}
        self._seen: dict[tuple[str, str], set[int]] = {}
        self._booked_s: dict[tuple[str, str], Stretches] = {}
        self._last: dict[tuple[str, str], int] = {}
        self._heard_j: dict[str, list[float]] = {}
        self._trained_s: dict[str, float] = {}
        self._noted = 0
        self._fresh: list[Fate] = []

    def take_up(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Take over what earlier sessions kept in the journal.

        Raises:
            RefusedError: if it is not as `note` wrote it.
        """
        try:
            for line in lines:
                kept = line.get(KEY) or {}
                for plain in kept.get("entries", []):
                    entry = read_record(LedgerEntry, plain, "an entry")
                    worker = entry.device, entry.session
                    self._seen.setdefault(worker, set()).add(entry.number)
                    self._taken_s(worker).add(entry.segment.start_s, entry.segment.end_s)
                    self._entries.append(entry)
                for plain in kept.get("fates", []):
                    fate = read_record(Fate, plain, "the fate of a request")
                    self._fates[fate.job, fate.round, fate.client] = fate
        except RefusedError as error:
            raise RefusedError(
                f"the journal of {self._cell} cannot be gone on with: {error.message}",
                "Start the run anew with --fresh.",
            ) from None
        self._noted = len(self._entries)

    def follow(self, before: Ledger, moved_s: float) -> None:
        """Go on after the ledger of another cell, or of the time before the first one.

        What belongs to no cell, such as the start of the workers, is written with the first; the
        run's time was not known then, and its zero is `moved_s` later.
        """
        for worker, numbers in before._seen.items():
            self._seen.setdefault(worker, set()).update(numbers)
        for worker, stretches in before._booked_s.items():
            self._taken_s(worker).take_over(stretches)
        if not before._cell:
            self._entries += [replace(e, shift_s=e.shift_s - moved_s) for e in before._entries]

    def note(self) -> dict[str, Any]:
        """Return what came since the last note, as plain values."""
        fresh, self._noted = self._entries[self._noted :], len(self._entries)
        fates, self._fresh = self._fresh, []
        return {KEY: {"entries": [asdict(e) for e in fresh], "fates": [asdict(f) for f in fates]}}

    def acknowledged(self, device: str, session: str) -> int:
        """Return up to which number all entries of a worker are here."""
        worker = device, session
        numbers = self._seen.get(worker, set())
        last = self._last.get(worker) or min(numbers, default=1) - 1
        while last + 1 in numbers:
            last += 1
        self._last[worker] = last
        return last

    def check(self, report: Report, since_s: float) -> None:
        """See that an answer charges no second twice; its cell began `since_s` ago.

        A worker numbers its stretches, and those that it reports again bear their old numbers; but
        it may be started anew in a cell, and then counts anew.

        Raises:
            RefusedError: if it does.
        """
        taken = self._booked_s.get((report.device, report.session), Stretches())
        fresh = self._unheard(report)
        for entry in fresh:
            if taken.shared_s(entry.segment.start_s, entry.segment.end_s) > SLACK_S:
                raise RefusedError(f"entry {entry.number} is of time that was reported before")
        trained_s = self._trained_s.get(report.device, 0.0) + self._charges_s(fresh)
        if trained_s > since_s + PATIENCE_S:
            raise RefusedError(f"it has trained for {trained_s:.3g} s, longer than this cell")

    def _unheard(self, report: Report) -> list[ReportedEntry]:
        """Return the entries of an answer that are not here yet."""
        seen = self._seen.get((report.device, report.session), set())
        return [entry for entry in report.entries if entry.number not in seen]

    def _charges_s(self, entries: Iterable[ReportedEntry]) -> float:
        """Return the seconds that a method is charged for among what was done for this attempt."""
        return math.fsum(
            entry.segment.time_s
            for entry in entries
            if entry.attempt == self.attempt and entry.segment.label.phase in CHARGED
        )

    def _taken_s(self, worker: tuple[str, str]) -> Stretches:
        return self._booked_s.setdefault(worker, Stretches())

    def add(self, report: Report, shift: ClockShift) -> None:
        """Take in the entries of an answer that are not here yet."""
        worker, fresh = (report.device, report.session), self._unheard(report)
        seen, taken = self._seen.setdefault(worker, set()), self._taken_s(worker)
        before_s = self._trained_s.get(report.device, 0.0)
        self._trained_s[report.device] = before_s + self._charges_s(fresh)
        for entry in fresh:
            if entry.reading and entry.reading.energy_j is not None:
                self._heard_j.setdefault(report.device, []).append(entry.reading.energy_j)
            seen.add(entry.number)
            taken.add(entry.segment.start_s, entry.segment.end_s)
            self._entries.append(self._booked(entry, report, shift))

    def _booked(self, entry: ReportedEntry, report: Report, shift: ClockShift) -> LedgerEntry:
        own = entry.segment.label.cell == self._cell
        return LedgerEntry(
            report.device, report.session, entry.number, entry.segment, entry.reading,
            entry.time_model_s, entry.energy_model_j, shift.shift_s, report.no_meter,
            report.peak_memory_bytes, report.temperature_c,
            lost=own and bool(entry.attempt) and entry.attempt != self.attempt,
            peak_gpu_memory_bytes=report.peak_gpu_memory_bytes,
            flags=report.flags if own else (),
        )  # fmt: skip

    def fate(
        self, job: str, round_index: int, client: int, device: str, what: str, reason: str = ""
    ) -> None:
        """Say what became of a request; a later word replaces an earlier one."""
        found = Fate(job, round_index, client, device, what, clean_text(reason))
        self._fates[job, round_index, client] = found
        self._fresh.append(found)

    def energy_j(self, device: str) -> float | None:
        """Return the joules a device has reported in this cell; None if none were measured."""
        joules = self._heard_j.get(device)
        return math.fsum(joules) if joules else None

    def unknown(self) -> list[Fate]:
        """Return the fates of requests about whose cost nothing was ever heard."""
        labels = [entry.segment.label for entry in self._entries]
        heard = {(x.job, x.round_index, x.client) for x in labels if x.phase in COST_PHASES}
        return [
            fate
            for key, fate in self._fates.items()
            if fate.fate in ("missing", "refused") and fate.device and key not in heard
        ]

    def started_s(self, session: str) -> float | None:
        """Return where a worker's first entry of this cell begins, on its own clock."""
        starts = [
            e.segment.start_s for e in self._entries
            if e.session == session and e.segment.label.cell == self._cell
        ]  # fmt: skip
        return min(starts, default=None)

    def figures(self) -> list[SegmentCost]:
        """Return the charged stretches of this cell in the run's own time."""
        return [entry.cost() for entry in self._charged()]

    def _charged(self) -> list[LedgerEntry]:
        """Return what a method is charged for: training of this cell, not done anew."""
        return [
            entry
            for entry in self._entries
            if entry.segment.label.phase in CHARGED
            and entry.segment.label.cell == self._cell
            and not entry.lost
        ]

    def conclude(self, traces: Mapping[str, tuple[float, bytes]]) -> RemoteResult:
        """Return what the cell took; `traces` are the devices' samples and clock shifts."""
        figures = self.figures()
        fates = {fate.fate for fate in self._fates.values()} - {"used"}
        flags = [f"{fate}-device" for fate in sorted(fates)]
        if any(e.reading and REFUSED_FIGURE in e.reading.flags for e in self._entries):
            flags.append(REFUSED_FIGURE)
        flags += sorted({f for entry in self._entries for f in entry.flags} - set(flags))
        peak, gpu_peak = self._peaks()
        return RemoteResult(
            self._cost_of(figures), figures, self.rows(), trace_rows(traces),
            _columns([f.reading for f in figures if f.reading]), peak, flags, gpu_peak,
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
            f"{entry.device}: {entry.reason}"
            for entry in self._charged()
            if entry.reading is None or entry.reading.energy_j is None
        ]
        reasons += [
            f"{fate.device}: round {fate.round} of {fate.job} unknown, {fate.reason}"
            for fate in self.unknown()
        ]
        if reasons or not figures:
            return None, "; ".join(dict.fromkeys(reasons)) or "nothing was measured"
        joules = [f.reading.energy_j for f in figures if f.reading]
        return math.fsum(x for x in joules if x is not None), ""

    def _peaks(self) -> tuple[int | None, int | None]:
        """Return the largest of any device, of its worker and of its GPU."""
        workers = [e.peak_memory_bytes for e in self._entries if e.peak_memory_bytes]
        gpus = [e.peak_gpu_memory_bytes for e in self._entries if e.peak_gpu_memory_bytes]
        return max(workers, default=None), max(gpus, default=None)

    def rows(self) -> list[dict[str, object]]:
        """Return rows of devices.csv in the order of time, then those nobody could measure."""
        entries = sorted(self._entries, key=lambda e: (e.device, e.segment.start_s + e.shift_s))
        unheard = [
            {
                "cell": self._cell, "job": fate.job, "round": fate.round,
                "device": fate.device, "client": fate.client, "phase": "train",
                "energy_reason": fate.reason, "fate": fate.fate,
            }
            for fate in self.unknown()
        ]  # fmt: skip
        return [*map(self._row, entries), *unheard]

    def _row(self, entry: LedgerEntry) -> dict[str, object]:
        segment, label, reading = entry.segment, entry.segment.label, entry.reading
        fate = ""
        if label.client is not None and label.round_index is not None:
            found = self._fates.get((label.job, label.round_index, label.client))
            fate = found.fate if found else ""
        return {
            "cell": label.cell, "job": label.job, "round": label.round_index,
            "device": entry.device, "client": label.client, "phase": label.phase,
            "start_s": segment.start_s + entry.shift_s, "end_s": segment.end_s + entry.shift_s,
            "time_s": segment.time_s, "cpu_s": segment.cpu_s,
            "time_model_s": entry.time_model_s,
            "energy_j": reading.energy_j if reading else None,
            "energy_error_j": reading.error_j if reading else None,
            "energy_model_j": entry.energy_model_j,
            "energy_meter": reading.meter if reading else None,
            "energy_scope": reading.scope if reading else None,
            "energy_kind": reading.kind if reading else None,
            "energy_reason": reading.reason if reading else entry.no_meter,
            "peak_memory_bytes": entry.peak_memory_bytes,
            "peak_gpu_memory_bytes": entry.peak_gpu_memory_bytes,
            "temperature_c": entry.temperature_c,
            "fate": "lost" if entry.lost else fate,
            "flags": "+".join(reading.flags) if reading else "",
        }  # fmt: skip


def _columns(readings: Sequence[Reading]) -> dict[str, object]:
    """Return what cells.csv says of the meters: every kind there is, joined."""
    return {
        column: "+".join(sorted({str(getattr(r, name)) for r in readings})) or None
        for column, name in (
            ("energy_meter", "meter"), ("energy_scope", "scope"), ("energy_kind", "kind"),
        )
    }  # fmt: skip
