"""Find out what earlier sessions of a run left of each cell, and what of it was lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devices.energy import Reading, energy
from devices.stream import StreamSet
from harness.measurement.cost import Accountant
from harness.records.conditions import ConditionSample
from harness.records.cost import SessionCost
from harness.records.phases import Segment
from harness.run_folder.checkpoints import CellCheckpoints, Saved
from harness.run_folder.codec import decode_segment
from harness.run_folder.sessions import RunSession, last_sample_s


@dataclass(frozen=True)
class Lost:
    """Hold a stretch of work that was broken off and is done anew; times are the run's own."""

    session: int
    start_s: float
    end_s: float
    reading: Reading | None


@dataclass(frozen=True)
class CellPast:
    """Hold what earlier sessions left of a cell; nothing if it begins now."""

    saved: Saved | None = None
    session_costs: Sequence[SessionCost] = ()
    lost: Sequence[Lost] = ()
    flags: Sequence[str] = ()
    peak_memory_bytes: int | None = None
    interruptions: int = 0
    looks: Sequence[ConditionSample] = ()
    peak_gpu_memory_bytes: int | None = None


@dataclass(frozen=True)
class RunPast:
    """Hold what is known of earlier sessions: their clocks, their events, the meter's samples.

    `streams` gives the samples of a session; None where nothing was measured.
    """

    path: Path
    sessions: Sequence[RunSession] = ()
    events: Sequence[Mapping[str, Any]] = ()
    streams: Callable[[RunSession], StreamSet | None] = field(default=lambda _: None)

    def last_moment_s(self, session: RunSession | None = None) -> float:
        """Return the last moment that is known of a session, or of all; the run's own time."""
        chosen = [s for s in self.sessions if session is None or s == session]
        numbers = {s.number for s in chosen}
        known = [float(e["t_s"]) for e in self.events if e.get("session") in numbers]
        known += [last_sample_s(self.streams(s)) - s.zero_s for s in chosen]
        return max(known, default=0.0)

    def cell(self, name: str, checkpoints: CellCheckpoints, accountant: Accountant) -> CellPast:
        """Return what is left of a cell, back to a checkpoint up to which all was measured.

        Raises:
            DamagedRunError: if a checkpoint is not as it was written.
        """
        own = [e for e in self.events if e.get("cell") == name]
        starts = [e for e in own if e["event"] == "cell started"]
        saved = checkpoints.load()
        if saved is not None and not self._measured_to_the_end(saved):
            saved = checkpoints.step_back()
            if saved is not None and not self._measured_to_the_end(saved):
                checkpoints.remove()
                saved = None
        segments = _segments(saved)
        session_costs = [
            self._session_costs(session, segments[session.number], accountant)
            for session in self.sessions
            if session.number in segments
        ]
        lines = saved.lines if saved else []
        return CellPast(
            saved,
            session_costs,
            self._lost(own, segments),
            tuple(dict.fromkeys(flag for line in lines for flag in line.get("flags", []))),
            _largest(lines, "peak_memory_bytes"),
            len(starts),
            [
                ConditionSample(
                    line["t_s"],
                    line.get("temperature_c"),
                    line.get("flags", ()),
                    line.get("gpu_temperature_c"),
                )
                for line in lines
                if "t_s" in line
            ],
            _largest(lines, "peak_gpu_memory_bytes"),
        )

    def _measured_to_the_end(self, saved: Saved) -> bool:
        """Say whether the samples on disk reach as far as the marks, where anything measured."""
        last = saved.lines[-1]
        session = self._numbered(last["session"])
        if session is None or not last["segments"]:
            return session is not None
        if not (self.path / session.samples).exists():
            return True
        end_s = decode_segment(last["segments"][-1]).end_s
        return last_sample_s(self.streams(session)) >= end_s

    def _numbered(self, number: object) -> RunSession | None:
        return next((s for s in self.sessions if s.number == number), None)

    def _session_costs(
        self, session: RunSession, segments: list[Segment], accountant: Accountant
    ) -> SessionCost:
        streams = self.streams(session)
        figures = [accountant.figures(segment, streams) for segment in segments]
        return SessionCost(session.number, session.zero_s, figures, streams)

    def _lost(
        self, events: Sequence[Mapping[str, Any]], segments: Mapping[int, list[Segment]]
    ) -> list[Lost]:
        """Return what lies between the last checkpoint of a session and its end.

        A session that ended in order says up to when the cell has marks; of another, the last that
        is known of it stands for its end.
        """
        ends = {e["session"]: e.get("marked_to_s") for e in events if e["event"] == "cell done"}
        found = []
        for start in events:
            session = self._numbered(start.get("session"))
            if session is None or start["event"] != "cell started":
                continue
            kept = segments.get(session.number, [])
            start_s = max([float(start["t_s"]), *(s.end_s - session.zero_s for s in kept)])
            told_s = ends.get(session.number)
            end_s = self.last_moment_s(session) if told_s is None else float(told_s)
            if end_s > start_s:
                found.append(Lost(session.number, start_s, end_s, self._reading(
                    session, start_s + session.zero_s, end_s + session.zero_s
                )))  # fmt: skip
        return found

    def _reading(self, session: RunSession, start_s: float, end_s: float) -> Reading | None:
        streams = self.streams(session)
        return energy(streams, start_s, end_s) if streams else None


def _largest(lines: Sequence[Mapping[str, Any]], name: str) -> int | None:
    """Return the largest of what the lines of a journal say; None if none says anything."""
    return max((int(line[name]) for line in lines if line.get(name)), default=None)


def _segments(saved: Saved | None) -> dict[int, list[Segment]]:
    """Return the marks of a checkpoint by the session that made them."""
    found: dict[int, list[Segment]] = {}
    for line in saved.lines if saved else []:
        found.setdefault(int(line["session"]), []).extend(map(decode_segment, line["segments"]))
    return found


def lost_rows(run_id: str, cell: str, lost: Sequence[Lost]) -> list[dict[str, object]]:
    """Return rows of phases.csv for work that was broken off; it is in no cell's cost."""
    return [
        {
            "run_id": run_id, "cell": cell, "phase": "lost", "start_s": piece.start_s,
            "end_s": piece.end_s, "time_s": piece.end_s - piece.start_s,
            "energy_j": piece.reading.energy_j if piece.reading else None,
            "energy_error_j": piece.reading.error_j if piece.reading else None,
            "flags": "+".join(piece.reading.flags) if piece.reading else "",
        }
        for piece in lost
    ]  # fmt: skip
