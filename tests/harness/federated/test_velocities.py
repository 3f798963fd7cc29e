"""Velocities travel under names of their own and are averaged like weights."""

import pytest
import torch

from harness.federated.server import FederatedAverage
from harness.federated.velocities import VELOCITY, at_rest, named, velocities, without

MODEL = {"w": torch.tensor([1.0, 2.0]), "seen": torch.tensor(3)}


def test_a_model_begins_at_rest() -> None:
    moving = at_rest(MODEL, ["w"])
    assert {n: t.tolist() for n, t in moving.items()} == {VELOCITY + "w": [0.0, 0.0]}
    assert without({**MODEL, **moving}).keys() == MODEL.keys()


def test_names_of_velocities_are_those_of_parameters_again() -> None:
    assert velocities({**MODEL, **named({"w": MODEL["w"]})}).keys() == {"w"}


def test_two_clients_velocities_are_averaged_by_their_images() -> None:
    """By hand: (1·[4, 0] + 3·[0, 8]) / 4 = [1, 6]."""
    average = FederatedAverage(4.0)
    for velocity, images in (([4.0, 0.0], 1.0), ([0.0, 8.0], 3.0)):
        average.add({**MODEL, **named({"w": torch.tensor(velocity)})}, images)
    assert velocities(average.result().tensors)["w"].tolist() == pytest.approx([1.0, 6.0])
