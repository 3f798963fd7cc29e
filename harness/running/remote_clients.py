"""Let the clients of a cell train on other devices, which measure themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from harness.federated.trainers import Trainers
from harness.federated.work import Work
from harness.measurement.cost import Cost, SegmentCost
from harness.running.recorder import CellRecorder


@dataclass(frozen=True)
class RemoteResult:
    """Hold what devices took for one cell.

    `cost` is of all devices together; `figures` are its charged stretches in the run's own time;
    `rows` and `trace` are rows of devices.csv and of the cell's trace; `columns` replace columns of
    cells.csv.
    """

    cost: Cost
    figures: Sequence[SegmentCost] = ()
    rows: Sequence[Mapping[str, object]] = ()
    trace: Sequence[Mapping[str, object]] = ()
    columns: Mapping[str, object] = field(default_factory=dict)
    peak_memory_bytes: int | None = None
    flags: Sequence[str] = ()


class RemoteClients(Protocol):
    """Be the devices of a run."""

    def begin(
        self, recorder: CellRecorder, lines: Sequence[Mapping[str, Any]], zero_s: float
    ) -> Trainers:
        """Return what trains the clients of the cell that begins.

        `lines` is the journal of earlier sessions, `zero_s` the moment on this host's monotonic
        clock at which the run's time is 0.
        """
        ...

    def note(self) -> Mapping[str, Any]:
        """Return plain values that the journal is to keep with a round."""
        ...

    def conclude(self) -> RemoteResult:
        """Return what the cell took, once it is over."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Return what the manifest says of the devices."""
        ...


def with_remote(server: Cost, remote: RemoteResult) -> Cost:
    """Return the bill of a cell: the devices' joules, the server's seconds beside theirs.

    What the server draws is no device's energy and is not in it.
    """
    own = remote.cost
    return replace(
        own, time_s=server.time_s + own.time_s, work=sum((server.work, own.work), Work())
    )
