"""Check learning-rate schedules against their formulas, and that momentum reaches the optimizer."""

from dataclasses import replace

import pytest
import torch

from harness.federated.observer import SilentObserver
from harness.federated.random_streams import random_stream
from harness.workloads.multitask.job import Job
from harness.workloads.multitask.rounds import job_rate
from harness.workloads.multitask.training.batches import ClientBatches
from harness.workloads.multitask.training.client import LocalTraining, RoundSettings, train_client
from harness.workloads.multitask.training.descent import Descent
from models.multitask.network import build
from models.multitask.step import accumulate_gradients


@pytest.mark.parametrize(
    ("round_index", "expected"), [(0, 0.4), (4, 0.4), (5, 0.4), (6, 0.32), (9, 0.08)]
)
def test_hold_keeps_the_rate_for_half_the_rounds_and_then_falls_to_zero(
    round_index: int, expected: float
) -> None:
    """Ten rounds at 0.2 times 2: 0.4 to the middle, then 0.8·(1 − r/10)."""
    assert Descent(schedule="hold", factor=2.0).rate(0.2, round_index, 10) == pytest.approx(
        expected
    )


def test_the_floor_holds_for_both_schedules() -> None:
    assert Descent(schedule="hold").rate(0.1, 10, 10) == 3e-5
    assert Descent().rate(0.1, 10, 10) == 3e-5


def test_a_job_may_bring_its_own_descent() -> None:
    job = Job("s", 10)
    own = replace(job, descent=Descent(schedule="hold"))

    assert job_rate(1.0, own, 4, Descent()) == 1.0
    assert job_rate(1.0, job, 4, Descent()) == pytest.approx(0.6**0.9)


@pytest.mark.parametrize("nesterov", [False, True])
def test_a_client_steps_as_the_formula_says(nesterov, tiny_architecture, tiny_source) -> None:
    """v ← μ·v + g; θ ← θ − η·v, or with Nesterov θ − η·(g + μ·v), written out for three batches."""
    rate, momentum = 0.1, 0.9
    settings = LocalTraining(1, 2, momentum=momentum, weight_decay=0.0, nesterov=nesterov)
    batches = ClientBatches(tiny_source, "train", 0, "d")
    ours, slow = build(tiny_architecture, "d", 0), build(tiny_architecture, "d", 0).train()
    train_client(
        ours, batches, RoundSettings(settings, rate, False), random_stream(0), SilentObserver()
    )

    velocity = [torch.zeros_like(p) for p in slow.parameters()]
    for batch in batches.epoch(2, random_stream(0)):
        slow.zero_grad()
        accumulate_gradients(slow, *batch)
        for v, p in zip(velocity, slow.parameters(), strict=True):
            v.mul_(momentum).add_(p.grad)
            p.data -= rate * (p.grad + momentum * v if nesterov else v)
    for p, q in zip(ours.parameters(), slow.parameters(), strict=True):
        assert torch.allclose(p, q, rtol=1e-4, atol=1e-6)
