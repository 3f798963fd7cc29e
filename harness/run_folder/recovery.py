"""Find out what earlier sittings of a run left of each cell, and what of it was lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devices.energy import Reading, energy
from devices.stream import StreamSet
from harness.measurement.conditions import Look
from harness.measurement.cost import Accountant
from harness.measurement.phases import Segment
from harness.run_folder.checkpoints import CellCheckpoints, Saved
from harness.run_folder.codec import read_segment
from harness.run_folder.sessions import Sitting, last_sample_s
from harness.running.parts import Part


@dataclass(frozen=True)
class Lost:
    """Hold a stretch of work that was broken off and is done anew; times are the run's own."""

    sitting: int
    start_s: float
    end_s: float
    reading: Reading | None


@dataclass(frozen=True)
class CellPast:
    """Hold what earlier sittings left of a cell; nothing if it begins now."""

    saved: Saved | None = None
    parts: Sequence[Part] = ()
    lost: Sequence[Lost] = ()
    flags: Sequence[str] = ()
    peak_memory_bytes: int | None = None
    interruptions: int = 0
    looks: Sequence[Look] = ()


@dataclass(frozen=True)
class RunPast:
    """Hold what is known of earlier sittings: their clocks, their events, the meter's samples.

    `streams` gives the samples of a sitting; None where nothing was measured.
    """

    path: Path
    sittings: Sequence[Sitting] = ()
    events: Sequence[Mapping[str, Any]] = ()
    streams: Callable[[Sitting], StreamSet | None] = field(default=lambda _: None)

    def last_moment_s(self, sitting: Sitting | None = None) -> float:
        """Return the last moment that is known of a sitting, or of all; the run's own time."""
        chosen = [s for s in self.sittings if sitting is None or s == sitting]
        numbers = {s.number for s in chosen}
        known = [float(e["t_s"]) for e in self.events if e.get("sitting") in numbers]
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
        parts = [
            self._part(sitting, segments[sitting.number], accountant)
            for sitting in self.sittings
            if sitting.number in segments
        ]
        lines = saved.lines if saved else []
        peaks = [line["peak_memory_bytes"] for line in lines if line.get("peak_memory_bytes")]
        return CellPast(
            saved,
            parts,
            self._lost(own, segments),
            tuple(dict.fromkeys(flag for line in lines for flag in line.get("flags", []))),
            max(peaks, default=None),
            len(starts),
            [
                Look(line["t_s"], line.get("temperature_c"), line.get("flags", ()))
                for line in lines
                if "t_s" in line
            ],
        )

    def _measured_to_the_end(self, saved: Saved) -> bool:
        """Say whether the samples on disk reach as far as the marks, where anything measured."""
        last = saved.lines[-1]
        sitting = self._numbered(last["sitting"])
        if sitting is None or not last["segments"]:
            return sitting is not None
        if not (self.path / sitting.samples).exists():
            return True
        end_s = read_segment(last["segments"][-1]).end_s
        return last_sample_s(self.streams(sitting)) >= end_s

    def _numbered(self, number: object) -> Sitting | None:
        return next((s for s in self.sittings if s.number == number), None)

    def _part(self, sitting: Sitting, segments: list[Segment], accountant: Accountant) -> Part:
        streams = self.streams(sitting)
        figures = [accountant.figures(segment, streams) for segment in segments]
        return Part(sitting.number, sitting.zero_s, figures, streams)

    def _lost(
        self, events: Sequence[Mapping[str, Any]], segments: Mapping[int, list[Segment]]
    ) -> list[Lost]:
        """Return what lies between the last checkpoint of a sitting and its end.

        A sitting that ended in order says up to when the cell has marks; of another, the last that
        is known of it stands for its end.
        """
        ends = {e["sitting"]: e.get("marked_to_s") for e in events if e["event"] == "cell done"}
        found = []
        for start in events:
            sitting = self._numbered(start.get("sitting"))
            if sitting is None or start["event"] != "cell started":
                continue
            kept = segments.get(sitting.number, [])
            start_s = max([float(start["t_s"]), *(s.end_s - sitting.zero_s for s in kept)])
            told_s = ends.get(sitting.number)
            end_s = self.last_moment_s(sitting) if told_s is None else float(told_s)
            if end_s > start_s:
                found.append(Lost(sitting.number, start_s, end_s, self._reading(
                    sitting, start_s + sitting.zero_s, end_s + sitting.zero_s
                )))  # fmt: skip
        return found

    def _reading(self, sitting: Sitting, start_s: float, end_s: float) -> Reading | None:
        streams = self.streams(sitting)
        return energy(streams, start_s, end_s) if streams else None


def _segments(saved: Saved | None) -> dict[int, list[Segment]]:
    """Return the marks of a checkpoint by the sitting that made them."""
    found: dict[int, list[Segment]] = {}
    for line in saved.lines if saved else []:
        found.setdefault(int(line["sitting"]), []).extend(map(read_segment, line["segments"]))
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
