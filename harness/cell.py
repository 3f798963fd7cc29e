"""Run one cell of the matrix: method × seed × repeat."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.accounting import Accountant, Bill, Figures, bill
from harness.config import RunConfig
from harness.data.store import Store
from harness.errors import HarnessError
from harness.federated.job import Engine, Job, Outcome
from harness.federated.local import LocalEngine
from harness.instruments import Instruments
from harness.memory import PeakMemory, memory_errors
from harness.methods.registry import MethodSpec
from harness.methods.schedule import Served, carry_out
from harness.phases import PhaseLog
from harness.plan import cell_setting
from harness.recorder import CellRecorder, Progress
from harness.settings import federation
from harness.target import Target
from models.network import Architecture


@dataclass(frozen=True)
class Cell:
    """Name one cell."""

    spec: MethodSpec
    seed: int
    repeat: int

    @property
    def name(self) -> str:
        """Return a name that may stand in file names."""
        return f"{self.spec.slug}-s{self.seed}-r{self.repeat}"


@dataclass(frozen=True)
class Bench:
    """Hold what all cells of a run share: what to train, on what, and how it is measured."""

    config: RunConfig
    target: Target
    source: Store
    architecture: Architecture
    log: PhaseLog
    instruments: Instruments
    accountant: Accountant
    mean_predictor: Mapping[str, float]
    zero_s: float

    def engine(self, seed: int, recorder: CellRecorder) -> Engine:
        """Return the engine that plays all clients on this host."""
        return LocalEngine(self.source, self.architecture, federation(self.config), seed, recorder)


@dataclass(frozen=True)
class CellResult:
    """Hold what came of a cell: who serves which tasks, and in `trained` all jobs' outcomes.

    A task that several models serve, one per client, has the mean of their losses.
    """

    cell: Cell
    recorder: CellRecorder
    figures: Sequence[Figures]
    bill: Bill
    served: Sequence[Served]
    trained: Sequence[Outcome]
    peak_memory_bytes: int | None
    status: str
    reason: str

    @property
    def losses(self) -> dict[str, float]:
        """Return the last test loss of every task; empty if the cell is not done."""
        return _means((task, o.losses[task]) for task, o in self._serving())

    @property
    def unseen_losses(self) -> dict[str, float]:
        """Return the last loss on unseen buildings of every task."""
        return _means((task, o.unseen_losses[task]) for task, o in self._serving())

    @property
    def outcomes(self) -> list[Outcome]:
        """Return the outcomes whose models serve."""
        return [served.outcome for served in self.served]

    @property
    def groups(self) -> list[str]:
        """Return the groups of tasks that were trained to serve, each once."""
        return list(dict.fromkeys(outcome.job.tasks for outcome in self.outcomes))

    def _serving(self) -> Iterator[tuple[str, Outcome]]:
        return ((task, served.outcome) for served in self.served for task in served.tasks)


def _means(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the mean of every task's values."""
    found: dict[str, list[float]] = {}
    for task, value in values:
        found.setdefault(task, []).append(value)
    return {task: math.fsum(those) / len(those) for task, those in found.items()}


class _Keeping:
    """Pass jobs on to an engine and keep every outcome."""

    def __init__(self, engine: Engine, kept: list[Outcome]) -> None:
        self._engine = engine
        self._kept = kept

    def run(self, job: Job) -> Outcome:
        """Run the job on the engine behind."""
        outcome = self._engine.run(job)
        self._kept.append(outcome)
        return outcome


def run_cell(bench: Bench, cell: Cell, on_round: Callable[[Progress], None]) -> CellResult:
    """Train one cell. A failure of the cell becomes its status, so that others can go on."""
    recorder = CellRecorder(cell.name, bench.log, on_round)
    memory = PeakMemory()
    memory.reset()
    trained: list[Outcome] = []
    served: Sequence[Served] = ()
    status, reason = "done", ""
    try:
        engine = _Keeping(bench.engine(cell.seed, recorder), trained)
        setting = cell_setting(bench.config, cell.seed)
        with memory_errors():
            served = carry_out(cell.spec.schedule(setting), engine)
    except HarnessError as error:
        status, reason = "failed", error.message
    except KeyboardInterrupt:
        status, reason = "interrupted", "stopped by the user"
    segments = bench.log.segments[recorder.first_segment :]
    streams = bench.instruments.streams(segments[-1].end_s) if segments else None
    figures = [bench.accountant.figures(segment, streams) for segment in segments]
    return CellResult(
        cell, recorder, figures, bill(figures, streams, bench.instruments.reason),
        served, trained, memory.read_bytes(), status, reason,
    )  # fmt: skip
