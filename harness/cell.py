"""Run one cell of the matrix: method × seed × repeat."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.accounting import Accountant, Bill, Figures, bill
from harness.config import RunConfig
from harness.data.store import Store
from harness.errors import HarnessError, MemoryExceededError
from harness.federated.job import Engine, Job, Outcome
from harness.federated.local import LocalEngine
from harness.instruments import Instruments
from harness.memory import PeakMemory
from harness.methods.registry import MethodSpec
from harness.methods.schedule import carry_out
from harness.phases import PhaseLog
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
    """Hold what came of a cell. `outcomes` serve the tasks; all jobs' outcomes are in `trained`."""

    cell: Cell
    recorder: CellRecorder
    figures: Sequence[Figures]
    bill: Bill
    outcomes: Sequence[Outcome]
    trained: Sequence[Outcome]
    peak_memory_bytes: int | None
    status: str
    reason: str

    @property
    def losses(self) -> dict[str, float]:
        """Return the last test loss of every task; empty if the cell is not done."""
        return {task: loss for o in self.outcomes for task, loss in o.losses.items()}

    @property
    def unseen_losses(self) -> dict[str, float]:
        """Return the last loss on unseen buildings of every task the outcomes serve."""
        served = {o.job.tasks for o in self.outcomes}
        return {
            v.task: v.value
            for v in self.recorder.values
            if v.metric == "test_unseen_loss" and v.job in served
        }


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
    outcomes: Sequence[Outcome] = ()
    status, reason = "done", ""
    try:
        engine = _Keeping(bench.engine(cell.seed, recorder), trained)
        outcomes = carry_out(cell.spec.schedule(bench.config.setting), engine)
    except HarnessError as error:
        status, reason = "failed", error.message
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        status, reason = "failed", out_of_memory(bench).message
    except KeyboardInterrupt:
        status, reason = "interrupted", "stopped by the user"
    segments = bench.log.segments[recorder.first_segment :]
    streams = bench.instruments.streams(segments[-1].end_s) if segments else None
    figures = [bench.accountant.figures(segment, streams) for segment in segments]
    return CellResult(
        cell, recorder, figures, bill(figures, streams, bench.instruments.reason),
        outcomes, trained, memory.read_bytes(), status, reason,
    )  # fmt: skip


def _is_out_of_memory(error: BaseException) -> bool:
    """Say whether an allocation failed; torch reports it as a plain RuntimeError."""
    return isinstance(error, MemoryError) or "can't allocate memory" in str(error)


def out_of_memory(bench: Bench) -> MemoryExceededError:
    """Return the error for work that does not fit into the device's memory."""
    limit = bench.target.profile.memory_bytes if not bench.target.matches else None
    of = f" of {bench.target.profile.title} ({limit / 2**30:.1f} GiB)" if limit else ""
    return MemoryExceededError(
        f"training does not fit into the memory{of}", "Lower --batch-size or --size."
    )
