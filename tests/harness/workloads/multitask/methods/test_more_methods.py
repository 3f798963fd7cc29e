"""Check the job lists, the choice of groups and the cost of the methods the paper compares."""

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from harness.core.errors import DataError, UsageError
from harness.federated.job import Checkpoint
from harness.workloads.multitask.affinity.matrix import Affinity, RoundAffinity
from harness.workloads.multitask.job import Job, Outcome
from harness.workloads.multitask.methods import registry
from harness.workloads.multitask.methods.parameters import UNLIKE
from harness.workloads.multitask.methods.schedule import Setting, carry_out
from harness.workloads.multitask.training.local_rule import GradNorm, ProjectedGradients, Proximal

TASKS = "sdnkt"


class _Scripted:
    """An engine with a given affinity and a validation loss for every task in every group.

    Test losses run the other way, so that whoever chooses by them chooses wrongly.
    """

    def __init__(self, affinity: np.ndarray, loss) -> None:
        self.jobs: list[Job] = []
        self._affinity = affinity
        self._loss = loss

    def run(self, job: Job) -> Outcome:
        self.jobs.append(job)
        rounds = (RoundAffinity(0, self._affinity, self._affinity, 1),)
        affinity = Affinity(job.tasks, rounds) if job.measure_affinity else None
        losses = {task: self._loss(task, job.tasks) for task in job.tasks}
        tested = {task: 9.0 - loss for task, loss in losses.items()}
        weights = Checkpoint({"encoder.w": 0})
        return Outcome(job, weights, tested, affinity, validation_losses=losses)


def _loss(task: str, group: str) -> float:
    """A made-up but fixed loss of a task in a group."""
    return float(np.random.default_rng([ord(c) for c in task + "|" + group]).uniform(0.5, 1.5))


def _carry_out(text: str, setting: Setting, affinity: np.ndarray | None = None):
    n = len(setting.tasks)
    engine = _Scripted(np.zeros((n, n)) if affinity is None else affinity, _loss)
    return engine, carry_out(registry.parse(text).schedule(setting), engine)


def _all_groups(tasks: str) -> list[str]:
    sizes = range(1, len(tasks) + 1)
    return ["".join(c) for size in sizes for c in itertools.combinations(tasks, size)]


def _all_partitions(tasks: str, splits: int) -> set[frozenset[str]]:
    """List partitions by giving every task a label."""
    found = set()
    for labels in itertools.product(range(splits), repeat=len(tasks)):
        if len(set(labels)) == splits:
            blocks = ("".join(t for t, k in zip(tasks, labels, strict=True) if k == label)
                      for label in range(splits))  # fmt: skip
            found.add(frozenset(blocks))
    return found


@pytest.mark.parametrize(
    ("text", "rule"),
    [("fedprox:mu=0.5", Proximal(0.5)), ("gradnorm:alpha=1,step=0.1", GradNorm(1.0, 0.1)),
     ("gradnorm", GradNorm(1.5, 0.025)), ("pcgrad", ProjectedGradients())],
)  # fmt: skip
def test_gradient_methods_are_all_in_one_with_a_rule(text: str, rule: object) -> None:
    """One job of all tasks for all rounds; only the clients' rule differs from all-in-one."""
    engine, served = _carry_out(text, Setting(TASKS, 7))

    assert engine.jobs == [Job(TASKS, 7, local=rule)]
    assert [s.tasks for s in served] == [TASKS]


def test_standalone_is_one_job_per_client() -> None:
    """Every client trains all tasks for R rounds alone, and all of them serve."""
    engine, served = _carry_out("standalone", Setting("sd", 7, clients=3))

    assert engine.jobs == [Job("sd", 7, clients=(client,)) for client in range(3)]
    assert [(s.tasks, s.outcome.job.name) for s in served] == [
        ("sd", "sd@0"), ("sd", "sd@1"), ("sd", "sd@2"),
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_tag_trains_the_groups_that_its_objective_asks_for(seed: int) -> None:
    """R merged rounds with affinity, then each group from scratch for R; a task's group is the
    one with its highest mean affinity among those trained, singles at -1e6.
    """
    affinity = np.random.default_rng(seed).normal(size=(5, 5))
    engine, served = _carry_out("tag:splits=3", Setting(TASKS, 7), affinity)
    groups = [s.outcome.job.tasks for s in served]

    assert engine.jobs[0] == Job(TASKS, 7, measure_affinity=True)
    assert engine.jobs[1:] == [Job(group, 7) for group in groups if group != TASKS]
    assert sorted("".join(s.tasks for s in served)) == sorted(TASKS)

    def score(task: str, group: str) -> float:
        others = [TASKS.index(i) for i in group if i != task]
        return affinity[TASKS.index(task), others].mean() if others else -1e6

    for s in served:
        for task in s.tasks:
            best = max(score(task, group) for group in groups if task in group)
            assert score(task, s.outcome.job.tasks) == pytest.approx(best, abs=1e-12)


def test_tag_with_one_group_keeps_the_merged_model() -> None:
    """A group of all tasks from scratch is the merged training itself and is not paid twice."""
    engine, served = _carry_out("tag:splits=1", Setting(TASKS, 7))

    assert engine.jobs == [Job(TASKS, 7, measure_affinity=True)]
    assert [s.tasks for s in served] == [TASKS]


@pytest.mark.parametrize("splits", [1, 2, 3])
def test_hoa_trains_singles_pairs_and_what_they_predict(splits: int) -> None:
    """n singles, n(n-1)/2 pairs, then chosen groups of three or more; the choice is the least sum
    of predicted losses over all choices of at most x groups.
    """
    engine, served = _carry_out(f"hoa:splits={splits}", Setting(TASKS, 7))
    groups = [s.outcome.job.tasks for s in served]
    small = [group for group in _all_groups(TASKS) if len(group) <= 2]

    assert {job.tasks for job in engine.jobs[:15]} == set(small)
    assert [job.tasks for job in engine.jobs[15:]] == [g for g in groups if len(g) > 2]
    assert all(job == Job(job.tasks, 7) for job in engine.jobs)

    def predicted(task: str, group: str) -> float:
        pairs = ["".join(sorted(task + other, key=TASKS.index)) for other in group if other != task]
        return float(np.mean([_loss(task, pair) for pair in pairs or [task]]))

    known = {(t, group): predicted(t, group) for group in _all_groups(TASKS) for t in group}

    def total(chosen) -> float:
        return sum(min(known.get((t, group), np.inf) for group in chosen) for t in TASKS)

    least = min(
        total(chosen)
        for count in range(1, splits + 1)
        for chosen in itertools.combinations(_all_groups(TASKS), count)
    )
    assert total(groups) == pytest.approx(least, abs=1e-12)
    assert len(groups) <= splits
    assert sum(predicted(t, s.outcome.job.tasks) for s in served for t in s.tasks) == pytest.approx(
        least, abs=1e-12
    )


@pytest.mark.parametrize(("text", "choose"), [("best-split", min), ("worst-split", max)])
@pytest.mark.parametrize("splits", [1, 2, 3, 5])
def test_oracles_choose_among_all_partitions(text: str, choose, splits: int) -> None:
    """Every group of any partition into x is trained once after the merged rounds; the chosen
    partition has the extreme sum of losses.
    """
    setting = Setting(TASKS, 10)
    engine, served = _carry_out(f"{text}:splits={splits},merge_rounds=4", setting)
    every = _all_partitions(TASKS, splits)

    assert engine.jobs[0] == Job(TASKS, 4, horizon=10)
    trained = Counter(job.tasks for job in engine.jobs[1:])
    assert trained == Counter({group for partition in every for group in partition})
    assert {(job.rounds, job.first_round) for job in engine.jobs[1:]} == {(6, 4)}
    chosen = frozenset(s.outcome.job.tasks for s in served)
    assert chosen in every
    extreme = choose(sum(_loss(t, g) for g in partition for t in g) for partition in every)
    assert sum(_loss(t, g) for g in chosen for t in g) == pytest.approx(extreme, abs=1e-12)


def test_random_split_is_uniform_over_partitions_and_fixed_by_the_seed() -> None:
    """Over seeds all 15 partitions of five tasks into two occur about alike; a seed repeats."""
    drawn = Counter()
    for seed in range(600):
        _, served = _carry_out("random-split:splits=2", Setting(TASKS, 10, seed=seed))
        drawn[frozenset(s.tasks for s in served)] += 1

    assert set(drawn) == _all_partitions(TASKS, 2)
    expected = 600 / 15
    chi_square = sum((count - expected) ** 2 / expected for count in drawn.values())
    assert chi_square < 36.1  # 99.9 % of 14 degrees of freedom
    once, again = (_carry_out("random-split", Setting(TASKS, 10, seed=3))[1] for _ in range(2))
    assert [s.tasks for s in once] == [s.tasks for s in again]


@pytest.mark.parametrize("text", ["random-split", "best-split"])
def test_no_merged_rounds_train_groups_from_scratch(text: str) -> None:
    """R0 = 0 has no merged job: groups begin in round 0 without weights; R0 = R is all-in-one."""
    engine, _ = _carry_out(f"{text}:merge_rounds=0", Setting(TASKS, 10))
    assert all((job.start, job.rounds, job.first_round) == (None, 10, 0) for job in engine.jobs)

    engine, served = _carry_out(f"{text}:merge_rounds=10", Setting(TASKS, 10))
    assert [job.tasks for job in engine.jobs] == [TASKS]
    assert [s.tasks for s in served] == [TASKS]


def test_mas_options_change_only_what_they_say() -> None:
    """init chooses the starting weights, lr the schedules, affinity_rounds the measured rounds."""
    setting = Setting(TASKS, 10)
    text = "mas:merge_rounds=4,"
    plain = _carry_out("mas:merge_rounds=4", setting)[0].jobs

    encoder = _carry_out(text + "init=encoder", setting)[0].jobs
    assert all(set(job.start.tensors) == {"encoder.w"} for job in encoder[1:])
    scratch = _carry_out(text + "init=scratch", setting)[0].jobs
    assert [(j.start, j.first_round) for j in scratch[1:]] == [(None, 4)] * 2
    restart = _carry_out(text + "lr=restart", setting)[0].jobs
    assert (restart[0].horizon, plain[0].horizon) == (None, 10)
    assert {job.rate_start for job in restart[1:]} == {4}
    assert {job.rate_start for job in plain} == {0}
    few = _carry_out(text + "affinity_rounds=2", setting)[0].jobs
    assert [j.measured_rounds for j in few] == [2, 0, 0]
    assert [j.measured_rounds for j in plain] == [4, 0, 0]


@pytest.mark.parametrize(
    ("text", "rounds"),
    [("tag:splits=2", {5: 10}), ("hoa:splits=2", {1: 50, 2: 100}), ("fedprox", {5: 10}),
     ("standalone", {5: 40}), ("random-split:splits=5,merge_rounds=3", {5: 3, 1: 35}),
     ("best-split:splits=4,merge_rounds=3", {5: 3, 1: 35, 2: 70}),
     ("worst-split:splits=4,merge_rounds=0", {1: 50, 2: 100})],
)  # fmt: skip
def test_cost_in_rounds_by_size_of_group(text: str, rounds: dict[int, int]) -> None:
    """The rounds every method is charged for, by tasks in the job, as the cost formulas say.

    TAG and HOA also train their groups, whose sizes depend on the numbers.
    """
    engine, served = _carry_out(text, Setting(TASKS, 10, clients=4))
    charged = Counter()
    for job in engine.jobs:
        charged[len(job.tasks)] += job.rounds
    more = Counter()
    if text.startswith(("tag", "hoa")):
        least = {"tag": 1, "hoa": 3}[text[:3]]
        for s in served:
            size = len(s.outcome.job.tasks)
            if size >= least and not (text.startswith("tag") and size == 5):
                more[size] += 10

    assert charged == Counter(rounds) + more


@pytest.mark.parametrize(
    ("text", "words"),
    [("fedprox:mu=-1", "at least 0"), ("gradnorm:step=1", "below 1"),
     ("random-split:merge_rounds=11", "11 merged rounds of 10 rounds"),
     ("tag:splits=6", "6 splits of 5 tasks"), ("mas:merge_rounds=0", "0 merged rounds"),
     ("mas:merge_rounds=3,affinity_rounds=4", "4 affinity rounds of 3 merged rounds")],
)  # fmt: skip
def test_impossible_values_show_the_methods_own_help(text: str, words: str) -> None:
    """The problem names value and range, and every parameter of the method is explained."""
    spec = registry.parse(text)
    (problem,) = spec.problems(Setting(TASKS, 10))

    assert words in problem.message
    assert problem.exit_status == 2
    for parameter in registry.METHODS[spec.name].parameters:
        assert f"{parameter.name}=" in problem.remedy
        assert parameter.meaning in problem.remedy


@pytest.mark.parametrize(
    ("text", "words"),
    [("mas:init=decoder", "encoder"), ("fedprox:mu=big", "number"), ("fedprox:mu=nan", "finite"),
     ("mas:splits=2,splits=3", "twice"), ("pcgrad:x=1", "no parameters")],
)  # fmt: skip
def test_values_that_cannot_be_read_show_the_methods_own_help(text: str, words: str) -> None:
    """Wrong words, numbers and repetitions end in a usage error with the method's help."""
    with pytest.raises(UsageError, match=words) as raised:
        registry.parse(text)

    assert registry.METHODS[text.partition(":")[0]].meaning in str(raised.value)


def test_every_method_accepts_its_defaults() -> None:
    """Each method's defaults are possible, and its text gives a name for files."""
    for name in registry.METHODS:
        spec = registry.parse(name)
        unlike = registry.METHODS[name].clients == UNLIKE
        kinds = (TASKS, TASKS[:1]) if unlike else ()
        assert spec.problems(Setting(TASKS, 10, 2, client_tasks=kinds)) == []
        assert spec.slug == name


class _Unvalidated(_Scripted):
    """An engine on data without validation images."""

    def run(self, job: Job) -> Outcome:
        return replace(super().run(job), validation_losses={})


@pytest.mark.parametrize("text", ["hoa", "best-split", "worst-split"])
def test_choosing_needs_validation_images(text: str) -> None:
    """Without them a method that chooses stops with a clear error instead of using test images."""
    schedule = registry.parse(text).schedule(Setting("sdn", 4))

    with pytest.raises(DataError, match="no validation images"):
        carry_out(schedule, _Unvalidated(np.zeros((3, 3)), _loss))
