"""Newton steps: exact on a quadratic, and counted as they are trained in expectation."""

import numpy as np

from harness.workloads.unlearning.methods.edits import expected_weights, influence_step, sigmoid
from models.unlearning.recommenders import Factors


def test_a_newton_step_on_those_who_stay_is_the_optimum_without_the_others() -> None:
    """On a quadratic loss; with the Hessian of all it is only first order."""
    random = np.random.default_rng(0)
    x, y, ridge = random.normal(size=(9, 3)), random.normal(size=9), 0.5
    gone, keep = [2, 5], [0, 1, 3, 4, 6, 7, 8]

    def optimum(rows):
        return np.linalg.solve(x[rows].T @ x[rows] + ridge * np.eye(3), x[rows].T @ y[rows])

    def moved(rows):
        gradient = x[gone].T @ (x[gone] @ whole - y[gone])
        return whole + np.linalg.solve(x[rows].T @ x[rows] + ridge * np.eye(3), gradient)

    whole = optimum(list(range(9)))
    assert np.abs(moved(keep) - optimum(keep)).max() < 1e-12
    assert np.abs(moved(list(range(9))) - optimum(keep)).max() > 1e-3


def test_a_pair_that_is_not_there_weighs_as_often_as_it_is_drawn() -> None:
    weights = expected_weights(np.array([[True, True, False, False, False]]))
    assert np.allclose(weights, [[1, 1, 2 / 3, 2 / 3, 2 / 3]])
    assert np.isfinite(expected_weights(np.ones((1, 3), dtype=bool))).all()


def test_an_influence_step_solves_each_items_system(carried) -> None:
    """Compared with a loop over users and items, written from the equations."""
    found = carried("influence", epochs=3)
    before = Factors(found.state["users"], found.state["items"])
    gone, kept = np.array([4, 9]), np.setdiff1d(np.arange(60), [4, 9])
    moved, _ = influence_step(found.world, before, gone, kept)
    p, q = (x.numpy().astype(float) for x in (before.users, before.items))
    train, ridge = found.world.data.train, 2 * found.world.training.decay

    def pair(user, item):
        count = train.counts[user]
        liked = item in train.of_user(user)
        weight = 1.0 if liked else count / (50 - count)
        return liked, weight, sigmoid(p[user] @ q[item])

    for item in (0, 7, 31):
        gradient, hessian = np.zeros(8), 1e-6 * np.eye(8)
        for user in gone:
            liked, weight, chance = pair(user, item)
            gradient += weight * ((chance - liked) * p[user] + ridge * q[item])
        for user in kept:
            _, weight, chance = pair(user, item)
            outer = chance * (1 - chance) * np.outer(p[user], p[user])
            hessian += weight * (outer + ridge * np.eye(8))
        expected = q[item] + np.linalg.solve(hessian, gradient)
        assert np.allclose(moved.items[item].numpy(), expected, atol=1e-5)


def test_scif_touches_nobody_else(carried) -> None:
    found = carried("scif")
    before = found.state
    found.forget(5, 6)
    same = (found.state["users"] == before["users"]).all(dim=1).numpy()
    assert np.flatnonzero(~same).tolist() == [5, 6]
    assert found.state["items"] is before["items"]


def test_sigmoid_does_not_overflow() -> None:
    assert sigmoid(np.array([-1e4, 0.0, 1e4])).tolist() == [0.0, 0.5, 1.0]
