"""Train multi-task models federatedly: choose clients, let them train, average, judge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from harness.federated.engine import RoundsEngine
from harness.federated.job import Checkpoint
from harness.federated.keeping import JobState, Keeper
from harness.federated.observer import Observer
from harness.federated.server import averaging
from harness.federated.task import Aggregator, StateJudgement
from harness.federated.trainers import RoundRequest, Trainers, Update
from harness.workloads.multitask.affinity.matrix import (
    Affinity,
    ClientAffinity,
    RoundAffinity,
    combine_clients,
)
from harness.workloads.multitask.job import Job, Outcome
from harness.workloads.multitask.joiners import joiner
from harness.workloads.multitask.rounds import Draw, job_rate
from harness.workloads.multitask.training.batches import PROCESSOR, Source
from harness.workloads.multitask.training.client import LocalTraining, RoundSettings
from harness.workloads.multitask.training.copy import on_processor, train_copy
from harness.workloads.multitask.training.descent import Descent
from harness.workloads.multitask.training.evaluation import judge
from harness.workloads.multitask.training.joining import Joining
from harness.workloads.multitask.training.steps import carrying
from models.multitask.losses import named
from models.multitask.network import Architecture, MultiTaskNet, build
from models.packed import Packed


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
    joining: Joining | None = None

    def draw(self, clients: int, seed: int) -> Draw:
        """Return how clients of a federation of that size are drawn."""
        return Draw(clients, self.clients_per_round, seed, self.training.protocol)

    def joining_of(self, job: Job) -> Joining | None:
        """Return how models of a job are joined; a client that trains alone joins nothing."""
        return (job.joining or self.joining) if job.travels else None

    def round_settings(self, job: Job, index: int, chosen: Sequence[int] = ()) -> RoundSettings:
        """Return how the chosen clients train in a round of a job."""
        descent = job.descent or self.descent
        training = replace(
            self.training, rule=job.local, affinity=job.affinity, nesterov=descent.nesterov,
            joining=self.joining_of(job),
        )  # fmt: skip
        rate = job_rate(self.learning_rate, job, index, self.descent)
        measuring = index < job.first_round + job.measured_rounds
        return RoundSettings(training, rate, measuring, job.checking(index, chosen))


@dataclass(frozen=True)
class MultitaskFederation:
    """Open the jobs of multi-task models; implements `harness.federated.task.FederatedTask`."""

    source: Source
    architecture: Architecture
    federation: Federation
    launches: Counter[str] = field(default_factory=Counter)
    """Steps by how they were launched, of all jobs."""

    def open(self, job: Job, seed: int, observer: Observer) -> MultitaskWork:
        """Build the job's network, with the weights of the seed, or those it starts from."""
        loss = named(self.federation.loss, masked=self.source.masked)
        net = build(self.architecture, job.tasks, seed, loss).to(self.federation.device)
        carrying(net, job.local).execute_as(self.federation.training.execution)
        net.launches = self.launches
        return MultitaskWork(job, net, self.source, self.federation, seed, observer)


class MultitaskWork:
    """Carry out one job; implements `harness.federated.task.JobWork`."""

    def __init__(
        self,
        job: Job,
        net: MultiTaskNet,
        source: Source,
        federation: Federation,
        seed: int,
        observer: Observer,
    ) -> None:
        self._job = job
        self._net = net
        self._source = source
        self._federation = federation
        self._seed = seed
        self._observer = observer
        parameters = [name for name, _ in net.named_parameters()]
        able = source.count("train") if job.clients is None else len(job.clients)
        self._joiner = joiner(federation.joining_of(job), parameters, able)

    def begin(self) -> Checkpoint:
        """Return the weights before the first round."""
        start = self._start()
        brought = {} if start is None else dict(start.tensors)
        if brought:
            self._net.load_state_dict({**self._net.state_dict(), **self._joiner.model(brought)})
        model = on_processor(self._net).each(Tensor.clone)
        state = self._joiner.begin(model)
        own = self._joiner.model(brought)
        beside = {name: tensor for name, tensor in brought.items() if name not in own}
        return Checkpoint({**state, **beside} if beside else state)

    def _start(self) -> Checkpoint | None:
        """Return what the job starts from, once the server has made it."""
        start = self._job.start
        if not callable(start):
            return start
        with self._observer.phase("aggregate", round_index=max(self._job.first_round - 1, 0)):
            made = start()
            self._observer.work(averaging(made.bytes))
        return made

    def request(self, round_index: int, weights: Checkpoint) -> RoundRequest:  # noqa: ARG002
        """Return the clients of a round, and how they train."""
        job = self._job
        draw = self._federation.draw(self._source.count("train"), self._seed)
        chosen = draw.chosen(job, round_index)
        settings = self._federation.round_settings(job, round_index, chosen)
        return RoundRequest(
            job.name, job.units, round_index, chosen, self._seed, settings,
            {"learning_rate": settings.learning_rate},
        )  # fmt: skip

    def weight(self, client: int) -> int:
        """Return the number of a client's training images."""
        return self._source.length("train", client)

    def train(
        self, weights: Checkpoint, request: RoundRequest, client: int, order: np.random.Generator
    ) -> Update:
        """Train one client's copy of the global model."""
        return train_copy(self._net, weights, self._source, request, client, order, self._observer)

    def sent(self, weights: Checkpoint, client: int) -> Checkpoint:
        """Return the global model, and what else a client needs of the state."""
        return Checkpoint(self._joiner.sent(weights.tensors, client))

    def expected(self, client: int) -> Mapping[str, Tensor]:
        """Return tensors like those of a client's update."""
        return self._joiner.told(on_processor(self._net), client)

    def download(self, weights: Checkpoint, client: int) -> int:
        """Return the bytes of what is sent, none for a client that trains alone."""
        return self.sent(weights, client).bytes if self._job.travels else 0

    def upload(self, update: Update) -> int:
        """Return the bytes of what comes back, none from a client that trains alone."""
        return Checkpoint(update.tensors).bytes if self._job.travels else 0

    def aggregator(self, expected_weight: float, weights: Checkpoint) -> Aggregator:
        """Return what joins the clients' models."""
        return self._joiner.aggregator(expected_weight, weights.tensors)

    def measured(
        self, round_index: int, found: Sequence[ClientAffinity]
    ) -> tuple[RoundAffinity, ...]:
        """Return the affinity of a round."""
        return (combine_clients(round_index, found),) if found else ()

    def is_judged_after(self, rounds_done: int) -> bool:
        """Say whether the model is tested after so many rounds."""
        return rounds_done % self._federation.evaluate_every == 0

    def judge(self, weights: Checkpoint, *, final: bool) -> StateJudgement:
        """Test the global model, and at the end of the job judge it by all else."""
        if self._job.passing:
            return StateJudgement({})
        self._net.take(self._joiner.model(weights.tensors))
        return judge(self._net, self._source, self._observer, final=final).told()

    def outcome(self, state: JobState) -> Outcome:
        """Return what came of the job, its model in the order that the network has.

        What came from a file or a device has another, and sums over tensors follow the order.
        """
        affinity = Affinity(self._job.tasks, state.measured) if state.measured else None
        model, judged = self._joiner.model(state.weights.tensors), state.judged
        memory = {name: t for name, t in state.weights.tensors.items() if name not in model}
        if not isinstance(model, Packed):
            model = {name: model[name] for name in self._net.held()}
        return Outcome(
            self._job, Checkpoint(model), judged.get("test_loss", {}), affinity,
            judged.get("test_unseen_loss", {}), judged.get("validation_loss", {}), state.traffic,
            memory,
        )  # fmt: skip


class LocalEngine(RoundsEngine):
    """Turn jobs of multi-task models into outcomes, here or with other trainers."""

    def __init__(
        self,
        source: Source,
        architecture: Architecture,
        federation: Federation,
        seed: int,
        observer: Observer,
        keeper: Keeper | None = None,
        trainers: Trainers | None = None,
    ) -> None:
        task = MultitaskFederation(source, architecture, federation)
        super().__init__(task, seed, observer, keeper, trainers)
        self.launches = task.launches
