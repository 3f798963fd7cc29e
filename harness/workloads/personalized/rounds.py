"""Carry out the jobs of personalised models: unlike networks, a state for each client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.federated.job import Checkpoint
from harness.federated.keeping import JobState
from harness.federated.observer import Observer
from harness.federated.prefixed import over, under
from harness.federated.random_streams import random_stream
from harness.federated.task import StateJudgement
from harness.federated.trainers import RoundRequest, Update
from harness.records.work import Work
from harness.workloads.personalized.client import ClientSide, outputs
from harness.workloads.personalized.federation import (
    ClubSetup,
    Tensors,
    TrainingSettings,
    bytes_of,
    of_client,
)
from harness.workloads.personalized.job import UNIT, ClubJob, ClubOutcome, RoundRecord
from harness.workloads.personalized.methods.pfedclub import GONE
from harness.workloads.personalized.methods.registry import parse
from harness.workloads.personalized.methods.rule import ClubRule, ServerSide
from models.personalized.blocks import ChainNet

MODEL = "model."
SENT = "sent."
FOUND = "found."
ROUNDS = "rounds"

ACCURACY = "accuracy"
START_ACCURACY = "start_accuracy"


@dataclass(frozen=True)
class ClubRound:
    """Say how clients of a round train.

    Attributes:
        method: as typed.
        epochs: local ones.
        batch_size: images of a step.
        learning_rate: of Adam.
        layouts: of each client, what it is sent by name: shape and type.
    """

    method: str
    epochs: int
    batch_size: int
    learning_rate: float
    layouts: Mapping[int, Mapping[str, tuple[tuple[int, ...], str]]] = field(default_factory=dict)


def layout(tensors: Tensors) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return names, shapes and types of tensors."""
    return {n: (tuple(t.shape), str(t.dtype).removeprefix("torch.")) for n, t in tensors.items()}


def received(settings: ClubRound, client: int) -> dict[str, Tensor]:
    """Return empty tensors of the layout that a client is sent."""
    return {
        name: torch.empty(shape, dtype=getattr(torch, kind))
        for name, (shape, kind) in settings.layouts.get(client, {}).items()
    }


@dataclass(frozen=True)
class ClientWorkshop:
    """Train clients of a federation by a rule, from what they are sent alone.

    The same here and on a device of a fleet.
    """

    federation: ClubSetup
    rule: ClubRule
    observer: Observer

    def train(
        self, sent: Tensors, settings: ClubRound, client: int, order: np.random.Generator
    ) -> Update:
        """Train one client's network and return it, with what its method sends beside."""
        fed, rule = self.federation, self.rule
        net = rule.built(fed, client)
        net.load_state_dict(under(sent, MODEL))
        given = under(sent, SENT)
        rule.takes(net, given)
        side = ClientSide(
            client, rule.family(fed, client), net, fed.club.clients[client], fed.club, given,
            TrainingSettings(settings.epochs, settings.batch_size, settings.learning_rate),
            order, self.observer,
        )  # fmt: skip
        found = rule.train(side)
        tensors = {**over(MODEL, net.state_dict()), **over(FOUND, found)}
        return Update(client, over(of_client(client), tensors), {UNIT: side.loss})


@dataclass(frozen=True)
class ClubFederation:
    """Open jobs; implements `harness.federated.task.FederatedTask`."""

    federation: ClubSetup
    evaluate_every: int

    def open(self, job: ClubJob, seed: int, observer: Observer) -> ClubWork:  # noqa: ARG002 - its own
        """Return the work of a job."""
        return ClubWork(job, self.federation, observer, self.evaluate_every)


class ClubWork:
    """Carry out one job; implements `harness.federated.task.JobWork`."""

    def __init__(
        self, job: ClubJob, federation: ClubSetup, observer: Observer, evaluate_every: int
    ) -> None:
        self._job = job
        self._federation = federation
        self._observer = observer
        self._evaluate_every = evaluate_every
        self._rule = parse(job.method).rule()
        self._round = job.first_round
        self._record = RoundRecord(-1)
        self._accuracy: dict[int, float] = {}
        self._sizes: dict[int, tuple[int, int]] = {}

    def begin(self) -> Checkpoint:
        """Return every client's network before training, and what the method holds beside."""
        fed, rule = self._federation, self._rule
        found = dict(rule.begin(fed))
        for client in range(len(fed.families)):
            own = {ROUNDS: torch.zeros(1, dtype=torch.int64)}
            own |= over(MODEL, rule.start(fed, client).state_dict())
            found |= over(of_client(client), own)
        return Checkpoint(found)

    def request(self, round_index: int, weights: Checkpoint) -> RoundRequest:
        """Return who trains in a round, and how."""
        self._round, self._sizes = round_index, {}
        fed = self._federation
        drawn = fed.drawn(round_index)
        layouts = {client: layout(self.sent(weights, client).tensors) for client in drawn}
        how = fed.training
        settings = ClubRound(
            self._job.method, how.epochs, how.batch_size, how.learning_rate, layouts
        )
        return RoundRequest(self._job.name, self._job.units, round_index, drawn, fed.seed, settings)

    def weight(self, client: int) -> float:
        """Return the number of a client's training images."""
        return float(len(self._federation.club.clients[client].train_labels))

    def train(
        self, weights: Checkpoint, request: RoundRequest, client: int, order: np.random.Generator
    ) -> Update:
        """Train one client from what it was sent."""
        workshop = ClientWorkshop(self._federation, self._rule, self._observer)
        return workshop.train(weights.tensors, request.settings, client, order)

    def sent(self, weights: Checkpoint, client: int) -> Checkpoint:
        """Return a client's own network and what its method sends it."""
        own = under(weights.tensors, of_client(client) + MODEL)
        return Checkpoint({**over(MODEL, own), **over(SENT, self._sent(weights, client))})

    def _sent(self, weights: Checkpoint, client: int) -> dict[str, Tensor]:
        return self._rule.sent(self._federation, weights.tensors, client)

    def expected(self, client: int) -> Mapping[str, Tensor]:
        """Return tensors like those of a client's update."""
        fed, rule = self._federation, self._rule
        own = over(MODEL, rule.built(fed, client).state_dict())
        return over(of_client(client), {**own, **over(FOUND, rule.finds(fed, client))})

    def download(self, weights: Checkpoint, client: int) -> int:
        """Return the bytes that the method sends to a client, public images the first time."""
        found = self._rule.sent_bytes(self._federation, self._sent(weights, client), client)
        new = not int(weights.tensors[of_client(client) + ROUNDS])
        found += self._federation.club.public_bytes if self._rule.public and new else 0
        self._sizes[client] = found, 0
        return found

    def upload(self, update: Update) -> int:
        """Return the bytes that the method's client sends; its own network only if it does."""
        own = under(update.tensors, of_client(update.client))
        found = self._rule.found_bytes(under(own, MODEL), under(own, FOUND))
        self._sizes[update.client] = self._sizes[update.client][0], found
        return found

    def aggregator(self, expected_weight: float, weights: Checkpoint) -> ClubServer:  # noqa: ARG002
        """Return what takes in the updates of a round and lets the server work."""
        return ClubServer(self, self._rule, weights)

    def finished(self, trained: dict[str, Tensor], found: Mapping[int, Tensors]) -> Checkpoint:
        """Let the server work on a state with the networks that were trained, and return it new."""
        fed, rule = self._federation, self._rule
        final = self._round + 1 == self._job.last_round
        if final or self.is_judged_after(self._round + 1):
            with self._observer.phase("evaluate"):
                self._accuracy = self._accuracies(trained)
        side = ServerSide(
            fed, rule, trained, tuple(found), found, self._round,
            random_stream(fed.seed, "server", self._job.name, self._round), self._observer,
        )  # fmt: skip
        changed = rule.serve(side)
        self._record = RoundRecord(self._round, tuple(side.teachers), side.left_out, self._sizes)
        state = {name: t for name, t in trained.items() if changed.get(name) is not GONE}
        # clients of a family may be given the same: each keeps its own copy, as files want it
        fresh = {n: t.detach().clone() for n, t in changed.items() if t is not GONE}
        return Checkpoint(state | fresh)

    def _accuracies(self, state: Tensors, *, starting: bool = False) -> dict[int, float]:
        """Return every counted client's test accuracy, or that of what it would start from."""
        found = {}
        club = self._federation.club
        for client in club.counted:
            net = self._net(state, client, starting=starting)
            own = club.clients[client]
            said = self._rule.answers(self._federation, client, outputs(net, own.test_images))
            found[client] = float((said.argmax(1) == own.test_labels).double().mean())
        return found

    def _net(self, state: Tensors, client: int, *, starting: bool) -> ChainNet:
        fed, rule = self._federation, self._rule
        net = rule.built(fed, client)
        net.load_state_dict(under(state, of_client(client) + MODEL))
        if starting:
            rule.takes(net, rule.sent(fed, state, client))
        return net

    def measured(self, round_index: int, found: Sequence[Any]) -> tuple[RoundRecord, ...]:  # noqa: ARG002
        """Return what the search of the round came to; of one that nobody came to, the bytes."""
        if self._record.round != round_index:
            return (RoundRecord(round_index, sent=self._sizes),)
        return (self._record,)

    def is_judged_after(self, rounds_done: int) -> bool:
        """Say whether networks are tested after so many rounds."""
        return rounds_done % self._evaluate_every == 0

    def judge(self, weights: Checkpoint, *, final: bool) -> StateJudgement:  # noqa: ARG002 - alike
        """Return accuracies before and after the local training of a round, of all clients."""
        start = self._accuracies(weights.tensors, starting=True)
        judged = {
            ACCURACY: {str(c): value for c, value in self._accuracy.items()},
            START_ACCURACY: {str(c): value for c, value in start.items()},
        }
        reported = [(n, unit, v) for n, values in judged.items() for unit, v in values.items()]
        reported += [(n, "", float(np.mean(list(v.values())))) for n, v in judged.items() if v]
        return StateJudgement(judged, reported)

    def outcome(self, state: JobState) -> ClubOutcome:
        """Return what came of the job."""
        return ClubOutcome(
            self._job, state.weights, _by_client(state, ACCURACY),
            _by_client(state, START_ACCURACY), state.measured, state.traffic,
        )  # fmt: skip


def _by_client(state: JobState, name: str) -> dict[int, float]:
    return {int(client): value for client, value in state.judged.get(name, {}).items()}


class ClubServer:
    """Take in the updates of a round; implements `harness.federated.task.Aggregator`."""

    def __init__(self, work: ClubWork, rule: ClubRule, weights: Checkpoint) -> None:
        self._work = work
        self._state = dict(weights.tensors)
        self._rule = rule
        self._found: dict[int, Tensors] = {}

    def add(self, tensors: Mapping[str, Tensor], weight: float) -> Work:  # noqa: ARG002 - a rule's
        """Put a client's network into the state and keep what it sent beside."""
        client = int(next(iter(tensors)).split(".")[1])
        own = under(tensors, of_client(client))
        model = {name: t.detach().clone() for name, t in under(own, MODEL).items()}
        self._found[client] = under(own, FOUND)
        self._state |= over(of_client(client) + MODEL, model)
        self._state |= self._rule.kept(self._found[client], client)
        name = of_client(client) + ROUNDS
        self._state[name] = self._state[name] + 1
        return Work(bytes_moved=2.0 * bytes_of(model))

    def result(self) -> Checkpoint:
        """Let the server work, in phases of its own."""
        return self._work.finished(self._state, self._found)
