"""Control variates move as SCAFFOLD's second option says, for those that came alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.federated.controlled import (
    ControlledAverage,
    changes,
    correction,
    of_client,
    sent,
    uncontrolled,
    with_variates,
)
from harness.federated.prefixed import over

CENTRES = np.array([[1.0, -2.0], [3.0, 0.5], [-4.0, 1.0]])
"""Client k descends on |x − centre_k|²/2, whose gradient is x − centre_k."""

RATE, STEPS = 0.1, 5


def _slow(rounds: list[list[int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, c, own = np.zeros(2), np.zeros(2), np.zeros((3, 2))
    for chosen in rounds:
        ends, moves = [], []
        for k in chosen:
            y = x.copy()
            for _ in range(STEPS):
                y -= RATE * (y - CENTRES[k] - own[k] + c)
            fresh = own[k] - c + (x - y) / (STEPS * RATE)
            moves.append(fresh - own[k])
            own[k] = fresh
            ends.append(y)
        x = np.mean(ends, axis=0)
        c = c + np.sum(moves, axis=0) / 3
    return x, c, own


def _train(got: dict[str, Tensor], client: int) -> dict[str, Tensor]:
    y, corrected = got["x"].clone(), correction(got)["x"]
    for _ in range(STEPS):
        y -= RATE * (y - torch.from_numpy(CENTRES[client]) + corrected)
    trained = {"x": y, "seen": torch.tensor(float(client))}
    return trained | over(of_client(client), changes(got, trained, STEPS * RATE))


def _run(rounds: list[list[int]]) -> dict[str, Tensor]:
    model = {"x": torch.zeros(2, dtype=torch.float64), "seen": torch.tensor(0.0)}
    state = with_variates(model, ["x"])
    for chosen in rounds:
        average = ControlledAverage(float(len(chosen)), state, 3)
        for client in chosen:
            average.add(_train(sent(state, client), client), 1.0)
        state = dict(average.result().tensors)
    return state


def test_rounds_are_those_of_the_paper() -> None:
    rounds = [[0, 1], [2, 0], [1, 2], [0, 1, 2], [2]]
    x, c, own = _slow(rounds)
    state = _run(rounds)
    assert state["x"].numpy() == pytest.approx(x, rel=1e-12)
    assert state["control.x"].numpy() == pytest.approx(c, rel=1e-12)
    for client in range(3):
        assert state[of_client(client) + "x"].numpy() == pytest.approx(own[client], rel=1e-12)


def test_unlike_clients_no_longer_pull_the_mean_aside() -> None:
    """With unlike numbers of steps plain averages drift; variates make up for it."""
    state = _run([[0], [1], [2]] * 60)
    assert state["x"].numpy() == pytest.approx(CENTRES.mean(axis=0), abs=0.05)


def test_a_client_that_never_trained_has_no_variate_but_is_sent_zeros() -> None:
    state = _run([[0, 1]])
    assert not any(name.startswith(of_client(2)) for name in state)
    assert not torch.any(sent(state, 2)["control@own.x"])
    assert set(sent(state, 2)) == {"x", "seen", "control.x", "control@own.x"}


def test_the_model_is_what_is_left() -> None:
    assert set(uncontrolled(_run([[0, 1], [2]]))) == {"x", "seen"}


def test_client_1_is_not_client_11() -> None:
    state = with_variates({"x": torch.zeros(1)}, ["x"]) | {of_client(11) + "x": torch.ones(1)}
    assert float(sent(state, 1)["control@own.x"]) == 0.0
    assert float(sent(state, 11)["control@own.x"]) == 1.0
