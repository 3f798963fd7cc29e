"""Run one cell of the matrix: method × seed × repeat."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from devices.card_watch import watch_card
from devices.host_use import HostUse, UseWatch
from harness.board_python.trainers import Board
from harness.core.errors import (
    DamagedRunError,
    GpuLostError,
    HarnessError,
    MemoryExceededError,
    StorageError,
)
from harness.federated.job import FederatedJob
from harness.federated.keeping import JobState
from harness.measurement.conditions import RESUMED, Conditions
from harness.measurement.cost import Accountant
from harness.measurement.gpu_faults import gpu_errors
from harness.measurement.measuring import MeasuringSession
from harness.measurement.memory import PeakMemory, memory_errors
from harness.measurement.recorder import CellRecorder
from harness.records.cells import Cell, CellResult, RemoteResult
from harness.records.conditions import ConditionSample
from harness.records.cost import Cost, SessionCost, cell_cost, total_cost
from harness.records.values import Progress
from harness.run_folder.cell_keeper import CellKeeper
from harness.run_folder.checkpoints import CellCheckpoints
from harness.run_folder.recovery import CellPast
from harness.running.allocator import give_back
from harness.running.gpu_memory import PeakGpuMemory, gpu_allocator, gpu_memory_full
from harness.running.limits import STOPPED_BY_USER, BudgetReachedError
from harness.running.remote_clients import RemoteClients, with_remote
from harness.running.target import Target
from harness.workloads.base import Library, Study


@dataclass(frozen=True)
class RunContext:
    """Hold what all cells of a run share: what to train, on what, and how it is measured."""

    study: Study
    target: Target
    session: MeasuringSession
    zero_s: float
    devices: RemoteClients | None = None
    board: Board | None = None

    @property
    def accountant(self) -> Accountant:
        """Return what costs stretches of time; a run always has it."""
        assert self.session.accountant is not None
        return self.session.accountant


@dataclass(frozen=True)
class CellRecord:
    """Hold how a cell is kept while it runs: where, what is left from before, who is told.

    `after_round` is called when a round is handed to the checkpoints; an error it raises stops the
    cell; `on_look` before that, with what has disturbed the device lately. What they still write
    then must be waited for (`CellCheckpoints.settle`). The `library` lends jobs that other cells
    have trained; None if each cell trains its own.
    """

    checkpoints: CellCheckpoints
    past: CellPast
    session: int
    on_round: Callable[[Progress], None]
    after_round: Callable[[], None]
    on_look: Callable[[Sequence[str]], None] = lambda _: None
    library: Library | None = None


def run_cell(context: RunContext, cell: Cell, record: CellRecord) -> CellResult:
    """Train one cell, or what is left of it.

    A failure of the cell becomes its status, so that others can go on. A run whose files cannot be
    written, or are damaged, cannot go on; nor can one whose GPU has failed or has no memory left,
    whose result says so.
    """
    return _RunningCell(context, cell, record).result()


class _RunningCell:
    """Hold one cell while it is trained and watched."""

    def __init__(self, context: RunContext, cell: Cell, record: CellRecord) -> None:
        self._context = context
        self._cell = cell
        self._record = record
        self._recorder = CellRecorder(cell.name, context.session.log, record.on_round)
        self._memory = PeakMemory()
        give_back()  # else the peak would be that of the cell before
        self._memory.reset()
        self._gpu = gpu_allocator(context.target.accelerator)
        self._gpu_memory = PeakGpuMemory(self._gpu)
        self._gpu_memory.reset()
        own = [*context.session.processes, *([context.board.pid] if context.board else [])]
        trains = context.target.accelerator
        self._conditions = Conditions(own, zero_s=context.zero_s, cards=watch_card(trains))
        self._samples: list[ConditionSample] = [*record.past.looks, self._conditions.first]
        self._keeper = CellKeeper(
            record.checkpoints, record.past.saved, self._recorder, context.session.log,
            context.study.codec, note=self._note, library=record.library,
        )  # fmt: skip
        self._use = UseWatch(gpu=trains.uuid)
        self._trained: list[Any] = []
        self._stops: HarnessError | None = None
        self._served: Any = ()

    def result(self) -> CellResult:
        """Train, and return what came of it."""
        status, reason = self._train()
        devices = self._context.devices
        remote = devices.conclude() if devices and status == "done" else None
        use = self._use.at_end()
        measured = self._measured()
        self._samples.append(self._conditions.at_end())
        cost = self._cost(measured)
        return CellResult(
            self._cell, self._recorder.values, measured,
            cost if remote is None else with_remote(cost, remote),
            self._served, self._trained, self._peak(remote), status, reason,
            self._flags(remote), self._samples, remote,
            use if remote is None and len(measured) == 1 else HostUse(),
            self._gpu_peak(remote), self._stops,
        )  # fmt: skip

    def _train(self) -> tuple[str, str]:
        """Return status and reason."""
        try:
            with memory_errors(), gpu_errors():
                self._served = self._carry_out()
        except (StorageError, DamagedRunError):
            raise
        except (MemoryExceededError, GpuLostError) as error:
            return self._without_means(error)
        except HarnessError as error:
            return "failed", f"{error.message} [{error.code}]"
        except BudgetReachedError as error:
            return "interrupted", str(error)
        except KeyboardInterrupt:
            return "interrupted", STOPPED_BY_USER
        return "done", ""

    def _without_means(self, error: MemoryExceededError | GpuLostError) -> tuple[str, str]:
        """Return status and reason where memory was lacking or a GPU failed.

        If that is of the GPU that trains here, no other cell can be trained.
        """
        if self._context.devices is None:
            if isinstance(error, GpuLostError):
                self._stops = error
            elif self._gpu is not None:
                self._stops = gpu_memory_full(
                    self._context.target.accelerator, self._gpu,
                    self._context.study.config.as_dict(), self._cell.name,
                )  # fmt: skip
        status = "failed" if self._stops is None else "interrupted"
        return status, f"{(self._stops or error).message} [{error.code}]"

    def _carry_out(self) -> Any:  # noqa: ANN401 - the workload knows its form
        context, seed = self._context, self._cell.seed
        lines = self._record.past.saved.lines if self._record.past.saved else []
        devices = context.devices
        trainers = devices.begin(self._recorder, lines, context.zero_s) if devices else None
        if context.board is not None:
            trainers = context.board.trainers(self._recorder)
        self._engine = context.study.engine(seed, self._recorder, self, trainers)
        return context.study.carry_out(self._cell.spec, seed, self)

    def run(self, job: Any) -> Any:  # noqa: ANN401 - method and workload agree on it
        """Carry out one job of the method and keep its outcome."""
        outcome = self._engine.run(job)
        self._trained.append(outcome)
        return outcome

    def recall(self, job: FederatedJob) -> JobState | None:
        """Return what is kept of the next job."""
        return self._keeper.recall(job)

    def announce(self, job: FederatedJob) -> int:
        """Write durably that a job is about to be carried out."""
        return self._keeper.announce(job)

    def keep(self, job: FederatedJob, state: JobState) -> None:
        """Keep the state of a job after a round, then ask whether to stop."""
        self._keeper.keep(job, state)
        self._record.after_round()

    def _note(self) -> Mapping[str, Any]:
        """Return what the journal keeps with a round."""
        self._samples.append(self._conditions.so_far())
        self._record.on_look(self._conditions.lately)
        devices = self._context.devices
        return {
            "session": self._record.session,
            **asdict(self._samples[-1]),
            "peak_memory_bytes": self._memory.read_bytes(),
            **(
                {}
                if (gpu := self._gpu_memory.read_bytes()) is None
                else {"peak_gpu_memory_bytes": gpu}
            ),
            **(devices.note() if devices else {}),
        }

    def _measured(self) -> list[SessionCost]:
        """Return what every session measured, this one last; nothing of it if stopped at once."""
        context, taken = self._context, self._keeper.taken
        found = [*self._record.past.session_costs, *(c for s in taken for c in s.session_costs)]
        segments = context.session.log.segments[self._recorder.first_segment :]
        if segments:
            figures = context.session.costs(segments)
            streams = context.session.streams(segments[-1].end_s)
            found.append(SessionCost(self._record.session, context.zero_s, figures, streams))
        return found

    def _cost(self, measured: list[SessionCost]) -> Cost:
        costs = [part.cost(self._context.session.reason) for part in measured]
        return total_cost(costs) if costs else cell_cost((), None, "")

    def _peak(self, remote: RemoteResult | None) -> int | None:
        if remote is not None:
            return remote.peak_memory_bytes
        own, board = self._memory.read_bytes(), self._context.board
        if own is not None and board is not None:
            own += board.peak_memory_bytes
        taken = [shared.peak_memory_bytes for shared in self._keeper.taken]
        return _largest(own, self._record.past.peak_memory_bytes, *taken)

    def _gpu_peak(self, remote: RemoteResult | None) -> int | None:
        if remote is not None:
            return remote.peak_gpu_memory_bytes
        taken = [shared.peak_gpu_memory_bytes for shared in self._keeper.taken]
        past = self._record.past.peak_gpu_memory_bytes
        return _largest(self._gpu_memory.read_bytes(), past, *taken)

    def _flags(self, remote: RemoteResult | None) -> tuple[str, ...]:
        past = self._record.past
        flags = [RESUMED] if past.interruptions else []
        flags += [*past.flags, *(flag for shared in self._keeper.taken for flag in shared.flags)]
        flags += self._samples[-1].flags
        flags += remote.flags if remote else ()
        return tuple(dict.fromkeys(flags))


def _largest(*peaks: int | None) -> int | None:
    """Return the largest of what is known."""
    return max((peak for peak in peaks if peak is not None), default=None)
