"""Name the cells of a run, and hold what came of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from devices.host_use import HostUse
from harness.records.conditions import ConditionSample
from harness.records.cost import Cost, SegmentCost, SessionCost
from harness.records.values import Value

if TYPE_CHECKING:
    from harness.core.errors import HarnessError
    from harness.federated.keeping import JobState
    from harness.workloads.base import MethodSpec


@dataclass(frozen=True)
class Cell:
    """Name one cell: method × seed × repeat."""

    spec: MethodSpec
    seed: int
    repeat: int

    @property
    def name(self) -> str:
        """Return a name that may stand in file names."""
        return f"{self.spec.slug}-s{self.seed}-r{self.repeat}"


@dataclass(frozen=True)
class RemoteResult:
    """Hold what devices took for one cell.

    Attributes:
        cost: of all devices together.
        figures: its charged stretches in the run's own time.
        rows: rows of devices.csv.
        trace: rows of the cell's trace.
        columns: columns of cells.csv that it replaces.
        peak_memory_bytes: the largest of any device; None if unknown.
        flags: what disturbed the devices.
        peak_gpu_memory_bytes: the largest of any device; None if none trains on a GPU.
    """

    cost: Cost
    figures: Sequence[SegmentCost] = ()
    rows: Sequence[Mapping[str, object]] = ()
    trace: Sequence[Mapping[str, object]] = ()
    columns: Mapping[str, object] = field(default_factory=dict)
    peak_memory_bytes: int | None = None
    flags: Sequence[str] = ()
    peak_gpu_memory_bytes: int | None = None


@dataclass(frozen=True)
class SharedJob:
    """Hold what another cell's job gives: its state, and what was measured and reported till then.

    The job may end before the one that was asked for; that one then goes on from there. `flags` and
    peaks of memory are those of the cell that trained it.
    """

    state: JobState
    session_costs: Sequence[SessionCost]
    values: Sequence[Value]
    flags: Sequence[str] = ()
    peak_memory_bytes: int | None = None
    peak_gpu_memory_bytes: int | None = None


@dataclass(frozen=True)
class FinishedCell:
    """Hold what a finished cell can share: its jobs' outcomes, and what was measured of them."""

    trained: Sequence[Any]
    session_costs: Sequence[SessionCost]
    values: Sequence[Value]
    flags: Sequence[str] = ()
    peak_memory_bytes: int | None = None
    peak_gpu_memory_bytes: int | None = None


@dataclass(frozen=True)
class CellResult:
    """Hold what came of a cell.

    Attributes:
        cell: which.
        values: what the engine reported.
        session_costs: what each session of the run measured of it.
        cost: of all sessions together.
        served: what the method returned; the workload knows its form.
        trained: outcomes of all jobs, in their order.
        peak_memory_bytes: of the training process or the devices; None if unknown.
        status: done, failed or interrupted.
        reason: why it is not done.
        flags: what made its conditions different.
        conditions: what looks at the board showed.
        remote: what devices took, if clients trained there.
        use: how busy the host was; not known of a cell that was gone on with.
        peak_gpu_memory_bytes: of the training process or the devices; None if no GPU trained.
        stops: why no other cell may follow; None if they may.
    """

    cell: Cell
    values: Sequence[Value]
    session_costs: Sequence[SessionCost]
    cost: Cost
    served: Any
    trained: Sequence[Any]
    peak_memory_bytes: int | None
    status: str
    reason: str
    flags: Sequence[str] = ()
    conditions: Sequence[ConditionSample] = ()
    remote: RemoteResult | None = None
    use: HostUse = field(default_factory=HostUse)
    peak_gpu_memory_bytes: int | None = None
    stops: HarnessError | None = None

    @property
    def segment_costs(self) -> list[SegmentCost]:
        """Return the cost of every stretch, of this host and of devices."""
        own = [figure for part in self.session_costs for figure in part.figures]
        return [*own, *(self.remote.figures if self.remote else ())]

    def to_share(self) -> FinishedCell:
        """Return what other cells may take from a cell that is done."""
        return FinishedCell(
            self.trained, self.session_costs, self.values, self.flags, self.peak_memory_bytes,
            self.peak_gpu_memory_bytes,
        )  # fmt: skip


@dataclass(frozen=True)
class CellReport:
    """Hold what a workload says of a cell.

    Attributes:
        objective: value of the workload's objective; None if the cell is not done.
        columns: columns of cells.csv that are the workload's to fill.
        values: rows of metrics.csv beside what the engine reported, with the unit of each metric.
        units: unit by name of a metric.
        before: values that stand before what the engine reported.
        texts: files to write, by path below the run folder.
        binaries: the same for bytes.
        standing: what the cell is compared by, as plain JSON values.
        summary: in a few words, for the screen.
        notes: what the manifest says of the cell, as plain JSON values.
    """

    objective: float | None = None
    columns: Mapping[str, object] = field(default_factory=dict)
    values: Sequence[Value] = ()
    before: Sequence[Value] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    binaries: Mapping[str, bytes] = field(default_factory=dict)
    standing: Mapping[str, Any] = field(default_factory=dict)
    summary: str = ""
    notes: Mapping[str, Any] = field(default_factory=dict)
