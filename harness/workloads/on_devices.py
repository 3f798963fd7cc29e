"""Define what a workload brings so that its clients can train on the devices of a fleet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from harness.federated.job import Checkpoint
    from harness.federated.observer import Observer
    from harness.federated.trainers import RoundRequest, Update
    from harness.measurement.cost import WorkModel
    from harness.records.step_checks import StepCheck


class Silence:
    """Say nothing of a plan: devices of a fleet have no screen."""

    def say(self, title: str, text: str) -> None:
        """Say nothing."""

    def making_data(self, done: int, total: int) -> None:
        """Say nothing."""


class WireCodec(Protocol):
    """Turn what travels between a server and its devices into plain values, and back.

    What is read comes from another machine: whatever is not of the right form is refused.
    """

    def settings(self, settings: Any) -> Any:  # noqa: ANN401
        """Return how clients of a round train."""
        ...

    def read_settings(self, plain: Any) -> Any:  # noqa: ANN401
        """Return what `settings` wrote.

        Raises:
            KeyError, TypeError, ValueError: if it is nothing of that kind.
        """
        ...

    def with_batch(self, settings: Any, batch_size: int) -> Any:  # noqa: ANN401
        """Return the settings with another batch size."""
        ...

    def measured(self, found: Any) -> Any:  # noqa: ANN401
        """Return what a client measured beside its training; None if it did not."""
        ...

    def read_measured(self, plain: Any, request: RoundRequest, client: int) -> Any:  # noqa: ANN401
        """Return what `measured` wrote.

        Raises:
            RefusedError: if it does not answer the request.
        """
        ...


class ClientWork(Protocol):
    """Train clients of one request on a device."""

    def received(self, client: int) -> Mapping[str, Tensor]:
        """Return tensors of the names, shapes and types of what a client gets of the state."""
        ...

    def train(
        self, weights: Checkpoint, request: RoundRequest, client: int, order: np.random.Generator
    ) -> Update:
        """Let one client train."""
        ...


class Participant(Protocol):
    """Hold a workload's data on a device of a fleet."""

    @property
    def checksum(self) -> str:
        """Return what tells these data from others."""
        ...

    @property
    def clients(self) -> int:
        """Return how many clients the data have."""
        ...

    def samples(self, client: int) -> int:
        """Return the training samples of a client."""
        ...

    def device_model(self) -> WorkModel | None:
        """Return the seconds of counted work on the device answered for; None if this is it."""
        ...

    def warm_up(self) -> None:
        """Do once what the first round would otherwise pay for."""
        ...

    def work(self, request: RoundRequest, observer: Observer) -> ClientWork:
        """Return what trains clients as a request says."""
        ...


@dataclass(frozen=True)
class OwnWay:
    """Hold how a device trains as far as it settles that itself: plain facts, and words."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    words: Sequence[str] = ()


@runtime_checkable
class FitsMemory(Protocol):
    """Be a participant that tries a run's batch in its device's memory before it trains.

    The batch is the same for all methods and devices; what changes no result a device may settle
    by its own memory.
    """

    def fit(self, clients: Sequence[int], batch_size: int | None = None) -> OwnWay:
        """Try batches of that size, by default the run's, where these clients train.

        Raises:
            MemoryExceededError: if they do not fit, with the batch that would.
            HarnessError: if nothing can be trained here in the way that is asked for.
        """
        ...


@runtime_checkable
class CountsLaunches(Protocol):
    """Be a participant whose steps are launched in more than one way."""

    @property
    def launches(self) -> Mapping[str, int]:
        """Return all steps so far by how they were launched; empty where there is one way."""
        ...

    @property
    def launch_faults(self) -> Sequence[str]:
        """Return why steps were launched one by one that were to be launched together."""
        ...


@runtime_checkable
class ChecksSteps(Protocol):
    """Be a participant whose steps can be executed in more than one way; few workloads' are.

    A device trains in no way that computes something else there than plain fp32: other processors
    and GPUs than the server's have other kernels.
    """

    @property
    def step_checks(self) -> Sequence[StepCheck]:
        """Return what came of comparing ways with plain fp32 on this device so far."""
        ...

    def check_steps(self, clients: Sequence[int], request: RoundRequest | None = None) -> None:
        """Compare the way of a request on data of these clients, once for a way and a network.

        Without a request it is the way that the run is begun with. Plain steps are not compared.

        Raises:
            StepRefusedError: if it computes something else here.
            MemoryExceededError: if it cannot be compared for want of memory.
        """
        ...
