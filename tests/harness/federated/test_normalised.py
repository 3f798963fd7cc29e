"""Changes are averaged per step (FedNova); with momentum, steps count as they enter them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.federated.normalised import STEPS, NormalisedAverage, effective_steps


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_steps_are_what_sgd_makes_of_a_gradient_of_one(
    steps: int, momentum: float, *, nesterov: bool
) -> None:
    if nesterov and momentum == 0.0:
        pytest.skip("torch has no Nesterov momentum of 0")
    weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0, momentum=momentum, nesterov=nesterov)
    for _ in range(steps):
        weight.grad = torch.ones(1, dtype=torch.float64)
        optimizer.step()
    assert effective_steps(steps, momentum, nesterov=nesterov) == pytest.approx(-weight.item())


def test_the_average_is_that_of_the_paper() -> None:
    rng = np.random.default_rng(3)
    before = rng.normal(size=4)
    clients = [(rng.normal(size=4), steps, images) for steps, images in ((2, 10), (5, 30), (9, 8))]
    total = sum(images for _, _, images in clients)
    along = sum(n / total * (after - before) / steps for after, steps, n in clients)
    mean_steps = sum(n / total * steps for _, steps, n in clients)
    average = NormalisedAverage(float(total), {"w": torch.from_numpy(before)}, ["w"])
    for after, steps, images in clients:
        told = {"w": torch.from_numpy(after), "seen": torch.tensor(float(steps)),
                STEPS: torch.tensor(float(steps))}  # fmt: skip
        average.add(told, images)
    found = average.result().tensors
    assert found["w"].numpy() == pytest.approx(before + mean_steps * along, rel=1e-12)
    assert float(found["seen"]) == pytest.approx(mean_steps)
    assert STEPS not in found


def test_clients_that_do_not_come_leave_the_others_average() -> None:
    before = {"w": torch.zeros(1, dtype=torch.float64)}
    average = NormalisedAverage(100.0, before, ["w"])
    steps = torch.tensor(4.0)
    average.add({"w": torch.ones(1, dtype=torch.float64), STEPS: steps}, 25.0)
    assert float(average.result().tensors["w"]) == pytest.approx(1.0)


@pytest.mark.parametrize("steps", [0.0, -1.0, float("nan")])
def test_an_update_of_no_steps_is_refused(steps: float) -> None:
    average = NormalisedAverage(1.0, {"w": torch.zeros(1)}, ["w"])
    with pytest.raises(ValueError, match="steps"):
        average.add({"w": torch.ones(1), STEPS: torch.tensor(steps)}, 1.0)
