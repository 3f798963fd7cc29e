"""Check that merged rounds are measured until the split is sure, and no longer."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from harness.core.errors import UsageError
from harness.federated.job import Checkpoint
from harness.workloads.multitask.affinity.matrix import Affinity, ClientAffinity, combine_clients
from harness.workloads.multitask.job import Job, Outcome
from harness.workloads.multitask.methods.registry import parse
from harness.workloads.multitask.methods.schedule import Setting, carry_out

BLOCKS = np.array([[0.2 if i == j else (0.1 if i // 2 == j // 2 else -0.1) for i in range(4)]
                   for j in range(4)])  # fmt: skip
"""Tasks in the order s, d, k, t: s and d help each other, so do k and t."""


class _Clients:
    """Answer jobs with what two clients measure: agreed from a round on, contrary before."""

    def __init__(self, agreed_from: int) -> None:
        self.agreed_from = agreed_from
        self.jobs: list[Job] = []

    def run(self, job: Job) -> Outcome:
        self.jobs.append(job)
        weights = Checkpoint({"encoder.w": torch.full((1,), float(len(self.jobs)))})
        rounds = [
            combine_clients(index, [
                ClientAffinity(0, BLOCKS * (1 + index), 1),
                ClientAffinity(1, BLOCKS * (100.0 if index >= self.agreed_from else -0.9), 1),
            ])
            for index in range(job.first_round, job.first_round + job.measured_rounds)
        ]  # fmt: skip
        affinity = Affinity(job.tasks, tuple(rounds)) if rounds else None
        return Outcome(job, weights, dict.fromkeys(job.tasks, 1.0), affinity)


def _jobs(text: str, agreed_from: int, tasks: str = "sdkt") -> Sequence[Job]:
    engine = _Clients(agreed_from)
    carry_out(parse(text).schedule(Setting(tasks, 20)), engine)
    return engine.jobs


def _merged(jobs: Sequence[Job]) -> list[tuple[int, int, bool, int | None]]:
    return [(j.first_round, j.rounds, j.measure_affinity, j.affinity.every)
            for j in jobs if j.tasks == "sdkt"]  # fmt: skip


def test_it_stops_measuring_as_soon_as_clients_agree() -> None:
    """Two rounds at least; the four merged rounds that are left look ahead no more."""
    jobs = _jobs("mas:sure=0.8", agreed_from=0)
    assert _merged(jobs) == [(0, 1, True, 8), (1, 1, True, 4), (2, 4, False, None)]
    assert [j.tasks for j in jobs[3:]] == ["sd", "kt"]


def test_it_looks_ahead_twice_as_often_each_round_while_it_is_not_sure() -> None:
    jobs = _jobs("mas:sure=0.99,affinity_every=4", agreed_from=99)
    assert _merged(jobs) == [(r, 1, True, every) for r, every in enumerate([4, 2, 1, 1, 1, 1])]


def test_the_parts_make_up_the_merged_job() -> None:
    """Each goes on from the one before at the whole job's rate, and only the last is judged."""
    jobs = _jobs("mas:sure=0.8", agreed_from=0)[:3]
    assert [j.passing for j in jobs] == [True, True, False]
    assert {j.horizon for j in jobs} == {20}
    assert {j.rate_start for j in jobs} == {0}
    assert jobs[0].start is None
    assert [float(j.start.tensors["encoder.w"]) for j in jobs[1:]] == [1.0, 2.0]


def test_affinity_rounds_bound_how_long_it_is_measured() -> None:
    jobs = _jobs("mas:sure=0.99,affinity_rounds=3", agreed_from=99)
    assert _merged(jobs) == [
        (0, 1, True, 8), (1, 1, True, 4), (2, 1, True, 2), (3, 3, False, None),
    ]  # fmt: skip


@pytest.mark.parametrize("method", ["mas", "mas-plus", "tag", "mas-together"])
def test_every_method_that_splits_by_affinity_can_be_asked_and_asks_nothing_by_default(method):
    assert len(_merged(_jobs(f"{method}:sure=0.8", 0))) >= 3
    first = _jobs(method, 0)[0]
    assert first.rounds == (20 if method == "tag" else 6)


def test_a_share_that_is_none_is_refused() -> None:
    spec = parse("mas:sure=1.5")
    (problem,) = spec.problems(Setting("sdkt", 20))
    assert "sure must be below 1" in problem.message
    with pytest.raises(UsageError, match="number"):
        parse("mas:sure=very")
