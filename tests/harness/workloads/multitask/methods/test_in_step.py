"""Groups trained side by side: with no exchange they are what they would be apart, to the bit."""

from __future__ import annotations

import pytest
import torch

from harness.federated.job import Checkpoint
from harness.federated.observer import SilentObserver
from harness.workloads.multitask.exchange.conflict_averse import LearntShare
from harness.workloads.multitask.federation import LocalEngine
from harness.workloads.multitask.job import Job, restricted
from harness.workloads.multitask.methods.in_step import in_step
from harness.workloads.multitask.methods.registry import parse
from harness.workloads.multitask.methods.schedule import Setting, carry_out

KINDS = ("sd", "dn", "sd", "dn")


class Silence:
    """Exchange nothing."""

    def joined(self, before, after):
        return [dict(model) for model in after]


class Swap:
    """Give every group the other's encoder, and count."""

    def __init__(self):
        self.calls = 0

    def joined(self, before, after):
        self.calls += 1
        return [
            {n: (other if n.startswith("encoder.") else own)[n] for n in own}
            for own, other in zip(after, reversed(after), strict=True)
        ]


class Heard(SilentObserver):
    def __init__(self):
        self.values, self.jobs = [], []

    def job_started(self, job):
        self.jobs.append((job.name, job.first_round, job.last_round))

    def metric(self, rounds_done, phase, name, task, value):
        self.values.append((rounds_done, phase, name, task))


@pytest.fixture
def engine(tiny_source, tiny_architecture, federation):
    return LocalEngine(tiny_source, tiny_architecture, federation, 0, SilentObserver())


@pytest.mark.parametrize("first", [0, 2])
def test_without_an_exchange_each_group_is_its_own_job(engine, first) -> None:
    start = engine.run(Job("sdn", 1)).weights if first else None
    jobs = [
        Job(tasks, 3, start, first_round=first, horizon=first + 5, clients=clients)
        for tasks, clients in (("sd", (0, 2)), ("n", (1, 3)))
    ]
    if first:
        jobs = [
            Job(job.tasks, 3, restricted(start, job.tasks), first_round=first, horizon=first + 5)
            for job in jobs
        ]
    served = carry_out(in_step(jobs, Silence()), engine)
    for job, one in zip(jobs, served, strict=True):
        wanted = engine.run(job)
        assert one.outcome.losses == wanted.losses
        assert one.outcome.unseen_losses == wanted.unseen_losses
        assert one.outcome.weights.tensors.keys() == wanted.weights.tensors.keys()
        assert all(
            torch.equal(tensor, wanted.weights.tensors[name])
            for name, tensor in one.outcome.weights.tensors.items()
        )


def test_the_last_exchange_is_what_serves(engine) -> None:
    swap = Swap()
    jobs = [Job("s", 2, clients=(0, 1)), Job("d", 2, clients=(2, 3))]
    one, other = carry_out(in_step(jobs, swap), engine)
    assert swap.calls == 2
    assert one.outcome.losses.keys() == {"s"}
    slow = _swapped(engine, jobs)
    for served, wanted in zip((one, other), slow, strict=True):
        assert all(torch.equal(t, wanted[n]) for n, t in served.outcome.weights.tensors.items())


def _swapped(engine, jobs):
    """Do the two rounds by hand: one round of each, then the encoders change hands."""
    models = [None, None]
    for index in (0, 1):
        after = [
            engine.run(
                Job(job.tasks, 1, None if start is None else Checkpoint(start), first_round=index,
                    horizon=2, clients=job.clients)
            ).weights.tensors
            for job, start in zip(jobs, models, strict=True)
        ]  # fmt: skip
        models = Swap().joined([], after)
    return models


def test_only_the_end_is_judged(tiny_source, tiny_architecture, federation) -> None:
    heard = Heard()
    engine = LocalEngine(tiny_source, tiny_architecture, federation, 0, heard)
    carry_out(in_step([Job("s", 4), Job("d", 4)], Silence()), engine)
    judged = [v for v in heard.values if v[1] == "evaluate"]
    assert {v[0] for v in judged} == {4}
    assert {v[3] for v in judged if v[2] == "test_loss"} == {"s", "d"}
    trained = [v for v in heard.values if v[2] == "train_loss"]
    assert sorted(trained) == sorted(
        (r, "train", "train_loss", t) for r in (1, 2, 3, 4) for t in "sd"
    )


@pytest.mark.parametrize("text", ["independent", "all-in-one", "apart", "mat-fl", "fedhca2"])
def test_clients_train_only_what_they_have_labels_for(engine, text) -> None:
    setting = Setting("sdn", 2, clients=4, client_tasks=KINDS)
    trained = []

    class Watching:
        def run(self, job):
            trained.append(job)
            return engine.run(job)

    served = carry_out(parse(text).schedule(setting), Watching())
    for job in trained:
        assert all(set(job.tasks) <= set(KINDS[client]) for client in job.clients)
    assert {task for one in served for task in one.tasks} == set("sdn")


def test_averaged_encoders_and_decoders_of_a_task_are_the_same_everywhere(engine) -> None:
    setting = Setting("sdn", 2, clients=4, client_tasks=KINDS)
    one, other = (
        s.outcome.weights.tensors for s in carry_out(parse("all-in-one").schedule(setting), engine)
    )
    common = one.keys() & other.keys()
    assert any(name.startswith("decoders.d.") for name in common)
    assert all(torch.equal(one[name], other[name]) for name in common)


def test_a_share_of_nothing_never_taken_up_is_mas(engine, monkeypatch) -> None:
    """With a share held at 0 MAS that does not part is MAS, bit for bit."""
    monkeypatch.setattr(LearntShare, "of", lambda self, steps, changes: 0.0)
    setting = Setting("sdn", 4)
    ours, mas = (
        carry_out(parse(text).schedule(setting), engine)
        for text in ("mas-together:merge_rounds=2", "mas:merge_rounds=2")
    )
    assert [s.tasks for s in ours] == [s.tasks for s in mas]
    for one, wanted in zip(ours, mas, strict=True):
        assert one.outcome.losses == wanted.outcome.losses
