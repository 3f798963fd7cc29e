"""Keep what a device has measured until the server says that it has it.

Every stretch of time since the worker began is an entry with a number of its own: start-up, idle,
communication, training, affinity. Entries travel with every answer until the server has
acknowledged them, so that a lost answer loses no joules.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from harness.fleet.codec import encode_reading
from harness.measurement.measuring import MeasuringSession
from harness.records.phases import Label, Segment
from harness.records.work import Work
from harness.run_folder.codec import encode_segment

AROUND = ("idle", "communicate")
"""Phases that a worker cannot label when they begin: they belong to the next request."""


@dataclass(frozen=True)
class Entry:
    """Hold one numbered stretch, and for which session of the server it was done."""

    number: int
    segment: Segment
    attempt: str = ""


class Outbox:
    """Collect entries of one worker; times are of its monotonic clock."""

    def __init__(self, began_s: float) -> None:
        self._entries: list[Entry] = []
        self._number = 0
        self._until_s = began_s

    @property
    def until_s(self) -> float:
        """Return the end of what is in the outbox."""
        return self._until_s

    def spent(self, label: Label, until_s: float, cpu_s: float = 0.0) -> None:
        """Enter the time from the last entry to a moment; nothing if the moment is not later."""
        if until_s > self._until_s:
            self.add(Segment(label, self._until_s, until_s, cpu_s, Work()))

    def add(self, segment: Segment, attempt: str = "") -> None:
        """Enter a stretch that was marked; `attempt` names the server's session it is done for."""
        self._number += 1
        self._entries.append(Entry(self._number, segment, attempt))
        self._until_s = max(self._until_s, segment.end_s)

    def label(self, label: Label) -> None:
        """Give what lies between two requests to the request that ended it."""
        self._entries = [
            replace(
                e, segment=replace(e.segment, label=replace(label, phase=e.segment.label.phase))
            )
            if e.segment.label.phase in AROUND and not e.segment.label.cell
            else e
            for e in self._entries
        ]

    def acknowledge(self, number: int) -> None:
        """Forget the entries that the server has."""
        self._entries = [entry for entry in self._entries if entry.number > number]

    def report(self, session: MeasuringSession) -> list[dict[str, Any]]:
        """Return all entries not yet acknowledged, with what they took."""
        costs = session.costs([entry.segment for entry in self._entries])
        return [
            {
                "number": entry.number,
                "attempt": entry.attempt,
                "segment": encode_segment(entry.segment),
                "reading": encode_reading(cost.reading) if cost.reading else None,
                "time_model_s": cost.time_model_s,
                "energy_model_j": cost.energy_model_j,
            }
            for entry, cost in zip(self._entries, costs, strict=True)
        ]
