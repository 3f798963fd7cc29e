"""Run federated jobs on this host, playing every client in turn."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from harness.errors import DataError, DivergedError
from harness.federated.affinity import Affinity, ClientAffinity, combine_clients
from harness.federated.batches import PROCESSOR, ClientBatches, Source
from harness.federated.client import LocalTraining, train_client
from harness.federated.descent import Descent
from harness.federated.evaluation import Judgement, judge
from harness.federated.job import Checkpoint, Job, Outcome
from harness.federated.keeping import ForgetfulKeeper, JobState, Keeper
from harness.federated.observer import Observer
from harness.federated.random_streams import random_stream
from harness.federated.rounds import Draw, job_rate
from harness.federated.server import FederatedAverage
from harness.federated.work import averaging
from models.losses import named
from models.network import Architecture, MultiTaskNet, build

MOST_OPEN = 32
"""Clients whose files stay open: opening them takes as long as reading a batch or two."""


@dataclass(frozen=True)
class Federation:
    """Fix what all jobs of a comparison share."""

    clients_per_round: int
    learning_rate: float
    evaluate_every: int
    training: LocalTraining
    loss: str = "auto"
    device: torch.device = PROCESSOR
    descent: Descent = field(default_factory=Descent)


class LocalEngine:
    """Turn jobs into outcomes in this process.

    The same seed gives the same weights bit for bit on the same host, whatever ran before.
    """

    def __init__(
        self,
        source: Source,
        architecture: Architecture,
        federation: Federation,
        seed: int,
        observer: Observer,
        keeper: Keeper | None = None,
    ) -> None:
        self._source = source
        self._architecture = architecture
        self._federation = federation
        self._seed = seed
        self._observer = observer
        self._keeper = keeper or ForgetfulKeeper()
        self._device = federation.device
        self._slots: dict[str, Tensor] = {}
        self._open: dict[tuple[int, str], ClientBatches] = {}

    def run(self, job: Job) -> Outcome:
        """Train one model on the job's tasks for its rounds, or for those that are left."""
        loss = named(self._federation.loss, masked=self._source.masked)
        net = build(self._architecture, job.tasks, self._seed, loss).to(self._device)
        net.execute_as(self._federation.training.execution)
        self._slots = net.state_dict()
        state = self._keeper.recall(job)
        if state is None:
            if job.start is not None:
                net.load_state_dict({**net.state_dict(), **job.start.tensors})
            state = JobState(job.first_round, _copy(net))
        self._observer.job_started(job)
        while state.rounds_done < job.last_round:
            state = self._after_a_round(net, state, job)
            self._observer.round_done(state.rounds_done)
            self._keeper.keep(job, state)
        affinity = Affinity(job.tasks, state.measured) if state.measured else None
        return Outcome(
            job, state.weights, state.losses, affinity, state.unseen_losses,
            state.validation_losses,
        )  # fmt: skip

    def _after_a_round(self, net: MultiTaskNet, before: JobState, job: Job) -> JobState:
        index = before.rounds_done
        weights, affinities = self._round(net, before.weights, job, index)
        state = replace(before, rounds_done=index + 1, weights=weights)
        if affinities:
            measured = (*before.measured, combine_clients(index, affinities))
            state = replace(state, measured=measured)
        final = state.rounds_done == job.last_round
        if not final and state.rounds_done % self._federation.evaluate_every:
            return state
        judged = self._evaluate(net, weights, state.rounds_done, final=final)
        return replace(
            state, losses=judged.losses, unseen_losses=judged.unseen_losses,
            validation_losses=judged.validation_losses,
        )  # fmt: skip

    def _round(
        self, net: MultiTaskNet, weights: Checkpoint, job: Job, index: int
    ) -> tuple[Checkpoint, list[ClientAffinity]]:
        # 1. choose K of N clients and the round's learning rate
        observer = self._observer
        descent = job.descent or self._federation.descent
        training = replace(
            self._federation.training,
            rule=job.local,
            affinity=job.affinity,
            nesterov=descent.nesterov,
        )
        chosen = self._chosen(job, index)
        rate = self._rate(job, index)
        sizes = [self._source.length("train", client) for client in chosen]
        average = FederatedAverage(float(sum(sizes)))
        affinities: list[ClientAffinity] = []
        measuring = index < job.first_round + job.measured_rounds
        losses = dict.fromkeys(job.tasks, 0.0)
        for client, size in zip(chosen, sizes, strict=True):
            where = f"client {client} in round {index + 1} of job {job.name}"
            # 2. each trains its copy of the global model on its own images
            with observer.phase("train", round_index=index, client=client), _naming(where):
                self._load(weights)
                result = train_client(
                    net,
                    self._batches(client, job.tasks),
                    training,
                    rate,
                    random_stream(self._seed, "order", index, client),
                    observer,
                    client if measuring else None,
                )
            check_finite(result.losses, where)
            # 3. the server adds it to the weighted average
            with observer.phase("aggregate", round_index=index):
                average.add(_on_processor(net), size)
                observer.work(averaging(weights.bytes))
            for task, loss in result.losses.items():
                losses[task] += loss * size / sum(sizes)
            if result.affinity is not None:
                affinities.append(result.affinity)
        with observer.phase("aggregate", round_index=index):
            merged = average.result(weights.tensors)
        observer.metric(index + 1, "train", "learning_rate", "", rate)
        for task, loss in losses.items():
            observer.metric(index + 1, "train", "train_loss", task, loss)
        return merged, affinities

    def _load(self, weights: Checkpoint) -> None:
        """Give the network of the job other weights, without the checks of `load_state_dict`."""
        with torch.no_grad():
            torch._foreach_copy_(
                list(self._slots.values()), [weights.tensors[name] for name in self._slots]
            )

    def _batches(self, client: int, tasks: str) -> ClientBatches:
        """Return a client's training images; those of the last few clients stay open."""
        key = (client, tasks)
        if key not in self._open:
            if len(self._open) >= MOST_OPEN:
                del self._open[next(iter(self._open))]
            self._open[key] = ClientBatches(self._source, "train", client, tasks, self._device)
        return self._open[key]

    def _chosen(self, job: Job, index: int) -> list[int]:
        federation = self._federation
        everyone, protocol = self._source.count("train"), federation.training.protocol
        return Draw(everyone, federation.clients_per_round, self._seed, protocol).chosen(job, index)

    def _rate(self, job: Job, index: int) -> float:
        federation = self._federation
        return job_rate(federation.learning_rate, job, index, federation.descent)

    def _evaluate(
        self, net: MultiTaskNet, weights: Checkpoint, done: int, *, final: bool
    ) -> Judgement:
        """Return the losses on test images and, at the end of the job, all else it is judged by."""
        self._load(weights)
        where = f"test after round {done}"
        with self._observer.phase("evaluate", round_index=done - 1), _naming(where):
            judged = judge(net, self._source, self._observer, final=final)
        judged.report(self._observer, done)
        return judged


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
def _naming(where: str) -> Iterator[None]:
    """Say at what client and round data could not be used."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{where}: {error.message}", error.remedy) from error


def _copy(net: MultiTaskNet) -> Checkpoint:
    return Checkpoint({name: tensor.clone() for name, tensor in _on_processor(net).items()})


def _on_processor(net: MultiTaskNet) -> dict[str, Tensor]:
    """Return the weights where the server averages and keeps them."""
    tensors: dict[str, Tensor] = net.state_dict()
    return {name: tensor.cpu() for name, tensor in tensors.items()}
