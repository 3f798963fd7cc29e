"""Answers are judged by the run's own measures, and compared with torch's, task by task."""

import math

import numpy as np
import pytest
import torch

from harness.core.errors import DamagedRunError
from harness.workloads.multitask.inference.accuracy import (
    Verdict,
    calibration_batches,
    check_losses,
    judge_predictors,
    test_images,
)
from harness.workloads.multitask.inference.deployment import Deployment, Model
from harness.workloads.multitask.inference.networks import TorchModel, load_network
from harness.workloads.multitask.training.batches import ClientBatches
from models.multitask.losses import task_loss

test_images.__test__ = False  # it is no test, though it is called so


@pytest.fixture
def cell(deployed) -> Deployment:
    return deployed("sd")


@pytest.fixture
def net(cell, tiny_architecture):
    return load_network(tiny_architecture, "sd", cell.models[0].weights)


class Shifted:
    """Answer as another predictor does, but for a shift of one task."""

    def __init__(self, inner, shift: float) -> None:
        self._inner = inner
        self._shift = shift

    def prepare(self, images):
        return images

    def __call__(self, prepared):
        first, second = self._inner(self._inner.prepare(prepared))
        return [first.numpy(), second.numpy() + np.float32(self._shift)]


def whole_test_loss(net, source, task):
    """Return the mean over all test images, computed at once instead of batch by batch."""
    predictions, targets = [], []
    for building in range(source.count("test")):
        batches = ClientBatches(source, "test", building, task)
        images, target = batches.read(np.arange(batches.length))
        with torch.no_grad():
            predictions.append(net.decoders[task](net.encoder(images)))
        targets.append(target[task])
    return float(task_loss(task, torch.cat(predictions), torch.cat(targets)))


def test_losses_are_those_of_all_test_images_at_once(net, tiny_source) -> None:
    eager = TorchModel(net, "sd")
    verdict = judge_predictors({"torch": eager}, eager, "sd", tiny_source, task_loss)["torch"]
    for task in "sd":
        assert verdict.losses[task] == pytest.approx(whole_test_loss(net, tiny_source, task), 1e-5)
    assert verdict.errors == {"s": 0.0, "d": 0.0}
    assert verdict.excess() == []
    assert set(verdict.measures["s"]) == {"miou", "pixel_accuracy"}


@pytest.mark.parametrize(("shift", "refused"), [(1e-6, False), (0.5, True), (math.nan, True)])
def test_a_graph_that_answers_otherwise_is_found(net, tiny_source, shift, refused) -> None:
    """The largest difference counts, and NaN is no agreement."""
    eager = TorchModel(net, "sd")
    predictors = {"graph": Shifted(eager, shift)}
    if math.isnan(shift):
        verdict = Verdict({}, {}, {"s": 0.0, "d": math.nan}, {"s": 1.0, "d": 1.0})
    else:
        verdict = judge_predictors(predictors, eager, "sd", tiny_source, task_loss)["graph"]
        assert verdict.errors["d"] == pytest.approx(shift, rel=0.1)
    assert [text[:2] for text in verdict.excess()] == (["d:"] if refused else [])


def test_nan_is_kept_though_later_batches_agree(net, tiny_source) -> None:
    """A maximum forgets NaN if it is asked in the wrong order."""
    eager = TorchModel(net, "sd")

    class Once(Shifted):
        def __call__(self, prepared):
            answers = super().__call__(prepared)
            self._shift = 0.0
            return answers

    judged = judge_predictors({"g": Once(eager, math.nan)}, eager, "sd", tiny_source, task_loss)
    assert math.isnan(judged["g"].errors["d"])
    assert judged["g"].excess()


def test_weights_that_the_run_did_not_test_are_refused(cell) -> None:
    model = cell.models[0]
    told = Model(model.job, "sd", "sd", model.weights, {"d": 1.0})
    check_losses(cell, told, Verdict({"d": 1.005}, {}, {}, {}))
    with pytest.raises(DamagedRunError, match="not the weights it tested"):
        check_losses(cell, told, Verdict({"d": 1.02}, {}, {}, {}))


def test_weights_of_another_network_are_refused(cell, tiny_architecture) -> None:
    with pytest.raises(DamagedRunError, match="another model than tiny") as caught:
        load_network(tiny_architecture, "sdn", cell.models[0].weights)
    assert "version" in caught.value.remedy
    cell.models[0].weights.write_bytes(b"x")
    with pytest.raises(DamagedRunError, match="cannot be read"):
        load_network(tiny_architecture, "sd", cell.models[0].weights)


def test_calibration_sees_training_images_of_all_clients_only(make_source) -> None:
    """Ten images of four clients: 3, 3, 2, 2, spread over what each has, none twice."""
    source = make_source(sizes=(6, 4, 8, 5))
    picked = np.concatenate(calibration_batches(source, 10))
    training = [
        ClientBatches(source, "train", c, "").read(np.arange(n))[0].numpy()
        for c, n in enumerate((6, 4, 8, 5))
    ]
    found = [
        (client, row)
        for image in picked
        for client, images in enumerate(training)
        for row, one in enumerate(images)
        if np.array_equal(one, image)
    ]
    assert [client for client, _ in found] == [0] * 3 + [1] * 3 + [2] * 2 + [3] * 2
    assert len(set(found)) == len(picked) == 10
    assert [row for client, row in found if client == 2] == [0, 7]


def test_calibration_takes_no_more_than_there_is(make_source) -> None:
    source = make_source(sizes=(2, 1))
    assert sum(map(len, calibration_batches(source, 100))) == 3
    assert calibration_batches(source, 0) == []


def test_queries_are_asked_with_test_images(make_source) -> None:
    source = make_source(sizes=(2, 1), held_out=3)
    images = test_images(source, 4)
    first = ClientBatches(source, "test", 0, "").read(np.arange(3))[0].numpy()
    assert images.shape == (4, 3, 8, 8)
    assert np.array_equal(images[:3], first)
    assert len(test_images(source, 100)) == 6
