"""Losses by hand, LightGCN against dense matrices, gradients that reach the right rows."""

import numpy as np
import pytest
import torch

from models.unlearning.recommenders import Factors, batch_loss, begin, graph, propagated

USER, LIKED, DRAWN = [0, 1, 0], [2, 0, 1], [1, 1, 0]
BATCH = torch.tensor([USER, LIKED, DRAWN])


def factors(seed=0):
    return begin(3, 4, 5, np.random.default_rng(seed))


def by_hand(model, p, q, decay):
    total = 0.0
    for u, i, j in zip(USER, LIKED, DRAWN, strict=True):
        s, t = p[u] @ q[i], p[u] @ q[j]
        if model == "wmf":
            total += np.log1p(np.exp(-s)) + np.log1p(np.exp(t))
        else:
            total += np.log1p(np.exp(-(s - t)))
        total += decay * (p[u] @ p[u] + q[i] @ q[i] + q[j] @ q[j])
    return total / len(USER)


@pytest.mark.parametrize("model", ["wmf", "bpr"])
def test_losses_are_those_of_their_definitions(model) -> None:
    own = factors()
    p, q = own.users.numpy().astype(float), own.items.numpy().astype(float)
    found = float(batch_loss(model, own, BATCH, 0.25))
    assert found == pytest.approx(by_hand(model, p, q, 0.25), rel=1e-5)


def test_lightgcn_is_the_mean_of_layers_of_the_normalised_graph() -> None:
    """Against dense matrices: D^-1/2 A D^-1/2 applied up to three times."""
    own = factors()
    user, item = np.array([0, 0, 1, 2]), np.array([0, 2, 2, 3])
    dense = np.zeros((7, 7))
    dense[user, item + 3] = dense[item + 3, user] = 1.0
    degree = np.maximum(dense.sum(axis=1), 1.0)
    dense /= np.sqrt(degree[:, None] * degree)
    layers = [np.concatenate([own.users.numpy(), own.items.numpy()]).astype(float)]
    for _ in range(3):
        layers.append(dense @ layers[-1])
    expected = np.mean(layers, axis=0)
    found = propagated(own, graph(3, 4, (user, item)))
    assert np.allclose(np.concatenate([found.users, found.items]), expected, atol=1e-6)


def test_who_has_no_neighbours_is_a_quarter_of_itself() -> None:
    own = factors()
    found = propagated(own, graph(3, 4, (np.array([0]), np.array([0]))))
    assert torch.allclose(found.users[2], own.users[2] / 4)


def test_a_drawing_depends_on_the_stream_alone() -> None:
    assert torch.equal(factors(1).items, factors(1).items)
    assert not torch.equal(factors(1).items, factors(2).items)
    assert factors().bytes == 4 * 5 * (3 + 4)
    assert factors().users.std() == pytest.approx(0.1, rel=0.5)


def test_only_vectors_that_a_batch_meets_get_a_gradient() -> None:
    own = Factors(*(x.requires_grad_() for x in (factors().users, factors().items)))
    torch.autograd.backward(batch_loss("wmf", own, BATCH, 0.01))
    assert own.users.grad is not None
    assert own.items.grad is not None
    assert own.users.grad.any(dim=1).tolist() == [True, True, False]
    assert own.items.grad.any(dim=1).tolist() == [True, True, True, False]
