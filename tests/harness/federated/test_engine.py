"""Rounds over clients: what is averaged, told, kept and sent, by arithmetic anyone can redo."""

from dataclasses import dataclass

import pytest
import torch

from harness.core.errors import DivergedError
from harness.federated.engine import RoundsEngine
from harness.federated.job import Checkpoint
from harness.federated.observer import SilentObserver
from harness.federated.simple import SimpleJob, SimpleRounds
from harness.federated.task import StateJudgement
from harness.federated.trainers import Update

WEIGHTS = (1, 2, 5)
"""Of three clients; client c adds c + 1 to the one number of the model: a round adds their mean."""

MEAN = (1 * 1 + 2 * 2 + 5 * 3) / 8


@dataclass(frozen=True)
class Clients:
    clients: int = len(WEIGHTS)


class Counting(SimpleRounds):
    every = 1

    def begin(self):
        return Checkpoint({"w": torch.zeros(1, dtype=torch.float64)})

    def weight(self, client):
        return WEIGHTS[client]

    def train(self, weights, request, client, order):
        return Update(client, {"w": weights.tensors["w"] + client + 1}, {"w": float(client)})

    def is_judged_after(self, rounds_done):
        return rounds_done % self.every == 0

    def judge(self, weights, *, final):
        value = float(weights.tensors["w"])
        return StateJudgement({"error": {"w": value}}, [("final" if final else "test", "w", value)])


class Notes(SilentObserver):
    """Remember values, by name, and how many rounds were told."""

    def __init__(self):
        self.values, self.rounds = {}, []

    def metric(self, rounds_done, phase, name, task, value):
        self.values.setdefault(name, []).append((rounds_done, value))

    def round_done(self, rounds_done):
        self.rounds.append(rounds_done)


class Shelf:
    """Keep every state, and give one back when asked."""

    def __init__(self, given=None):
        self.given, self.kept = given, []

    def recall(self, job):
        return self.given

    def keep(self, job, state):
        self.kept.append(state)


class Absent:
    """Let only some of the clients train."""

    def __init__(self, present):
        self.present = present

    def train(self, work, weights, request):
        for client in self.present:
            yield work.train(weights, request, client, request.order(client))


def engine(task=Counting, **more):
    notes = Notes()
    return RoundsEngine(task(Clients()), 0, notes, **more), notes


def test_a_round_adds_the_mean_by_weight():
    """Three rounds are three times that mean; the training loss is weighted the same way."""
    runner, notes = engine()
    state = runner.run(SimpleJob("job", ("w",), 3))
    assert float(state.weights.tensors["w"]) == pytest.approx(3 * MEAN, rel=1e-12)
    assert [v for _, v in notes.values["train_loss"]] == pytest.approx([(2 * 1 + 5 * 2) / 8] * 3)
    assert notes.rounds == [1, 2, 3]
    assert (state.traffic.upload_bytes, state.traffic.download_bytes) == (3 * 3 * 8, 3 * 3 * 8)


@pytest.mark.parametrize(
    ("present", "mean", "loss"), [((0, 2), 16 / 6, 10 / 6), ((1,), 2.0, 1.0), ((), 0.0, None)]
)
def test_those_who_come_make_up_for_those_who_do_not(present, mean, loss):
    """Mean and loss are those of who came; if nobody did, the model stays and no loss is told."""
    runner, notes = engine(trainers=Absent(present))
    state = runner.run(SimpleJob("job", ("w",), 1))
    assert float(state.weights.tensors["w"]) == pytest.approx(mean, rel=1e-12)
    told = [value for _, value in notes.values.get("train_loss", [])]
    assert told == ([] if loss is None else [pytest.approx(loss, rel=1e-12)])
    assert state.traffic.upload_bytes == 8 * len(present)
    assert state.traffic.download_bytes == 8 * len(WEIGHTS)


def test_a_job_goes_on_from_what_is_kept():
    """The rounds that are left come to the same bits as all of them at one go."""
    shelf = Shelf()
    whole = engine(keeper=shelf)[0].run(SimpleJob("job", ("w",), 4))
    runner, notes = engine(keeper=Shelf(shelf.kept[1]))
    rest = runner.run(SimpleJob("job", ("w",), 4))
    assert torch.equal(rest.weights.tensors["w"], whole.weights.tensors["w"])
    assert (notes.rounds, rest.traffic) == ([3, 4], whole.traffic)


def test_a_state_is_judged_when_its_work_says_and_at_the_end():
    """Every second round and the last; a job that begins later counts on from there."""

    class EverySecond(Counting):
        every = 2

    runner, notes = engine(EverySecond)
    state = runner.run(SimpleJob("job", ("w",), 7, first_round=2))
    assert [done for done, _ in notes.values["test"]] == [4, 6]
    assert notes.values["final"] == [(7, pytest.approx(5 * MEAN))]
    assert state.judged == {"error": {"w": pytest.approx(5 * MEAN)}}


def test_a_loss_that_is_no_number_ends_the_job_and_names_the_client():
    """Nothing is averaged of it."""

    class Exploding(Counting):
        def train(self, weights, request, client, order):
            return Update(client, {"w": weights.tensors["w"]}, {"w": float("nan")})

    with pytest.raises(DivergedError, match="client 0 in round 1 of job job"):
        engine(Exploding)[0].run(SimpleJob("job", ("w",), 1))
