"""Let the clients of a cell train on other devices, which measure themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from harness.federated.trainers import Trainers
from harness.measurement.recorder import CellRecorder
from harness.records.cells import RemoteResult
from harness.records.cost import Cost
from harness.records.work import Work


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
