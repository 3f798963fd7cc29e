"""Check client choice, the learning-rate schedule and FedAvg against hand-made values."""

import subprocess
import sys

import pytest
import torch

from harness.federated.server import FederatedAverage
from harness.workloads.multitask.rounds import choose_clients
from harness.workloads.multitask.training.descent import polynomial_rate


def test_average_weighs_by_data_size() -> None:
    """Clients of 1 and 3 images contribute ¼ and ¾, batch-norm statistics alike."""
    one = {"w": torch.tensor([0.0, 4.0]), "bn.running_mean": torch.tensor([8.0])}
    two = {"w": torch.tensor([4.0, 0.0]), "bn.running_mean": torch.tensor([0.0])}
    average = FederatedAverage(4.0)

    average.add(one, 1)
    average.add(two, 3)

    result = average.result().tensors
    assert torch.equal(result["w"], torch.tensor([3.0, 1.0]))
    assert torch.equal(result["bn.running_mean"], torch.tensor([2.0]))


def test_average_of_identical_models_is_that_model() -> None:
    """Averaging equals changes nothing; integer counters come back as the same integers."""
    model = {"w": torch.tensor([0.1, -7.25]), "counter": torch.tensor(123)}
    average = FederatedAverage(5.0)

    for weight in (1, 1, 3):
        average.add(model, weight)

    result = average.result().tensors
    assert torch.allclose(result["w"], model["w"], rtol=1e-6)
    assert result["counter"].dtype == torch.int64
    assert int(result["counter"]) == 123


def test_average_does_not_depend_on_the_order() -> None:
    """The order in which clients arrive changes the average by rounding at most."""
    generator = torch.Generator().manual_seed(0)
    models = [{"w": torch.rand(50, generator=generator)} for _ in range(4)]
    forward, backward = FederatedAverage(10.0), FederatedAverage(10.0)

    for weight, model in enumerate(models, 1):
        forward.add(model, weight)
    for weight, model in reversed(list(enumerate(models, 1))):
        backward.add(model, weight)

    ours, theirs = forward.result().tensors, backward.result().tensors
    assert torch.allclose(ours["w"], theirs["w"], atol=1e-7)


def test_chosen_clients_are_distinct_and_differ_between_rounds() -> None:
    """K of N clients are drawn without replacement, anew every round, from the whole population."""
    rounds = [choose_clients(0, r, 16, 4) for r in range(60)]

    assert all(len(set(chosen)) == 4 for chosen in rounds)
    assert len({tuple(chosen) for chosen in rounds}) > 50
    assert {client for chosen in rounds for client in chosen} == set(range(16))


def test_chosen_clients_are_the_same_in_any_process() -> None:
    """Neither the process nor its hash seed changes who takes part."""
    code = (
        "from harness.workloads.multitask.rounds import choose_clients as c; print(c(3, 7, 16, 4))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": hash_seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("0", "1", "77")
    }

    assert printed == {str(choose_clients(3, 7, 16, 4))}


@pytest.mark.parametrize(
    ("round_index", "expected"), [(0, 0.1), (50, 0.1 * 0.5**0.9), (99, 0.1 * 0.01**0.9)]
)
def test_learning_rate_follows_the_polynomial(round_index: int, expected: float) -> None:
    """Round r of R trains at lr·(1 − r/R)^0.9."""
    assert polynomial_rate(0.1, round_index, 100) == pytest.approx(expected)


def test_learning_rate_stops_at_its_floor() -> None:
    """The schedule never falls below the published minimum, nor rises above its own start."""
    assert polynomial_rate(0.1, 100, 100) == 3e-5
    assert polynomial_rate(1e-6, 0, 100) == 1e-6


def test_a_client_that_does_not_come_leaves_the_others_weighted_mean() -> None:
    """Of weights 1, 2 and 3 with the last one missing, the average is (1·a + 2·b) / 3."""
    average = FederatedAverage(6.0)
    average.add({"w": torch.tensor([3.0])}, 1.0)
    average.add({"w": torch.tensor([6.0])}, 2.0)

    assert average.result().tensors["w"].item() == pytest.approx(5.0)
