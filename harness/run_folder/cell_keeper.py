"""Keep a cell's jobs after every round, and give them back when the cell goes on after a stop."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from harness.core.errors import DamagedRunError
from harness.federated.job import Checkpoint, FederatedJob, Traffic
from harness.federated.keeping import JobState
from harness.measurement.phases import PhaseLog
from harness.measurement.recorder import CellRecorder
from harness.records.cells import SharedJob
from harness.records.phases import Segment
from harness.records.values import Value
from harness.run_folder.checkpoints import FRESH, CellCheckpoints, Saved
from harness.run_folder.codec import decode_value, encode_segment, encode_value
from harness.workloads.base import Codec, Library


class CellKeeper:
    """Write a checkpoint after every round; implements `harness.federated.keeping.Keeper`.

    Methods are generators without a memory on disk: they are simply carried out again, and jobs
    that are finished are answered from their checkpoints.
    """

    def __init__(
        self,
        checkpoints: CellCheckpoints,
        saved: Saved | None,
        recorder: CellRecorder,
        log: PhaseLog,
        codec: Codec,
        *,
        note: Callable[[], Mapping[str, Any]],
        library: Library | None = None,
    ) -> None:
        """Take up what was saved.

        `note` is called after each round for what else belongs into its line of the journal, the
        session at least.
        """
        self._checkpoints = checkpoints
        self._saved = saved
        self._recorder = recorder
        self._log = log
        self._codec = codec
        self._note = note
        self._library = library
        self.taken: list[SharedJob] = []
        """What was taken from other cells."""
        self._index = -1
        if saved is not None:
            _restore(recorder, saved)
        self._segments = len(log.segments)
        self._values = len(recorder.values)

    def recall(self, job: FederatedJob) -> JobState | None:
        """Return the state of the next job, its own or another cell's; None if it was not begun.

        Raises:
            DamagedRunError: if another job was kept in its place, or its weights are damaged.
        """
        self._index += 1
        if self._saved is None or self._index >= len(self._saved.jobs):
            return self._borrowed(job)
        kept = self._saved.jobs[self._index]
        asked = json.loads(json.dumps(self._codec.job(job)))  # as files give it: tuples are lists
        if any(kept.get(key) != value for key, value in asked.items()):
            raise DamagedRunError(
                f"{self._checkpoints.path}: job {self._index + 1} is {kept['name']},"
                f" but the method now asks for {job.name}",
                FRESH,
            )
        measured = (
            self._codec.read_measured(line["measured"])
            for line in self._saved.lines
            if line["job"] == self._index and line.get("measured") is not None
        )
        weights = Checkpoint(self._checkpoints.weights(self._index))
        traffic = Traffic(**kept["traffic"])
        return JobState(int(kept["rounds_done"]), weights, tuple(measured), kept["judged"], traffic)

    def _borrowed(self, job: FederatedJob) -> JobState | None:
        """Return what another cell's job gives, kept as if this cell had trained it."""
        shared = self._library.shared(job, self._recorder.cell) if self._library else None
        if shared is None:
            return None
        rounds = shared.state.rounds_done - job.first_round
        self._recorder.take_up(shared.values, len(job.units) * rounds)
        self._save(job, shared.state, [*self._lent_lines(job, shared)])
        self.taken.append(shared)
        return shared.state

    def announce(self, job: FederatedJob) -> int:
        """Write durably that a job is about to be carried out; return how often it was before."""
        return self._checkpoints.announce(self._index, self._codec.job(job))

    def keep(self, job: FederatedJob, state: JobState) -> None:
        """Begin to write a checkpoint; it is on the disk once the checkpoints are settled."""
        segments = self._log.segments[self._segments :]
        values = self._recorder.values[self._values :]
        line = {**self._line(state, state.rounds_done, segments, values), **self._note()}
        self._save(job, state, [line])

    def _lent_lines(self, job: FederatedJob, shared: SharedJob) -> Iterator[dict[str, Any]]:
        """Yield a line per round; a round was always measured in one session."""
        for index in range(job.first_round, shared.state.rounds_done):
            part, segments = next(
                (part, found)
                for part in shared.session_costs
                if (found := [
                    f.segment for f in part.figures if f.segment.label.round_index == index
                ])
            )  # fmt: skip
            values = [v for v in shared.values if v.rounds_done == index + 1]
            yield self._line(shared.state, index + 1, segments, values) | {
                "session": part.session,
                "flags": list(shared.flags),
                "peak_memory_bytes": shared.peak_memory_bytes,
                "peak_gpu_memory_bytes": shared.peak_gpu_memory_bytes,
            }

    def _line(
        self, state: JobState, done: int, segments: Sequence[Segment], values: Sequence[Value]
    ) -> dict[str, Any]:
        fresh = next((m for m in state.measured if m.round == done - 1), None)
        return {
            "job": self._index,
            "rounds_done": done,
            "segments": [encode_segment(s) for s in segments],
            "values": [encode_value(v) for v in values],
            "measured": None if fresh is None else self._codec.measured(fresh),
        }

    def _save(self, job: FederatedJob, state: JobState, lines: Sequence[Mapping[str, Any]]) -> None:
        record = {
            **self._codec.job(job),
            "unit_count": len(job.units),
            "rounds_done": state.rounds_done,
            "judged": {name: dict(values) for name, values in state.judged.items()},
            "traffic": asdict(state.traffic),
        }
        self._checkpoints.save(self._index, record, state.weights.tensors, lines)
        self._segments = len(self._log.segments)
        self._values = len(self._recorder.values)


def _restore(recorder: CellRecorder, saved: Saved) -> None:
    """Give the recorder the values and the count of what was done before."""
    units = [int(job["unit_count"]) for job in saved.jobs]
    values = [decode_value(value) for line in saved.lines for value in line["values"]]
    recorder.take_up(values, sum(units[line["job"]] for line in saved.lines))
