"""Check hierarchical splitting: one group at a time, by affinity measured inside it."""

import itertools

import numpy as np
import pytest
import torch

from harness.federated.job import Checkpoint
from harness.federated.observer import SilentObserver
from harness.workloads.multitask.affinity.matrix import Affinity, RoundAffinity
from harness.workloads.multitask.federation import LocalEngine
from harness.workloads.multitask.job import Job, Outcome
from harness.workloads.multitask.methods import registry
from harness.workloads.multitask.methods.schedule import Setting, carry_out

TASKS = "sdnkt"


class _Random:
    """Write jobs down; the affinity of a group depends on its tasks and its first round."""

    def __init__(self, seed: int) -> None:
        self.jobs: list[Job] = []
        self._seed = seed

    def matrix(self, tasks: str, first_round: int) -> np.ndarray:
        key = [self._seed, first_round, *map(ord, tasks)]
        return np.random.default_rng(key).normal(size=(len(tasks), len(tasks)))

    def run(self, job: Job) -> Outcome:
        self.jobs.append(job)
        names = {"encoder.w": 0} | {f"decoders.{t}.w": 0 for t in job.tasks}
        affinity = None
        if job.measure_affinity:
            matrix = self.matrix(job.tasks, job.first_round)
            affinity = Affinity(job.tasks, (RoundAffinity(job.first_round, matrix, matrix, 1),))
        return Outcome(job, Checkpoint(names), dict.fromkeys(job.tasks, 1.0), affinity)


def _run(text: str, rounds: int, seed: int = 0):
    engine = _Random(seed)
    served = carry_out(registry.parse(text).schedule(Setting(TASKS, rounds)), engine)
    return engine, [s.tasks for s in served]


def _best_halves(matrix: np.ndarray, tasks: str) -> set[frozenset[str]]:
    """Try all cuts in two; a task scores the mean effect of its group on it."""

    def score(task: str, group: tuple[str, ...]) -> float:
        j = tasks.index(task)
        others = [tasks.index(i) for i in group if i != task]
        if others:
            return matrix[j, others].mean()
        rest = [i for i in range(len(tasks)) if i != j]
        return (matrix[j, rest].mean() + matrix[rest, j].mean()) / 2

    cuts = []
    for size in range(1, len(tasks)):
        for one in itertools.combinations(tasks, size):
            two = tuple(t for t in tasks if t not in one)
            value = sum(score(t, g) for g in (one, two) for t in g)
            cuts.append((value, {frozenset(one), frozenset(two)}))
    return max(cuts, key=lambda cut: cut[0])[1]


@pytest.mark.parametrize("seed", range(6))
def test_each_cut_is_the_best_of_the_worst_group(seed: int) -> None:
    """Replayed by brute force: at every stage the group with the least mean affinity is cut."""
    engine, served = _run("mas:hierarchical=yes,splits=4,merge_rounds=3", 14, seed)
    groups, done = [TASKS], 0
    stages = itertools.groupby(engine.jobs, key=lambda job: job.first_round)
    for first_round, jobs in stages:
        trained = list(jobs)
        assert {frozenset(job.tasks) for job in trained} == {frozenset(g) for g in groups}
        assert {job.rounds for job in trained} == {trained[0].rounds}
        assert first_round == done
        done += trained[0].rounds
        measured = [job.tasks for job in trained if job.measure_affinity]
        if not measured:
            continue
        assert set(measured) == {job.tasks for job in trained if len(job.tasks) > 1}
        cohesion = {}
        for tasks in measured:
            matrix = engine.matrix(tasks, first_round)
            cohesion[tasks] = matrix[~np.eye(len(tasks), dtype=bool)].mean()
        worst = min(cohesion, key=cohesion.get)
        halves = _best_halves(engine.matrix(worst, first_round), worst)
        groups = [g for g in groups if frozenset(g) != frozenset(worst)]
        groups += ["".join(half) for half in halves]

    assert done == 14
    assert len(served) == 4
    assert sorted("".join(served)) == sorted(TASKS)


def test_stages_are_as_long_as_the_merged_one() -> None:
    """Four splits with R0 = 3 of 14: cuts after rounds 3, 6 and 9; then nothing is measured."""
    engine, _ = _run("mas:hierarchical=yes,splits=4,merge_rounds=3", 14)
    lengths = dict.fromkeys((job.first_round, job.rounds) for job in engine.jobs)

    assert list(lengths) == [(0, 3), (3, 3), (6, 3), (9, 5)]
    assert not any(job.measure_affinity for job in engine.jobs if job.first_round == 9)
    assert all(job.horizon == 14 for job in engine.jobs)


def test_stages_share_what_is_left_if_that_is_less() -> None:
    """Five splits with R0 = 6 of 14 leave 8 rounds for 4 stages of 2; few rounds, few groups."""
    engine, served = _run("mas:hierarchical=yes,splits=5,merge_rounds=6", 14)

    assert sorted({(job.first_round, job.rounds) for job in engine.jobs}) == [
        (0, 6), (6, 2), (8, 2), (10, 2), (12, 2),
    ]  # fmt: skip
    assert len(served) == 5
    assert len(_run("mas:hierarchical=yes,splits=5,merge_rounds=12", 14)[1]) == 3
    assert _run("mas:hierarchical=yes,splits=5,merge_rounds=14", 14)[1] == [TASKS]


def test_learning_rate_and_weights_follow_the_options() -> None:
    """restart: each stage has its own schedule; init=encoder concerns the first split alone."""
    engine, _ = _run("mas:hierarchical=yes,splits=3,merge_rounds=4,lr=restart,init=encoder", 14)

    assert all((j.rate_start, j.horizon) == (j.first_round, None) for j in engine.jobs)
    for job in engine.jobs[1:]:
        decoders = {f"decoders.{t}.w" for t in job.tasks} if job.first_round > 4 else set()
        assert set(job.start.tensors) == {"encoder.w"} | decoders


def test_two_groups_are_plain_mas_to_the_last_bit(
    tiny_source, tiny_architecture, federation
) -> None:
    """With two splits there is nothing to split again: hierarchical and plain MAS are one."""
    engine = LocalEngine(tiny_source, tiny_architecture, federation, 0, SilentObserver())
    setting = Setting("sdn", 4)
    ends = [
        carry_out(registry.parse(f"mas:merge_rounds=2{more}").schedule(setting), engine)
        for more in ("", ",hierarchical=yes")
    ]

    assert [s.tasks for s in ends[0]] == [s.tasks for s in ends[1]]
    for one, two in zip(*ends, strict=True):
        wanted = two.outcome.weights.tensors
        assert all(torch.equal(v, wanted[k]) for k, v in one.outcome.weights.tensors.items())
