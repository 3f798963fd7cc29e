"""Check the schedule of MAS-plus: how its jobs train, and that it splits only where that pays."""

from collections.abc import Sequence

import numpy as np
import pytest

from harness.federated.job import Checkpoint
from harness.workloads.multitask.affinity.matrix import Affinity, RoundAffinity
from harness.workloads.multitask.affinity.rule import AffinityRule
from harness.workloads.multitask.codec import MultitaskCodec
from harness.workloads.multitask.job import Job, Outcome
from harness.workloads.multitask.methods.registry import parse
from harness.workloads.multitask.methods.schedule import Setting, carry_out
from harness.workloads.multitask.training.descent import Descent
from models.multitask.weighting import Balanced

STRANGERS = np.diag([0.1] * 4)
FOES = np.array([[0.2 if i == j else (0.1 if i // 2 == j // 2 else -0.2) for i in range(4)]
                 for j in range(4)])  # fmt: skip
"""Tasks in the order s, d, k, t: s and d help each other, so do k and t; else they harm."""


class _Paper:
    """Answer jobs with a given affinity, and train nothing."""

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = matrix
        self.jobs: list[Job] = []

    def run(self, job: Job) -> Outcome:
        self.jobs.append(job)
        measured = RoundAffinity(0, self.matrix, self.matrix * 0, 1, ())
        found = Affinity(job.tasks, (measured,) * 3) if job.measure_affinity else None
        return Outcome(job, Checkpoint({}), dict.fromkeys(job.tasks, 1.0), found)


def _jobs(text: str, matrix: np.ndarray) -> Sequence[Job]:
    paper = _Paper(matrix)
    carry_out(parse(text).schedule(Setting("sdkt", 10)), paper)
    return paper.jobs


def test_tasks_that_do_not_harm_each_other_stay_merged() -> None:
    assert [(j.tasks, j.first_round, j.rounds) for j in _jobs("mas-plus", STRANGERS)] == [
        ("sdkt", 0, 3), ("sdkt", 3, 7),
    ]  # fmt: skip


def test_tasks_that_harm_each_other_are_split() -> None:
    assert [j.tasks for j in _jobs("mas-plus", FOES)] == ["sdkt", "sd", "kt"]


def test_all_jobs_train_balanced_and_by_the_same_descent() -> None:
    for job in _jobs("mas-plus", FOES):
        assert job.local == Balanced()
        assert job.descent == Descent("nesterov", "hold", 1.0)
        assert (job.horizon or job.last_round) == 10


def test_affinity_is_measured_cheaply_and_briefly() -> None:
    merged, *groups = _jobs("mas-plus", FOES)

    assert merged.affinity == AffinityRule("linear")
    assert (merged.measured_rounds, [g.measured_rounds for g in groups]) == (2, [0, 0])


def test_a_short_run_measures_in_the_rounds_it_has() -> None:
    """Three rounds merge for one: affinity is measured in that one, and nothing is refused."""
    setting = Setting("sdkt", 3)
    paper = _Paper(FOES)
    carry_out(parse("mas-plus").schedule(setting), paper)

    assert parse("mas-plus").problems(setting) == []
    assert paper.jobs[0].measured_rounds == paper.jobs[0].rounds == 1


def test_without_its_parts_it_is_mas() -> None:
    """Every idea can be taken away; what is left yields the jobs of `mas`."""
    bare = "mas-plus:balance=no,optimizer=heavy-ball,schedule=polynomial,pays=no,splits=2,"
    ours = _jobs(bare + "affinity=exact,affinity_rounds=3", FOES)
    plain = _jobs("mas:splits=2,affinity_rounds=3", FOES)

    assert [(j.tasks, j.rounds, j.first_round, j.horizon, j.affinity, j.local) for j in ours] == [
        (j.tasks, j.rounds, j.first_round, j.horizon, j.affinity, j.local) for j in plain
    ]
    assert {j.descent for j in ours} == {Descent()}


@pytest.mark.parametrize(("splits", "groups"), [(1, ["sdkt"]), (2, ["sd", "kt"])])
def test_there_are_never_more_groups_than_asked_for(splits: int, groups: list[str]) -> None:
    assert [j.tasks for j in _jobs(f"mas-plus:splits={splits}", FOES)][1:] == groups


def test_detail_is_how_hard_tasks_of_fine_structure_pull() -> None:
    for job in _jobs("mas-plus:detail=1.5", FOES):
        assert job.local == Balanced(1.5)
    for job in _jobs("mas-plus:logs=yes", FOES):
        assert job.local == Balanced(1.0, logs=True)


def test_effort_is_the_share_of_the_rounds_that_every_task_is_trained_for() -> None:
    """0.78 of 10 rounds are 8: three merged, five more of each group, and the rate ends there."""
    jobs = _jobs("mas-plus:effort=0.78", FOES)
    assert [(j.tasks, j.first_round, j.rounds) for j in jobs] == [
        ("sdkt", 0, 3), ("sd", 3, 5), ("kt", 3, 5),
    ]  # fmt: skip
    assert {j.horizon or j.last_round for j in jobs} == {8}


def test_less_effort_than_merged_rounds_leaves_the_merged_model() -> None:
    (job,) = _jobs("mas-plus:effort=0.2,affinity_rounds=1", FOES)
    assert (job.rounds, job.measured_rounds) == (2, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("effort=1.1", "at most 1.0"), ("effort=0", "at least 0.01"),
        ("detail=-1", "at least 0.0"), ("detail=2,balance=no", "does nothing with balance=no"),
        ("logs=yes,balance=no", "does nothing with balance=no"),
    ],
)  # fmt: skip
def test_impossible_shares_are_refused_in_words(text: str, words: str) -> None:
    (problem,) = parse("mas-plus:" + text).problems(Setting("sdkt", 10))
    assert words in problem.message


def test_a_job_with_usual_pull_is_written_as_it_ever_was() -> None:
    """Runs that were begun by earlier versions still go on."""
    usual, pulled = (Job("sd", 2, local=Balanced(detail)) for detail in (1.0, 1.5))
    assert MultitaskCodec.job(usual)["local"] == ["Balanced", {}]
    assert MultitaskCodec.job(pulled)["local"] == ["Balanced", {"detail": 1.5}]
