"""Listen to the engine during one cell: phases, work, values, progress."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.core.errors import DivergedError
from harness.measurement.phases import PhaseLog
from harness.records.phases import Label
from harness.records.values import Progress, Value
from harness.records.work import Work

if TYPE_CHECKING:
    from harness.federated.job import FederatedJob


class CellRecorder:
    """Keep what one cell's engine says; implements `harness.federated.observer.Observer`."""

    def __init__(self, cell: str, log: PhaseLog, on_round: Callable[[Progress], None]) -> None:
        self._cell = cell
        self._log = log
        self._on_round = on_round
        self._job = ""
        self._units: tuple[str, ...] = ()
        self._task_rounds = 0
        self._losses: dict[str, float] = {}
        self.first_segment = len(log.segments)
        self.values: list[Value] = []
        self.jobs: list[FederatedJob] = []

    @property
    def cell(self) -> str:
        """Return the name of the cell."""
        return self._cell

    def take_up(self, values: Iterable[Value], task_rounds: int) -> None:
        """Go on from what was recorded before the cell was stopped."""
        self.values += values
        self._task_rounds += task_rounds

    def phase(
        self, name: str, *, round_index: int | None = None, client: int | None = None
    ) -> AbstractContextManager[None]:
        """Mark a phase; one opened inside another inherits its round and client."""
        outer = self._log.current()
        label = replace(outer, phase=name) if outer else Label(name, self._cell, self._job)
        if round_index is not None:
            label = replace(label, round_index=round_index)
        if client is not None:
            label = replace(label, client=client)
        return self._log.phase(label)

    def work(self, done: Work) -> None:
        """Add work to the phase that is open."""
        self._log.work(done)

    def metric(self, rounds_done: int, phase: str, name: str, task: str, value: float) -> None:
        """Keep a value.

        Raises:
            DivergedError: if it is not a finite number.
        """
        if not math.isfinite(value):
            raise DivergedError(
                f"{name} of task '{task}' is {value} in round {rounds_done} of job {self._job}",
                "Lower --learning-rate.",
            )
        if name == "train_loss":
            self._losses[task] = value
        self.values.append(Value(rounds_done, self._job, task, phase, name, value))

    def job_started(self, job: FederatedJob) -> None:
        """Label what follows with the job."""
        self._job = job.name
        self._units = tuple(job.units)
        self.jobs.append(job)

    def round_done(self, rounds_done: int) -> None:
        """Pass on how far the cell is."""
        self._task_rounds += len(self._units)
        progress = Progress(
            self._job, self._units, rounds_done, self._task_rounds, dict(self._losses)
        )
        self._on_round(progress)
