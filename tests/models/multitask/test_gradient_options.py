"""Check FedProx, GradNorm and PCGrad against hand calculations and plain automatic derivatives."""

import math

import numpy as np
import pytest
import torch

from models.multitask.gradnorm import GradNormStep, adapted
from models.multitask.losses import named, task_loss
from models.multitask.network import build
from models.multitask.pcgrad import ProjectedStep, projected_sum
from models.multitask.proximal import ProximalStep
from models.multitask.registry import architecture
from models.multitask.step import accumulate_gradients

TASKS = "dnk"


def _net():
    return build(architecture("small"), TASKS, 0).double().train()


def _batch(seed: int = 1):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(2, 3, 16, 16, generator=generator, dtype=torch.float64)
    channels = {"d": 1, "n": 3, "k": 1}
    targets = {
        t: torch.rand(2, c, 16, 16, generator=generator, dtype=torch.float64)
        for t, c in channels.items()
    }
    return images, targets


def _task_gradients(net, images, targets) -> dict[str, list[torch.Tensor]]:
    """Differentiate each task's loss apart, in all parameters, with nothing scaled."""
    found = {}
    for task in TASKS:
        loss = task_loss(task, net(images)[task], targets[task])
        gradients = torch.autograd.grad(loss, list(net.parameters()), allow_unused=True)
        found[task] = [
            torch.zeros_like(p) if g is None else g
            for g, p in zip(gradients, net.parameters(), strict=True)
        ]
    return found


def _assert_gradients(net, expected: list[torch.Tensor]) -> None:
    for parameter, wanted in zip(net.parameters(), expected, strict=True):
        assert torch.allclose(parameter.grad, wanted, rtol=1e-7, atol=1e-10)


def test_proximal_adds_mu_times_the_way_from_the_global_model() -> None:
    """Every parameter's gradient grows by mu·(θ − θ_global); at the start by nothing."""
    images, targets = _batch()
    net = _net()
    step = ProximalStep(net, 0.3)
    start = [p.detach().clone() for p in net.parameters()]
    with torch.no_grad():
        for index, parameter in enumerate(net.parameters()):
            parameter.add_(0.01 * (index + 1))
    step(images, targets)
    ours = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    losses = accumulate_gradients(net, images, targets)

    for index, (parameter, before) in enumerate(zip(net.parameters(), start, strict=True)):
        moved = parameter.detach() - before
        assert torch.allclose(moved, torch.full_like(moved, 0.01 * (index + 1)))
        assert torch.allclose(ours[index], parameter.grad + 0.3 * moved, atol=1e-12)
    again = step(images, targets)
    assert {t: float(v) for t, v in again.items()} == pytest.approx(
        {t: float(v) for t, v in losses.items()}
    )


def test_projection_of_two_vectors_by_hand() -> None:
    """(1, 0) and (-1, 1): each loses its part along the other; together (1/2, 3/2)·…

    g1 = (1, 0) - (-1/2)·(-1, 1) = (1/2, 1/2); g2 = (-1, 1) - (-1)·(1, 0) = (0, 1).
    """
    one, two = torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 1.0])

    total = projected_sum([one, two], np.random.default_rng(0))

    assert torch.allclose(total, torch.tensor([0.5, 1.5]))


def test_gradients_that_agree_are_left_alone() -> None:
    """Without a negative inner product the result is the plain sum, whatever the order."""
    vectors = [torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0]), torch.tensor([0.0, 2.0])]

    assert torch.equal(projected_sum(vectors, np.random.default_rng(1)), torch.tensor([2.0, 3.0]))


def test_three_gradients_follow_the_drawn_order() -> None:
    """Against a slow version with the same draws: each task meets the others' original gradients
    one after another.
    """
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(4, 3))
    orders = np.random.default_rng(7)
    expected = np.zeros(3)
    for i in range(4):
        own = vectors[i].copy()
        for j in orders.permutation(4):
            if j != i and own @ vectors[j] < 0:
                own = own - (own @ vectors[j]) / (vectors[j] @ vectors[j]) * vectors[j]
        expected += own

    ours = projected_sum(list(torch.from_numpy(vectors)), np.random.default_rng(7))

    assert ours.numpy() == pytest.approx(expected, abs=1e-12)


def test_projected_step_projects_the_encoder_only() -> None:
    """Decoders get their own gradient; the encoder gets 1/√n of the projected sum."""
    images, targets = _batch()
    net = _net()
    apart = _task_gradients(net, images, targets)
    size = len(list(net.encoder.parameters()))
    flat = [torch.cat([g.flatten() for g in apart[t][:size]]) for t in TASKS]
    projected = projected_sum(flat, np.random.default_rng(3)) / math.sqrt(3)
    assert not torch.allclose(projected, sum(flat) / math.sqrt(3))  # there is a conflict here

    ProjectedStep(net, np.random.default_rng(3))(images, targets)

    pieces = projected.split([p.numel() for p in net.encoder.parameters()])
    encoder = [p.view_as(q) for p, q in zip(pieces, net.encoder.parameters(), strict=True)]
    decoders = [sum(apart[t][i] for t in TASKS) for i in range(size, len(apart["d"]))]
    _assert_gradients(net, encoder + decoders)


def test_gradnorm_begins_as_the_plain_step_and_then_weighs() -> None:
    """First batch: weights of 1, so the plain gradients; second: Σ w_i g_i for all parameters."""
    images, targets = _batch()
    net, plain = _net(), _net()
    step = GradNormStep(net, 1.5, 0.1)
    first = step(images, targets)
    assert {t: float(v) for t, v in first.items()} == pytest.approx(
        {t: float(v) for t, v in accumulate_gradients(plain, images, targets).items()}
    )
    _assert_gradients(net, [p.grad for p in plain.parameters()])

    weights = dict(step.weights)
    assert sum(weights.values()) == pytest.approx(3)
    assert len(set(weights.values())) > 1
    images, targets = _batch(2)
    apart = _task_gradients(net, images, targets)
    net.zero_grad()
    step(images, targets)

    size = len(list(net.encoder.parameters()))
    scales = [1 / math.sqrt(3)] * size + [1.0] * (len(apart["d"]) - size)
    expected = [scale * sum(weights[t] * apart[t][i] for t in TASKS)
                for i, scale in enumerate(scales)]  # fmt: skip
    _assert_gradients(net, expected)


def test_weights_move_against_the_slope_and_sum_to_their_number() -> None:
    """Norms 3, 1 of alike progress have the mean 2 as target: 1 loses a tenth, 2 gains it."""
    weights = adapted({"a": 1.0, "b": 1.0}, {"a": 3.0, "b": 1.0}, {"a": 0.5, "b": 0.5}, 1.5, 0.1)
    assert weights == pytest.approx({"a": 0.9, "b": 1.1})

    # progress 0.4 and 1.2: rates 0.5 and 1.5; targets 2·0.5^2 = 0.5 and 2·1.5^2 = 4.5
    weights = adapted({"a": 1.5, "b": 0.5}, {"a": 1.0, "b": 3.0}, {"a": 0.4, "b": 1.2}, 2.0, 0.1)
    assert weights == pytest.approx({"a": 1.35 * 2 / 1.9, "b": 0.55 * 2 / 1.9})


def test_a_batch_without_labels_of_a_task_moves_no_weight() -> None:
    """Depth without any label has no loss and no rate: weights wait for a batch that has all."""
    images, targets = _batch()
    gaps = {**targets, "d": torch.full_like(targets["d"], torch.nan)}
    net = build(architecture("small"), TASKS, 0, named("masked", masked=True)).double().train()
    step = GradNormStep(net, 1.5, 0.1)

    assert float(step(images, gaps)["d"]) == 0.0
    assert step.weights == dict.fromkeys(TASKS, 1.0)
    step(images, targets)
    assert step.weights != dict.fromkeys(TASKS, 1.0)
    assert all(p.grad.isfinite().all() for p in net.parameters())


def test_weights_on_target_stay() -> None:
    """Equal norms and equal progress leave the weights where they are."""
    same = {"a": 2.0, "b": 2.0}
    assert adapted({"a": 1.2, "b": 0.8}, same, same, 1.5, 0.5) == {"a": 1.2, "b": 0.8}


def test_weights_stay_positive_and_normed_over_many_steps() -> None:
    """After any number of random steps no weight is zero or less and the sum is n."""
    rng = np.random.default_rng(0)
    weights = dict.fromkeys("abcd", 1.0)
    for _ in range(500):
        norms, progress = (
            dict(zip("abcd", rng.uniform(0.1, 5, 4).tolist(), strict=True)) for _ in "xy"
        )
        weights = adapted(weights, norms, progress, 1.5, 0.3)
        assert min(weights.values()) > 0
        assert sum(weights.values()) == pytest.approx(4)
