"""Check affinity from projected gradients against slow regressions and whole gradients."""

import numpy as np
import pytest
import torch

from harness.workloads.multitask.affinity.projected import image_gradients, pair_effects, projected
from harness.workloads.multitask.methods.registry import parse
from harness.workloads.multitask.methods.schedule import Setting
from harness.workloads.multitask.planning.plan import random_batch
from models.multitask.losses import task_loss
from models.multitask.network import build


def _slow(losses, gradients) -> np.ndarray:
    """Solve every regression with its ridge as rows of their own, by least squares."""
    n, images, size = gradients.shape
    y, x = losses / losses.mean(1)[:, None], gradients / losses.mean(1)[:, None, None]
    ridge = np.mean([row @ row for row in x.reshape(-1, size)])

    def left(j, others, side):
        rows = [(x[t, b], -y[t, b]) for t in (j, *others) for b in range(images) if b % 2 == side]
        a = np.vstack([r for r, _ in rows] + [np.sqrt(ridge) * np.eye(size)])
        step = np.linalg.lstsq(a, np.array([v for _, v in rows] + [0.0] * size), rcond=None)[0]
        return np.mean([y[j, b] + x[j, b] @ step for b in range(images) if b % 2 != side])

    found = np.zeros((n, n))
    for side in (0, 1):
        for j in range(n):
            before = np.mean([y[j, b] for b in range(images) if b % 2 != side])
            for i in range(n):
                both = left(j, () if i == j else (i,), side)
                found[j, i] += ((before if i == j else left(j, (), side)) - both) / 2
    return found


@pytest.mark.parametrize("images", [2, 3, 6])
def test_pairs_are_what_least_squares_finds(images: int) -> None:
    random = np.random.default_rng(images)
    losses, gradients = random.uniform(0.5, 2.0, (4, images)), random.normal(size=(4, images, 9))

    assert pair_effects(losses, gradients) == pytest.approx(_slow(losses, gradients), abs=1e-9)


def test_helpers_help_and_foes_harm_with_the_recipient_in_the_row() -> None:
    """a and b fall along one direction, c against it; c's loss is five times as steep."""
    along = np.zeros((3, 4, 6))
    along[0, :, 0] = along[1, :, 0] = 1.0
    along[2, :, 0] = -5.0

    z = pair_effects(np.ones((3, 4)), along)

    assert z[0, 1] > 0 > z[0, 2]
    assert z[1, 2] == pytest.approx(z[0, 2])
    assert z[0, 2] != pytest.approx(z[2, 0])
    assert (np.diag(z) > 0).all()


def test_a_batch_that_says_nothing_shows_no_effect() -> None:
    """One image has none to look at; a task without labels neither helps nor is helped."""
    assert not pair_effects(np.ones((2, 1)), np.ones((2, 1, 3))).any()
    random = np.random.default_rng(0)
    losses, gradients = np.ones((3, 4)), random.normal(size=(3, 4, 5))
    losses[1] = gradients[1] = 0.0

    z = pair_effects(losses, gradients)

    assert not z[1].any()
    assert not z[:, 1].any()
    assert z[0, 2]


def test_projected_products_are_those_of_whole_gradients(tiny_architecture) -> None:
    """Losses exactly; inner products but for the noise of the projection, which falls with size."""
    net, batch = build(tiny_architecture, "dnk", 0).train(), random_batch("dnk", 2, 8)
    state = {k: v.clone() for k, v in net.state_dict().items()}
    losses, short = image_gradients(net, batch, 4096)
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())
    assert net.training
    assert all(p.grad is None for p in net.parameters())

    net.eval()
    whole = []
    for row, task in enumerate("dnk"):
        for b in range(2):
            image, target = batch[0][b : b + 1], batch[1][task][b : b + 1]
            loss = task_loss(task, net(image)[task], target)
            assert losses[row, b] == pytest.approx(float(loss.detach()), rel=1e-5)
            found = torch.autograd.grad(loss, list(net.encoder.parameters()))
            whole.append(torch.cat([g.flatten() for g in found]))
    exact = torch.stack(whole).double().numpy()
    products, ours = exact @ exact.T, np.einsum("id,jd->ij", *[short.reshape(6, -1)] * 2)
    size = np.sqrt(np.outer(np.diag(products), np.diag(products)))
    assert (np.abs(products - ours) / size).max() < 0.15


def test_training_is_the_same_with_and_without() -> None:
    """The matrix is a function of net and batch alone."""
    from models.multitask.registry import architecture  # noqa: PLC0415

    net, batch = build(architecture("small"), "dk", 0).train(), random_batch("dk", 2, 16)
    assert np.array_equal(projected(net, batch), projected(net, batch))


def test_momentum_is_refused() -> None:
    (problem,) = parse("mas:affinity=projected,momentum=yes").problems(Setting("sdn", 10))
    assert "no step" in problem.message
