"""Define what a workload brings so that another Python of the board can train its clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.records.step_checks import StepCheck
    from harness.workloads.base import OpenedData


class BoardClients(Protocol):
    """Say what another Python of the board needs to train the clients of a run."""

    @property
    def modules(self) -> Sequence[str]:
        """Return the modules to send, with all they import of their packages.

        The first has `open_clients(facts, device)`, whose result has `serve(header, arrays, told)`.
        """
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """Return plain values that `open_clients` is given."""
        ...

    def arrays(self, client: int) -> Mapping[str, NDArray[Any]]:
        """Return what a client trains on."""
        ...


class ComparesSteps(Protocol):
    """Be another Python of the board that compares ways of executing steps with plain fp32."""

    def compare(self, client: int, units: str, settings: Any) -> StepCheck:  # noqa: ANN401
        """Return what came of it for the network of some units, on data of a client."""
        ...


@runtime_checkable
class TrainsOnBoard(Protocol):
    """Be opened data whose clients another Python of the board can train; few workloads' are."""

    def for_board(self) -> BoardClients:
        """Return what it needs."""
        ...

    def on_board(self, board: ComparesSteps) -> OpenedData:
        """Return these data with steps as that Python may execute them, which is asked.

        Raises:
            StepRefusedError: if the way that was asked for computes something else there.
        """
        ...
