"""Ask clients to train, wherever they are.

An engine asks for the updates of one round and adds them up in the order in which they come. In
process they are made one after another; a fleet asks devices. What a client does with a request is
the same function in both, so both come to the same weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from harness.core.errors import DataError, DivergedError
from harness.federated.observer import Observer
from harness.federated.random_streams import random_stream

if TYPE_CHECKING:
    from torch import Tensor

    from harness.federated.job import Checkpoint
    from harness.federated.task import JobWork


@dataclass(frozen=True)
class RoundRequest:
    """Say what the clients of one round are to do.

    Attributes:
        job: name of the job, which labels the work.
        units: what is trained.
        round_index: counts as the job does.
        clients: who trains, in order.
        seed: the cell's.
        settings: how clients train; the workload knows its form.
        reported: values of the round that belong to no unit, such as its learning rate.
    """

    job: str
    units: Sequence[str]
    round_index: int
    clients: Sequence[int]
    seed: int
    settings: Any
    reported: Mapping[str, float] = field(default_factory=dict)

    def where(self, client: int) -> str:
        """Return client, round and job in words."""
        return f"client {client} in round {self.round_index + 1} of job {self.job}"

    def order(self, client: int) -> np.random.Generator:
        """Return what decides in which order a client sees its samples."""
        return random_stream(self.seed, "order", self.round_index, client)


@dataclass(frozen=True)
class Update:
    """Hold what one client sends back: its tensors may change once the next update is asked for.

    Attributes:
        client: who trained.
        tensors: what is to be aggregated.
        losses: mean training loss by unit.
        measured: what it measured beside; the workload knows its form.
    """

    client: int
    tensors: Mapping[str, Tensor]
    losses: Mapping[str, float]
    measured: Any = None


class Trainers(Protocol):
    """Let the clients of a round train."""

    def train(self, work: JobWork, weights: Checkpoint, request: RoundRequest) -> Iterator[Update]:
        """Yield the updates in the order of `request.clients`, without those that do not come."""
        ...


class LocalTrainers:
    """Train every client in this process, one after another."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def train(self, work: JobWork, weights: Checkpoint, request: RoundRequest) -> Iterator[Update]:
        """Yield every client's update as soon as it has trained."""
        # made at once: between trainings each would find its code out of the caches
        orders = {client: request.order(client) for client in request.clients}
        for client, order in orders.items():
            with (
                self._observer.phase("train", round_index=request.round_index, client=client),
                naming(request.where(client)),
            ):
                update = work.train(work.sent(weights, client), request, client, order)
            check_finite(update.losses, request.where(client))
            yield update


def check_finite(losses: Mapping[str, float], where: str) -> None:
    """Do nothing if every unit's loss is a finite number.

    Raises:
        DivergedError: naming the unit, and the client and round in `where`.
    """
    for unit, loss in losses.items():
        if not math.isfinite(loss):
            raise DivergedError(
                f"the training loss of task '{unit}' is {loss} at {where}",
                "Lower --learning-rate; if it is always this client, look at its data.",
            )


@contextmanager
def naming(where: str) -> Iterator[None]:
    """Say at what client and round data could not be used."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{where}: {error.message}", error.remedy) from error
