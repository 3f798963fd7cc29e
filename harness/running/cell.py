"""Run one cell of the matrix: method × seed × repeat."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.config import RunConfig
from harness.core.errors import DamagedRunError, HarnessError, StorageError
from harness.federated.job import Engine, Job, Outcome
from harness.federated.keeping import JobState, Keeper
from harness.federated.local import LocalEngine
from harness.measurement.conditions import RESUMED, Conditions, ConditionSample
from harness.measurement.cost import Accountant, Cost, cell_cost
from harness.measurement.instruments import Instruments
from harness.measurement.memory import PeakMemory, memory_errors
from harness.measurement.phases import PhaseLog
from harness.measurement.session_costs import SessionCost, total_cost
from harness.run_folder.cell_keeper import CellKeeper
from harness.run_folder.checkpoints import CellCheckpoints
from harness.run_folder.recovery import CellPast
from harness.running.allocator import give_back
from harness.running.limits import STOPPED_BY_USER, BudgetReachedError
from harness.running.recorder import CellRecorder, Progress
from harness.running.remote_clients import RemoteClients, RemoteResult, with_remote
from harness.running.sharing import FinishedCell, JobLibrary, SharedJob
from harness.running.target import Target
from harness.workloads.multitask.data.store import Store
from harness.workloads.multitask.methods.cost import Calibration
from harness.workloads.multitask.methods.registry import MethodSpec
from harness.workloads.multitask.methods.schedule import Served, carry_out
from harness.workloads.multitask.planning.plan import cell_setting
from harness.workloads.multitask.planning.step_choice import StepChoice
from harness.workloads.multitask.settings import federation
from models.multitask.network import Architecture


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
class RunContext:
    """Hold what all cells of a run share: what to train, on what, and how it is measured."""

    config: RunConfig
    target: Target
    source: Store
    architecture: Architecture
    log: PhaseLog
    instruments: Instruments
    accountant: Accountant
    constants: Mapping[str, Mapping[str, float]]
    zero_s: float
    calibration: Calibration
    step: StepChoice
    devices: RemoteClients | None = None

    def engine(self, seed: int, recorder: CellRecorder, keeper: Keeper, past: CellPast) -> Engine:
        """Return the engine whose clients are played on this host, or by devices if there are."""
        lines = past.saved.lines if past.saved else []
        trainers = self.devices.begin(recorder, lines, self.zero_s) if self.devices else None
        settings = federation(self.config, self.step.execution)
        return LocalEngine(
            self.source, self.architecture, settings, seed, recorder, keeper, trainers
        )


@dataclass(frozen=True)
class CellResult:
    """Hold what came of a cell: who serves which tasks, and in `trained` all jobs' outcomes.

    A task that several models serve, one per client, has the mean of their losses.
    """

    cell: Cell
    recorder: CellRecorder
    session_costs: Sequence[SessionCost]
    cost: Cost
    served: Sequence[Served]
    trained: Sequence[Outcome]
    peak_memory_bytes: int | None
    status: str
    reason: str
    flags: Sequence[str] = ()
    looks: Sequence[ConditionSample] = ()
    remote: RemoteResult | None = None

    @property
    def losses(self) -> dict[str, float]:
        """Return the last test loss of every task; empty if the cell is not done."""
        return _means((task, o.losses[task]) for task, o in self._serving())

    @property
    def unseen_losses(self) -> dict[str, float]:
        """Return the last loss on unseen buildings of every task; empty if there are none."""
        return _means(
            (task, o.unseen_losses[task]) for task, o in self._serving() if task in o.unseen_losses
        )

    @property
    def outcomes(self) -> list[Outcome]:
        """Return the outcomes whose models serve."""
        return [served.outcome for served in self.served]

    @property
    def groups(self) -> list[str]:
        """Return the groups of tasks that were trained to serve, each once."""
        return list(dict.fromkeys(outcome.job.tasks for outcome in self.outcomes))

    def to_lend(self) -> FinishedCell:
        """Return what other cells may take from a cell that is done."""
        return FinishedCell(
            self.trained,
            self.session_costs,
            self.recorder.values,
            self.flags,
            self.peak_memory_bytes,
        )

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


@dataclass(frozen=True)
class CellRecord:
    """Hold how a cell is kept while it runs: where, what is left from before, who is told.

    `after_round` is called when a round is handed to the checkpoints; an error it raises stops the
    cell. What they still write then must be waited for (`CellCheckpoints.settle`). The `library`
    lends jobs that other cells have trained; None if each cell trains its own.
    """

    checkpoints: CellCheckpoints
    past: CellPast
    session: int
    on_round: Callable[[Progress], None]
    after_round: Callable[[], None]
    library: JobLibrary | None = None


def run_cell(context: RunContext, cell: Cell, record: CellRecord) -> CellResult:
    """Train one cell, or what is left of it.

    A failure of the cell becomes its status, so that others can go on. A run whose files cannot be
    written, or are damaged, cannot go on.
    """
    recorder = CellRecorder(cell.name, context.log, record.on_round)
    memory = PeakMemory()
    give_back()  # else the peak would be that of the cell before
    memory.reset()
    conditions = Conditions(context.instruments.processes, zero_s=context.zero_s)
    looks = [*record.past.looks, conditions.first]

    def note() -> dict[str, Any]:
        looks.append(conditions.so_far())
        return {
            "session": record.session,
            **asdict(looks[-1]),
            "peak_memory_bytes": memory.read_bytes(),
            **(context.devices.note() if context.devices else {}),
        }

    kept = CellKeeper(record.checkpoints, record.past.saved, recorder, context.log, note)
    borrowing = _Borrowing(kept, record.library, cell.name)
    keeper = _Stopping(borrowing, record.after_round)
    trained: list[Outcome] = []
    served: Sequence[Served] = ()
    status, reason = "done", ""
    try:
        engine = _Keeping(context.engine(cell.seed, recorder, keeper, record.past), trained)
        setting = cell_setting(context.config, cell.seed)
        with memory_errors():
            served = carry_out(cell.spec.schedule(setting), engine)
    except (StorageError, DamagedRunError):
        raise
    except HarnessError as error:
        status, reason = "failed", f"{error.message} [{error.code}]"
    except BudgetReachedError as error:
        status, reason = "interrupted", str(error)
    except KeyboardInterrupt:
        status, reason = "interrupted", STOPPED_BY_USER
    remote = context.devices.conclude() if context.devices and status == "done" else None
    shared_jobs_taken = borrowing.shared_jobs_taken
    lent = [part for shared in shared_jobs_taken for part in shared.session_costs]
    session_costs = [
        *record.past.session_costs,
        *lent,
        *_session_costs(context, recorder, record.session),
    ]
    costs = [part.cost(context.instruments.reason) for part in session_costs]
    others = [
        record.past.peak_memory_bytes,
        *(shared.peak_memory_bytes for shared in shared_jobs_taken),
    ]
    peaks = [p for p in (*others, memory.read_bytes()) if p is not None]
    resumed = [RESUMED] if record.past.interruptions else []
    lent_flags = [flag for shared in shared_jobs_taken for flag in shared.flags]
    looks.append(conditions.at_end())
    flags = [*resumed, *record.past.flags, *lent_flags, *looks[-1].flags]
    cost = total_cost(costs) if costs else cell_cost((), None, "")
    peak = max(peaks, default=None)
    if remote is not None:
        cost, peak = with_remote(cost, remote), remote.peak_memory_bytes
        flags += remote.flags
    return CellResult(
        cell, recorder, session_costs, cost, served, trained, peak, status, reason,
        tuple(dict.fromkeys(flags)), looks, remote,
    )  # fmt: skip


class _Borrowing:
    """Keep as a cell does, but take a job that is not begun from the library if it is there."""

    def __init__(self, keeper: CellKeeper, library: JobLibrary | None, cell: str) -> None:
        self._keeper = keeper
        self._library = library
        self._cell = cell
        self.shared_jobs_taken: list[SharedJob] = []

    def recall(self, job: Job) -> JobState | None:
        """Return the cell's own state of the job, else what another cell's job gives."""
        state = self._keeper.recall(job)
        if state is not None or self._library is None:
            return state
        shared = self._library.shared(job, self._cell)
        if shared is None:
            return None
        self._keeper.borrow(job, shared)
        self.shared_jobs_taken.append(shared)
        return shared.state

    def keep(self, job: Job, state: JobState) -> None:
        """Keep the state."""
        self._keeper.keep(job, state)


class _Stopping:
    """Keep as another keeper does, then let the run stop."""

    def __init__(self, keeper: Keeper, after_round: Callable[[], None]) -> None:
        self._keeper = keeper
        self._after_round = after_round

    def recall(self, job: Job) -> JobState | None:
        """Return what the other keeper has."""
        return self._keeper.recall(job)

    def keep(self, job: Job, state: JobState) -> None:
        """Keep the state, then ask whether to stop."""
        self._keeper.keep(job, state)
        self._after_round()


def _session_costs(context: RunContext, recorder: CellRecorder, session: int) -> list[SessionCost]:
    """Return what this session measured of the cell; nothing if it was stopped at once."""
    segments = context.log.segments[recorder.first_segment :]
    if not segments:
        return []
    streams = context.instruments.streams(segments[-1].end_s)
    figures = [context.accountant.figures(segment, streams) for segment in segments]
    return [SessionCost(session, context.zero_s, figures, streams)]
