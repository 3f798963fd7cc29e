"""Let the clients of a cell train on other devices, which measure themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from harness.federated.trainers import Trainers
from harness.federated.work import Work
from harness.measurement.cost import Bill, Figures
from harness.running.recorder import CellRecorder


@dataclass(frozen=True)
class Elsewhere:
    """Hold what devices took for one cell.

    `bill` is of all devices together; `figures` are its charged stretches in the run's own time;
    `rows` and `trace` are rows of devices.csv and of the cell's trace; `columns` replace columns of
    cells.csv.
    """

    bill: Bill
    figures: Sequence[Figures] = ()
    rows: Sequence[Mapping[str, object]] = ()
    trace: Sequence[Mapping[str, object]] = ()
    columns: Mapping[str, object] = field(default_factory=dict)
    peak_memory_bytes: int | None = None
    flags: Sequence[str] = ()


class Devices(Protocol):
    """Be the devices of a run."""

    def begin(
        self, recorder: CellRecorder, lines: Sequence[Mapping[str, Any]], zero_s: float
    ) -> Trainers:
        """Return what trains the clients of the cell that begins.

        `lines` is the journal of earlier sittings, `zero_s` the moment on this host's monotonic
        clock at which the run's time is 0.
        """
        ...

    def note(self) -> Mapping[str, Any]:
        """Return plain values that the journal is to keep with a round."""
        ...

    def conclude(self) -> Elsewhere:
        """Return what the cell took, once it is over."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Return what the manifest says of the devices."""
        ...


def with_devices(server: Bill, elsewhere: Elsewhere) -> Bill:
    """Return the bill of a cell: the devices' joules, the server's seconds beside theirs.

    What the server draws is no device's energy and is not in it.
    """
    own = elsewhere.bill
    return replace(
        own, time_s=server.time_s + own.time_s, work=sum((server.work, own.work), Work())
    )
