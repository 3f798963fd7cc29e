"""Fine-tune one model federatedly: fit it to what a client has, train, join, judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from harness.federated.engine import RoundsEngine
from harness.federated.job import Checkpoint, FederatedJob
from harness.federated.keeping import JobState
from harness.federated.observer import Observer
from harness.federated.random_streams import random_stream
from harness.federated.task import Aggregator, JobWork, StateJudgement
from harness.federated.trainers import RoundRequest, Update
from harness.records.work import Work
from harness.workloads.lora.aggregation.adapters import (
    Adapter,
    LowRank,
    from_tensors,
    update_error,
)
from harness.workloads.lora.base.tunable import TunableModel
from harness.workloads.lora.data.corpus import Corpus
from harness.workloads.lora.job import UNIT, FineTuning, Tuned
from harness.workloads.lora.judging import judge_state
from harness.workloads.lora.making_rules import make_rule
from harness.workloads.lora.rules import AdapterFederation, FederatedRule, Fitting
from harness.workloads.lora.training import LocalTraining, Pruning, train_rows


@dataclass(frozen=True)
class FineTuningSetting:
    """Hold what all jobs of a run share.

    Attributes:
        model: put on what each client needs.
        corpus: all rows.
        ranks: by client.
        scale: of adapters.
        per_round: clients of a round.
        training: how clients train, but for the rate.
        evaluate_every: rounds from one test to the next.
        remote: whether devices train, which keep nothing between rounds.
    """

    model: TunableModel
    corpus: Corpus
    ranks: Sequence[int]
    scale: float
    per_round: int
    training: LocalTraining
    evaluate_every: int = 1
    remote: bool = False

    def federation(self, seed: int) -> AdapterFederation:
        """Return what the rules of a cell share."""
        return AdapterFederation(self.model.shapes, self.ranks, self.scale, seed)

    def rule(self, method: str, seed: int) -> FederatedRule:
        """Return the rule of a method."""
        return make_rule(method, self.federation(seed), self.model)


@dataclass(frozen=True)
class ClientSettings:
    """Say how the clients of a round train: by which method, and how."""

    method: str
    training: LocalTraining


def fine_tune(
    setting: FineTuningSetting,
    rule: FederatedRule,
    state: Checkpoint,
    request: RoundRequest,
    client: int,
    order: np.random.Generator,
    observer: Observer,
) -> Update:
    """Let one client train its adapter, from the state or from what it was sent of it."""
    settings: ClientSettings = request.settings
    model, corpus = setting.model, setting.corpus
    model.fit(rule.fitting(state, client, request.round_index))
    hands = corpus.clients if rule.pooled else [corpus.clients[client]]
    rows = [row for hand in hands for row in hand.train]
    loss = train_rows(model, rows, corpus.pad, settings.training, order, observer)
    answer = rule.answer(client, model.trained(rule.trains))
    return Update(client, answer, {UNIT: loss})


class _Watched:
    """Remember the clients' products beside an aggregation, to see later what became of them."""

    def __init__(self, inner: Aggregator) -> None:
        self._inner = inner
        self.seen: list[tuple[float, Adapter]] = []

    def add(self, tensors: Mapping[str, Tensor], weight: float) -> Work:
        """Remember copies, as updates may change, and pass the update on."""
        copies = {n: t.clone() for n, t in tensors.items() if n.startswith(("a/", "b/"))}
        self.seen.append((weight, _factors(copies)))
        return self._inner.add(tensors, weight)

    def result(self) -> Checkpoint:
        """Return the new state."""
        return self._inner.result()


def _factors(tensors: Mapping[str, Tensor]) -> Adapter:
    if any(name.startswith("a/") for name in tensors):
        return from_tensors(tensors)
    empty = next(iter(tensors.values()), None)
    return (
        {}
        if empty is None
        else {name[2:]: LowRank(tensor.new_zeros(0), tensor) for name, tensor in tensors.items()}
    )


class FineTuningWork:
    """Carry out one job; implements `harness.federated.task.JobWork`."""

    def __init__(
        self, setting: FineTuningSetting, job: FineTuning, seed: int, observer: Observer
    ) -> None:
        self._setting = setting
        self._job = job
        self._seed = seed
        self._observer = observer
        self._rule = setting.rule(job.method, seed)
        self._watched: _Watched | None = None
        self._before = Checkpoint({})
        self._round = 0

    def begin(self) -> Checkpoint:
        """Return the state before the first round."""
        return self._rule.begin()

    def clients(self, round_index: int) -> list[int]:
        """Return who trains in a round, alike for every method."""
        everyone = self._setting.corpus.clients
        if self._rule.pooled:
            return [0]
        if self._setting.per_round == len(everyone):
            return list(range(len(everyone)))
        random = random_stream(self._seed, "clients", round_index)
        drawn = random.choice(len(everyone), self._setting.per_round, replace=False)
        return [int(client) for client in drawn]

    def request(self, round_index: int, weights: Checkpoint) -> RoundRequest:
        """Return who trains in a round, and how."""
        self._before, self._round = weights, round_index
        job = self._job
        settings = ClientSettings(job.method, training_of(self._setting.training, job, self._rule))
        return RoundRequest(
            job.name, job.units, round_index, self.clients(round_index), self._seed, settings,
            {"learning_rate": job.learning_rate},
        )  # fmt: skip

    def weight(self, client: int) -> float:
        """Return the number of a client's training rows."""
        corpus = self._setting.corpus
        if self._rule.pooled:
            return sum(corpus.weight(c) for c in range(len(corpus.clients)))
        return corpus.weight(client)

    def train(
        self, weights: Checkpoint, request: RoundRequest, client: int, order: np.random.Generator
    ) -> Update:
        """Let one client train, here."""
        return fine_tune(self._setting, self._rule, weights, request, client, order, self._observer)

    def sent(self, weights: Checkpoint, client: int) -> Checkpoint:
        """Return what a client that kept nothing is sent: here too, so that both train alike."""
        return self._rule.sent(weights, client)

    def expected(self, client: int) -> Mapping[str, Tensor]:
        """Return tensors like those of a client's answer."""
        return self._rule.expected(client)

    def download(self, weights: Checkpoint, client: int) -> int:
        """Return the bytes that a client gets: what is new to it; for a device of a fleet all."""
        if self._setting.remote:
            return self._rule.sent(weights, client).bytes
        missed = 0
        while missed < self._round and client not in self.clients(self._round - 1 - missed):
            missed += 1
        return self._rule.download(weights, client, missed)

    def upload(self, update: Update) -> int:
        """Return the bytes of an answer; a fleet's devices send all tensors as they are."""
        if self._setting.remote:
            return Checkpoint(update.tensors).bytes
        return self._rule.upload(update.tensors)

    def aggregator(self, expected_weight: float, weights: Checkpoint) -> Aggregator:
        """Return what joins the answers of the round that has begun."""
        clients = self.clients(self._round)
        self._watched = _Watched(self._rule.aggregator(weights, clients, expected_weight))
        return self._watched

    def measured(self, round_index: int, found: Sequence[Any]) -> tuple[Any, ...]:  # noqa: ARG002
        """Return nothing: clients measure nothing beside."""
        return ()

    def round_ends(self, after: Checkpoint) -> None:
        """Report how far the joined update is from the exact weighted sum of the clients'."""
        if self._watched is None or not self._watched.seen:
            return
        used = self._rule.used(self._before, after)
        if used:
            with self._observer.phase("evaluate", round_index=self._round):
                error = self._error(used)
            self._observer.metric(self._round + 1, "aggregate", "aggregation_error", UNIT, error)
        self._watched = None

    def _error(self, used: Sequence[tuple[float, Mapping[str, Tensor], Adapter]]) -> float:
        assert self._watched is not None
        seen = self._watched.seen
        total = sum(weight for weight, _ in seen)
        scale = self._setting.scale
        exact = [(weight / total * scale, own) for weight, own in seen]
        if self._rule.trains == "b":  # all share the A of the update
            common = used[0][2]
            exact = [
                (w, {n: LowRank(common[n].a[: f.b.shape[1]], f.b) for n, f in own.items()})
                for w, own in exact
            ]
        return update_error(used, exact, self._setting.model.shapes)

    def is_judged_after(self, rounds_done: int) -> bool:
        """Say whether the state is judged after so many rounds."""
        return rounds_done % self._setting.evaluate_every == 0

    def judge(self, weights: Checkpoint, *, final: bool) -> StateJudgement:
        """Judge the model that serves, or that of every client."""
        fittings: Sequence[Fitting] = self._rule.served(weights)
        return judge_state(self._setting.model, self._setting.corpus, fittings, final=final)

    def outcome(self, state: JobState) -> Tuned:
        """Return what came of the job."""
        return Tuned(self._job, state.weights, state.judged, state.traffic)


def training_of(common: LocalTraining, job: FineTuning, rule: FederatedRule) -> LocalTraining:
    """Return how the clients of a job train."""
    pruning = None
    if "keep" in job.parameters:
        pruning = Pruning(job.parameters["keep"], job.parameters["penalty"])
    return LocalTraining(
        job.learning_rate, common.epochs, common.batch_size, common.steps, rule.trains,
        common.on_prompts, common.precision, pruning,
    )  # fmt: skip


@dataclass(frozen=True)
class FineTuningTask:
    """Open the jobs of one cell; implements `harness.federated.task.FederatedTask`."""

    setting: FineTuningSetting

    def open(self, job: FineTuning, seed: int, observer: Observer) -> FineTuningWork:
        """Return the work of a job."""
        return FineTuningWork(self.setting, job, seed, observer)


class FineTuningEngine(RoundsEngine):
    """Run the rounds, and let the work see what became of each."""

    def _round(self, work: JobWork, before: JobState, job: FederatedJob) -> JobState:
        assert isinstance(work, FineTuningWork)
        after = super()._round(work, before, job)
        work.round_ends(after.weights)
        return after
