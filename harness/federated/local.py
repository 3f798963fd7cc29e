"""Run federated jobs: choose clients, let them train, average, evaluate.

Clients train in this process unless other trainers are given, as for a fleet.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from harness.federated.job import Checkpoint, Job, Outcome
from harness.federated.keeping import ForgetfulKeeper, JobState, Keeper
from harness.federated.observer import Observer
from harness.federated.rounds import Draw, job_rate
from harness.federated.server import FederatedAverage
from harness.federated.trainers import (
    LocalTrainers,
    RoundRequest,
    Trainers,
    naming,
    on_processor,
)
from harness.federated.work import averaging
from harness.workloads.multitask.affinity.matrix import Affinity, ClientAffinity, combine_clients
from harness.workloads.multitask.training.batches import PROCESSOR, Source
from harness.workloads.multitask.training.client import LocalTraining
from harness.workloads.multitask.training.descent import Descent
from harness.workloads.multitask.training.evaluation import Judgement, judge
from models.multitask.losses import named
from models.multitask.network import Architecture, MultiTaskNet, build


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
        trainers: Trainers | None = None,
    ) -> None:
        self._source = source
        self._architecture = architecture
        self._federation = federation
        self._seed = seed
        self._observer = observer
        self._keeper = keeper or ForgetfulKeeper()
        self._device = federation.device
        self._trainers = trainers or LocalTrainers(source, observer)

    def run(self, job: Job) -> Outcome:
        """Train one model on the job's tasks for its rounds, or for those that are left."""
        loss = named(self._federation.loss, masked=self._source.masked)
        net = build(self._architecture, job.tasks, self._seed, loss).to(self._device)
        net.execute_as(self._federation.training.execution)
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
        request = self._request(job, index)
        sizes = {c: self._source.length("train", c) for c in request.clients}
        expected = sum(sizes[client] for client in request.clients)
        average = FederatedAverage(float(expected))
        affinities: list[ClientAffinity] = []
        losses = dict.fromkeys(job.tasks, 0.0)
        trained = 0
        # 2. each trains its copy of the global model on its own images
        for update in self._trainers.train(net, weights, request):
            size = sizes[update.client]
            # 3. the server adds it to the weighted average
            with observer.phase("aggregate", round_index=index):
                average.add(update.tensors, size)
                observer.work(averaging(net.held().layout.bytes))
            for task, loss in update.result.losses.items():
                losses[task] += loss * size / expected
            if update.result.affinity is not None:
                affinities.append(update.result.affinity)
            trained += size
        with observer.phase("aggregate", round_index=index):
            merged = average.result() if trained else weights
        observer.metric(index + 1, "train", "learning_rate", "", request.learning_rate)
        for task, loss in losses.items() if trained else ():
            found = loss if trained == expected else loss * expected / trained
            observer.metric(index + 1, "train", "train_loss", task, found)
        return merged, affinities

    def _request(self, job: Job, index: int) -> RoundRequest:
        descent = job.descent or self._federation.descent
        training = replace(
            self._federation.training,
            rule=job.local,
            affinity=job.affinity,
            nesterov=descent.nesterov,
        )
        return RoundRequest(
            job.name,
            job.tasks,
            index,
            self._chosen(job, index),
            training,
            self._rate(job, index),
            index < job.first_round + job.measured_rounds,
            self._seed,
        )

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
        net.take(weights.tensors)
        where = f"test after round {done}"
        with self._observer.phase("evaluate", round_index=done - 1), naming(where):
            judged = judge(net, self._source, self._observer, final=final)
        judged.report(self._observer, done)
        return judged


def _copy(net: MultiTaskNet) -> Checkpoint:
    return Checkpoint(on_processor(net).each(Tensor.clone))
