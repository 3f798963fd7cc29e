"""Check how a global model is judged: splits kept apart, gaps, measures, nothing trained."""

import copy
import math

import numpy as np
import pytest
import torch

from harness.core.errors import DataError, UsageError
from harness.federated.observer import SilentObserver
from harness.records.work import Work
from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.federation import LocalEngine
from harness.workloads.multitask.job import Job
from harness.workloads.multitask.settings import task_loss as chosen
from harness.workloads.multitask.training import evaluation
from harness.workloads.multitask.training.batches import ClientBatches
from harness.workloads.multitask.training.evaluation import judge, split_losses
from models.multitask.losses import named, task_loss
from models.multitask.measures import MEASURES
from models.multitask.metrics import DepthScale, accumulator
from models.multitask.network import build

SPLITS = ("test", "test_unseen", "validation")


class _Listening(SilentObserver):
    def __init__(self) -> None:
        self.images = 0.0
        self.values: dict[tuple[str, str], float] = {}

    def work(self, done: Work) -> None:
        self.images += done.forwards["encoder"]

    def metric(self, rounds_done, phase, name, task, value) -> None:
        assert (rounds_done, phase) == (7, "evaluate")
        assert (name, task) not in self.values
        self.values[name, task] = value


@pytest.fixture
def net(tiny_architecture):
    return build(tiny_architecture, "sdn", 0)


@pytest.fixture
def gappy(make_source):
    """Return a source in which depth and normals lack labels, and one building all of depth's."""
    source = make_source()
    source.masked = True
    for (_, client), arrays in source.arrays.items():
        hidden = arrays["k"] < 40
        arrays["d"] = np.where(hidden | (client == 1), np.nan, arrays["d"].astype(np.float32))
        arrays["n"] = np.where(hidden[..., None], np.nan, arrays["n"].astype(np.float32))
        arrays["s"] = np.where(hidden, 0, arrays["s"])
    return source


def _images(source, split: str, tasks: str):
    """Yield every image of a split alone."""
    for building in range(source.count(split)):
        batches = ClientBatches(source, split, building, tasks)
        for row in range(batches.length):
            yield batches.read(np.array([row]))


@pytest.mark.parametrize("batch_size", [1, 2, 32])
@pytest.mark.parametrize("split", SPLITS)
def test_losses_are_means_over_images(net, tiny_source, split, batch_size, monkeypatch) -> None:
    """However images fall into batches, each counts alike: a mean over single images."""
    monkeypatch.setattr(evaluation, "BATCH_SIZE", batch_size)
    losses = split_losses(net, tiny_source, split, SilentObserver())

    net.eval()
    with torch.no_grad():
        for task in "sdn":
            single = [float(task_loss(task, net(images)[task], targets[task]))
                      for images, targets in _images(tiny_source, split, "sdn")]  # fmt: skip
            assert losses[task] == pytest.approx(sum(single) / len(single), rel=1e-5)


@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_with_gaps_every_labelled_pixel_counts_alike(
    tiny_architecture, gappy, batch_size, monkeypatch
) -> None:
    """Summed by hand over all labelled values of the split and divided by their number."""
    monkeypatch.setattr(evaluation, "BATCH_SIZE", batch_size)
    net = build(tiny_architecture, "sdn", 0, named("auto", masked=True)).eval()
    losses = split_losses(net, gappy, "test", SilentObserver())

    sums, counts = dict.fromkeys("sdn", 0.0), dict.fromkeys("sdn", 0)
    with torch.no_grad():
        for images, targets in _images(gappy, "test", "sdn"):
            for task, prediction in net(images).items():
                true = targets[task]
                if task == "s":
                    errors = -prediction.log_softmax(1).gather(1, true.unsqueeze(1))[:, 0][true > 0]
                else:
                    errors = (prediction - true).abs()[~true.isnan()]
                sums[task] += float(errors.double().sum())
                counts[task] += errors.numel()
    assert losses == pytest.approx({t: sums[t] / counts[t] for t in "sdn"}, rel=1e-5)


def test_the_end_of_a_job_is_judged_on_every_split(net, tiny_source) -> None:
    """Final: three splits and the measures of two of them; else the test losses alone."""
    first, last = judge(net, tiny_source, SilentObserver(), final=False), _Listening()
    judged = judge(net, tiny_source, last, final=True)
    for name, unit, value in judged.told().reported:
        last.metric(7, "evaluate", name, unit, value)

    assert (first.validation_losses, first.unseen_losses, first.measures) == ({}, {}, {})
    assert first.losses == judged.losses
    assert last.images == sum(sum(tiny_source.sizes[split]) for split in SPLITS)
    for task in "sdn":
        losses = {
            split: split_losses(net, tiny_source, split, SilentObserver()) for split in SPLITS
        }
        assert last.values.pop(("test_loss", task)) == losses["test"][task]
        assert last.values.pop(("test_unseen_loss", task)) == losses["test_unseen"][task]
        assert last.values.pop(("validation_loss", task)) == losses["validation"][task]
        for measure in MEASURES[task]:
            assert last.values.pop((measure.name, task)) is not None
            assert last.values.pop((f"unseen_{measure.name}", task)) is not None
    assert last.values == {}


def test_measures_are_those_of_the_whole_split(net, tiny_source) -> None:
    """Fed with every image of the split alone, accumulators give the same values."""
    measures = judge(net, tiny_source, SilentObserver(), final=True).measures

    scale = DepthScale(100.0, 50.0, 0.001)  # the tiny source's normalisation, in millimetres
    net.eval()
    for prefix, split in (("", "test"), ("unseen_", "test_unseen")):
        expected = {task: accumulator(task, scale) for task in "sdn"}
        with torch.no_grad():
            for images, targets in _images(tiny_source, split, "sdn"):
                for task, prediction in net(images).items():
                    expected[task].update(prediction, targets[task])
        for task in "sdn":
            wanted = {prefix + name: value for name, value in expected[task].values().items()}
            found = {name: measures[task][name] for name in wanted}
            assert found == pytest.approx(wanted, rel=1e-4)


def test_judging_changes_nothing(net, tiny_source) -> None:
    """Weights, batch-norm statistics and gradients stay; nothing is recorded for a backward."""
    before = copy.deepcopy(net.state_dict())

    judge(net, tiny_source, SilentObserver(), final=True)

    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())


def test_validation_images_have_no_part_in_what_is_tested(
    make_source, tiny_architecture, federation
) -> None:
    """Other validation images change validation losses and nothing else, weights included."""
    plain, changed = make_source(), make_source()
    for client in range(4):
        changed.arrays["validation", client] = {
            name: array[::-1] // 2 for name, array in plain.arrays["validation", client].items()
        }
    one, two = (
        LocalEngine(source, tiny_architecture, federation, 0, SilentObserver()).run(Job("dn", 2))
        for source in (plain, changed)
    )

    assert (one.losses, one.unseen_losses) == (two.losses, two.unseen_losses)
    assert all(torch.equal(v, two.weights.tensors[k]) for k, v in one.weights.tensors.items())
    assert one.validation_losses.keys() == {"d", "n"}
    assert all(two.validation_losses[t] != one.validation_losses[t] for t in "dn")


def test_an_empty_split_has_no_losses(net, tiny_source) -> None:
    """Without unseen buildings or validation images the values are absent, not zero."""
    tiny_source.sizes |= {"test_unseen": (), "validation": (0,) * 4}

    judged = judge(net, tiny_source, SilentObserver(), final=True)

    assert (judged.unseen_losses, judged.validation_losses) == ({}, {})
    assert not any(name.startswith("unseen_") for name in judged.measures["d"])


def test_a_task_without_any_label_is_named(tiny_architecture, gappy) -> None:
    """If no pixel of a split has a label the error names split and task."""
    for client in range(4):
        gappy.arrays["test", client]["d"][:] = np.nan
    net = build(tiny_architecture, "sd", 0, named("auto", masked=True))

    with pytest.raises(DataError, match="test images has a label of task 'd'"):
        split_losses(net, gappy, "test", SilentObserver())


def test_a_diverged_network_is_judged_without_a_crash(net, tiny_source) -> None:
    """Infinite weights give a loss that is no number, for the observer to refuse."""
    with torch.no_grad():
        next(net.parameters()).fill_(torch.nan)

    judged = judge(net, tiny_source, SilentObserver(), final=True)

    assert all(math.isnan(loss) for loss in judged.losses.values())
    assert all(values == {} for values in judged.measures.values())


def test_a_gappy_federation_trains(tiny_architecture, gappy, federation) -> None:
    """End to end with `auto`: finite losses everywhere although a building has no depth at all."""
    outcome = LocalEngine(gappy, tiny_architecture, federation, 0, SilentObserver()).run(
        Job("sdn", 3)
    )

    for losses in (outcome.losses, outcome.unseen_losses, outcome.validation_losses):
        assert losses.keys() == set("sdn")
        assert all(math.isfinite(loss) for loss in losses.values())
    assert all(t.isfinite().all() for t in outcome.weights.tensors.values())


def test_a_loss_that_does_not_fit_the_data_is_refused(gappy, tiny_source) -> None:
    """`plain` on data with gaps is a usage error that names the option; elsewhere it is fine."""
    with pytest.raises(UsageError, match="--loss plain"):
        chosen(MultitaskConfig(loss="plain"), gappy)
    assert chosen(MultitaskConfig(loss="plain"), tiny_source) == chosen(
        MultitaskConfig(), tiny_source
    )
    assert chosen(MultitaskConfig(), gappy) == named("masked", masked=True)
