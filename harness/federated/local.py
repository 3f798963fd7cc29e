"""Run federated jobs on this host, playing every client in turn."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from harness.federated.affinity import Affinity, Matrix, RoundAffinity, combine_clients
from harness.federated.batches import ClientBatches, Source
from harness.federated.client import LocalTraining, train_client
from harness.federated.evaluation import test_losses
from harness.federated.job import Checkpoint, Job, Outcome
from harness.federated.observer import Observer
from harness.federated.random_streams import random_stream
from harness.federated.server import FederatedAverage, choose_clients, polynomial_rate
from harness.federated.work import averaging
from models.network import Architecture, MultiTaskNet, build


@dataclass(frozen=True)
class Federation:
    """Fix what all jobs of a comparison share."""

    clients_per_round: int
    learning_rate: float
    evaluate_every: int
    training: LocalTraining


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
    ) -> None:
        self._source = source
        self._architecture = architecture
        self._federation = federation
        self._seed = seed
        self._observer = observer

    def run(self, job: Job) -> Outcome:
        """Train one model on the job's tasks for its rounds."""
        net = build(self._architecture, job.tasks, self._seed)
        if job.start is not None:
            net.load_state_dict({**net.state_dict(), **job.start.tensors})
        weights = _copy(net)
        losses: dict[str, float] = {}
        unseen: dict[str, float] = {}
        measured: list[RoundAffinity] = []
        self._observer.job_started(job)
        for round_index in range(job.first_round, job.last_round):
            weights, affinities = self._round(net, weights, job, round_index)
            if affinities:
                measured.append(combine_clients(round_index, affinities))
            done = round_index + 1
            if done % self._federation.evaluate_every == 0 or done == job.last_round:
                losses, unseen = self._evaluate(net, weights, done, final=done == job.last_round)
            self._observer.round_done(done)
        affinity = Affinity(job.tasks, tuple(measured)) if measured else None
        return Outcome(job, weights, losses, affinity, unseen)

    def _round(
        self, net: MultiTaskNet, weights: Checkpoint, job: Job, index: int
    ) -> tuple[Checkpoint, list[list[Matrix]]]:
        # 1. choose K of N clients and the round's learning rate
        observer = self._observer
        training = replace(self._federation.training, rule=job.local)
        chosen = self._chosen(job, index)
        rate = self._rate(job, index)
        sizes = [self._source.length("train", client) for client in chosen]
        average = FederatedAverage(float(sum(sizes)))
        affinities: list[list[Matrix]] = []
        losses = dict.fromkeys(job.tasks, 0.0)
        for client, size in zip(chosen, sizes, strict=True):
            # 2. each trains its copy of the global model on its own images
            with observer.phase("train", round_index=index, client=client):
                net.load_state_dict(dict(weights.tensors))
                result = train_client(
                    net,
                    ClientBatches(self._source, "train", client, job.tasks),
                    training,
                    rate,
                    random_stream(self._seed, "order", index, client),
                    observer,
                    index < job.first_round + job.measured_rounds,
                )
            # 3. the server adds it to the weighted average
            with observer.phase("aggregate", round_index=index):
                average.add(net.state_dict(), size)
                observer.work(averaging(weights.bytes))
            for task, loss in result.losses.items():
                losses[task] += loss * size / sum(sizes)
            if result.affinities:
                affinities.append(result.affinities)
        with observer.phase("aggregate", round_index=index):
            merged = average.result(weights.tensors)
        observer.metric(index + 1, "train", "learning_rate", "", rate)
        for task, loss in losses.items():
            observer.metric(index + 1, "train", "train_loss", task, loss)
        return merged, affinities

    def _chosen(self, job: Job, index: int) -> list[int]:
        everyone = range(self._source.count("train"))
        population = everyone if job.clients is None else job.clients
        per_round = job.per_round(self._federation.clients_per_round)
        drawn = choose_clients(self._seed, index, len(population), per_round)
        return [population[i] for i in drawn]

    def _rate(self, job: Job, index: int) -> float:
        horizon = job.horizon or job.last_round
        return polynomial_rate(
            self._federation.learning_rate, index - job.rate_start, horizon - job.rate_start
        )

    def _evaluate(
        self, net: MultiTaskNet, weights: Checkpoint, done: int, *, final: bool
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Return the losses on test images and, at the end of the job, on unseen buildings."""
        net.load_state_dict(dict(weights.tensors))
        with self._observer.phase("evaluate", round_index=done - 1):
            losses = test_losses(net, self._source, "test", self._observer)
            unseen = test_losses(net, self._source, "test_unseen", self._observer) if final else {}
        for task, loss in losses.items():
            self._observer.metric(done, "evaluate", "test_loss", task, loss)
        for task, loss in unseen.items():
            self._observer.metric(done, "evaluate", "test_unseen_loss", task, loss)
        return losses, unseen


def _copy(net: MultiTaskNet) -> Checkpoint:
    tensors: dict[str, Tensor] = net.state_dict()
    return Checkpoint({name: tensor.clone() for name, tensor in tensors.items()})
