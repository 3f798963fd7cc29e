"""Decoders that run side by side compute what each computes by itself."""

from __future__ import annotations

import copy

import pytest
import torch

from harness.workloads.multitask.planning.plan import random_batch
from models.execution import PLAIN, Execution, parse_execution
from models.multitask.apart import decode_apart
from models.multitask.network import MultiTaskNet, build
from models.multitask.registry import architecture

TASKS = "sdnkt"


def pair(execution: Execution) -> tuple[MultiTaskNet, MultiTaskNet]:
    """Return a network whose decoders run side by side, and a copy whose run one by one."""
    together = build(architecture("small"), TASKS, 3).execute_as(execution).train()
    alone = copy.deepcopy(together)
    alone.together = None
    return together, alone


def close(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    """Say whether they differ by no more than rounding does, measured by the largest entry."""
    return bool((ours - theirs).abs().max() <= 1e-5 * theirs.abs().max().clamp_min(1e-6))


@pytest.mark.parametrize("execution", [PLAIN, parse_execution("contiguous")], ids=lambda e: e.text)
@pytest.mark.parametrize("weights", [None, {"s": 0.5, "d": 2.0, "n": 1.0, "k": 0.25, "t": 3.0}])
def test_losses_gradients_and_statistics_are_those_of_decoders_one_by_one(
    execution: Execution, weights: dict[str, float] | None
) -> None:
    """To 1e-5: loss and gradient of every task, decoder weights, batch-norm statistics."""
    together, alone = pair(execution)
    images, targets = random_batch(TASKS, 4, 32)
    features = together.encode(images).detach()
    ours = list(decode_apart(together, features, targets, weights))
    theirs = list(decode_apart(alone, features, targets, weights))
    assert [task for task, *_ in ours] == list(TASKS)
    for (_, loss, gradient), (_, other_loss, other_gradient) in zip(ours, theirs, strict=True):
        assert float(loss) == pytest.approx(float(other_loss), rel=1e-5)
        assert close(gradient, other_gradient)
    for mine, other in zip(
        together.decoders.parameters(), alone.decoders.parameters(), strict=True
    ):
        assert mine.grad is not None
        assert other.grad is not None
        assert close(mine.grad, other.grad)
    for mine, other in zip(together.decoders.buffers(), alone.decoders.buffers(), strict=True):
        assert close(mine.double(), other.double())


def test_a_tasks_gradient_is_of_its_own_loss() -> None:
    """With the labels of one task changed, the gradients of the others stay to the last bit."""
    together, _ = pair(PLAIN)
    images, targets = random_batch(TASKS, 4, 32)
    features = together.encode(images).detach()
    before = {t: g.clone() for t, _, g in decode_apart(together, features, targets)}
    changed = {**targets, "d": targets["d"] + 1.0}
    after = {t: g for t, _, g in decode_apart(together, features, changed)}
    assert [t for t in TASKS if not torch.equal(before[t], after[t])] == ["d"]


def test_statistics_rest_outside_training() -> None:
    """In evaluation mode the stored statistics are used and stay."""
    together, alone = pair(PLAIN)
    images, targets = random_batch(TASKS, 4, 32)
    features = together.encode(images).detach()
    together.eval()
    alone.eval()
    before = [buffer.clone() for buffer in together.buffers()]
    ours = [float(loss) for _, loss, _ in decode_apart(together, features, targets)]
    theirs = [float(loss) for _, loss, _ in decode_apart(alone, features, targets)]
    assert ours == pytest.approx(theirs, rel=1e-5)
    assert all(map(torch.equal, before, together.buffers()))


def test_a_single_task_and_large_decoders_run_one_by_one() -> None:
    """Side by side is for several decoders of an architecture whose decoders are small."""
    assert build(architecture("small"), "s", 0).together is None
    assert build(architecture("xception"), "sd", 0).together is None
    assert build(architecture("small"), "sd", 0).together is not None
