"""Ask clients to train, wherever they are.

An engine asks for the updates of one round and adds them up in the order in which they come. In
process they are made one after another; a fleet asks devices. What a client does with a request is
the same function in both, so both come to the same weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from harness.core.errors import DataError, DivergedError
from harness.federated.job import Checkpoint
from harness.federated.observer import Observer
from harness.federated.random_streams import random_stream
from harness.workloads.multitask.training.batches import ClientBatches, Source
from harness.workloads.multitask.training.client import ClientResult, LocalTraining, train_client
from models.multitask.network import MultiTaskNet
from models.packed import Packed


@dataclass(frozen=True)
class RoundRequest:
    """Say what the clients of one round are to do; `job` is its name, which labels the work.

    `round_index` counts as the job does.
    """

    job: str
    tasks: str
    round_index: int
    clients: Sequence[int]
    training: LocalTraining
    learning_rate: float
    measuring: bool
    seed: int

    def where(self, client: int) -> str:
        """Return client, round and job in words."""
        return f"client {client} in round {self.round_index + 1} of job {self.job}"

    def order(self, client: int) -> np.random.Generator:
        """Return what decides in which order a client sees its images."""
        return random_stream(self.seed, "order", self.round_index, client)


@dataclass(frozen=True)
class Update:
    """Hold what one client sends back: its tensors may change once the next update is asked for."""

    client: int
    tensors: Mapping[str, Tensor]
    result: ClientResult


class Trainers(Protocol):
    """Let the clients of a round train."""

    def train(
        self, net: MultiTaskNet, weights: Checkpoint, request: RoundRequest
    ) -> Iterator[Update]:
        """Yield the updates in the order of `request.clients`, without those that do not come.

        `net` is a network of the job's kind that may be used to train in.
        """
        ...


class LocalTrainers:
    """Train every client in this process, one after another."""

    def __init__(self, source: Source, observer: Observer) -> None:
        self._source = source
        self._observer = observer

    def train(
        self, net: MultiTaskNet, weights: Checkpoint, request: RoundRequest
    ) -> Iterator[Update]:
        """Yield every client's update as soon as it has trained."""
        # made at once: between trainings each would find its code out of the caches
        orders = {client: request.order(client) for client in request.clients}
        for client, order in orders.items():
            with self._observer.phase("train", round_index=request.round_index, client=client):
                result = train_copy(
                    net, weights, self._source, request, client, order, self._observer
                )
            check_finite(result.losses, request.where(client))
            yield Update(client, on_processor(net), result)


def train_copy(
    net: MultiTaskNet,
    weights: Checkpoint,
    source: Source,
    request: RoundRequest,
    client: int,
    order: np.random.Generator,
    observer: Observer,
) -> ClientResult:
    """Train one client's copy of the global model in `net`, in place.

    Raises:
        DataError: if its data cannot be used.
    """
    with naming(request.where(client)):
        net.take(weights.tensors)
        return train_client(
            net,
            ClientBatches(source, "train", client, request.tasks, net.device),
            request.training,
            request.learning_rate,
            order,
            observer,
            client if request.measuring else None,
        )


def check_finite(losses: Mapping[str, float], where: str) -> None:
    """Do nothing if every task's loss is a finite number.

    Raises:
        DivergedError: naming the task, and the client and round in `where`.
    """
    for task, loss in losses.items():
        if not math.isfinite(loss):
            raise DivergedError(
                f"the training loss of task '{task}' is {loss} at {where}",
                "Lower --learning-rate; if it is always this client, look at its data.",
            )


@contextmanager
def naming(where: str) -> Iterator[None]:
    """Say at what client and round data could not be used."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{where}: {error.message}", error.remedy) from error


def on_processor(net: MultiTaskNet) -> Packed:
    """Return the weights where the server averages and keeps them."""
    return net.held().each(Tensor.cpu)
