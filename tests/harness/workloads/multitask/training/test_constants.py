"""Check the predictors that know nothing of the picture against numpy and against all constants."""

import numpy as np
import pytest

from harness.core.errors import DataError
from harness.workloads.multitask.training.constants import constant_predictor_losses
from models.multitask.losses import named


def _values(source, split: str, task: str) -> np.ndarray:
    """Return the normalised labels of a split, (images, H, W[, C])."""
    arrays = [a[task] for (s, _), a in source.arrays.items() if s == split]
    offset, scale = source.normalisation.get(task, (0.0, 1.0))
    return (np.concatenate(arrays).astype(np.float64) - offset) / scale


@pytest.mark.parametrize("tasks", ["s", "d", "n"])
def test_mean_predictor_is_the_loss_of_the_training_mean(tiny_source, tasks: str) -> None:
    """Computed by numpy over all pixels at once, the constant predictor's test loss is the same."""
    train, test = (_values(tiny_source, split, tasks) for split in ("train", "test"))
    if tasks == "s":
        ids = test.astype(int)
        shares = np.bincount(train.astype(int).ravel(), minlength=18) / train.size
        expected = -np.log(np.maximum(shares, 1e-6) / np.maximum(shares, 1e-6).sum())[ids].mean()
    else:
        expected = np.abs(test - train.mean(axis=(0, 1, 2))).mean()

    found = constant_predictor_losses(tiny_source, tasks)["mean_predictor_loss"]
    assert found[tasks] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("task", "dnkt")
def test_median_predictor_is_the_loss_of_the_training_median(tiny_source, task: str) -> None:
    """The lower median of every channel, from sorting all training pixels."""
    train, test = (_values(tiny_source, split, task) for split in ("train", "test"))
    channels = train.shape[3] if train.ndim == 4 else 1
    ordered = np.sort(train.reshape(-1, channels), axis=0)
    median = ordered[(len(ordered) - 1) // 2]
    expected = np.abs(test.reshape(-1, channels) - median).mean()

    found = constant_predictor_losses(tiny_source, "dnkt")["median_predictor_loss"]
    assert found[task] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("task", "dk")
def test_no_constant_beats_the_median_where_it_was_taken(make_source, task: str) -> None:
    """With the training images as test images, every stored value from 0 to 127 does no better."""
    source = make_source()
    source.sizes["test"] = source.sizes["train"]
    for client in range(4):
        source.arrays["test", client] = source.arrays["train", client]
    offset, scale = source.normalisation[task]
    values = _values(source, "train", task)

    least = min(np.abs(values - (v - offset) / scale).mean() for v in range(128))
    losses = constant_predictor_losses(source, task)

    assert losses["median_predictor_loss"][task] == pytest.approx(least, rel=1e-4)
    assert losses["mean_predictor_loss"][task] >= least


def test_for_classes_the_shares_stay(tiny_source) -> None:
    """Segmentation has the same loss under both names, so that sums can be compared."""
    losses = constant_predictor_losses(tiny_source, "sd")

    assert losses["median_predictor_loss"]["s"] == losses["mean_predictor_loss"]["s"]
    assert losses["median_predictor_loss"].keys() == {"s", "d"}
    assert constant_predictor_losses(tiny_source, "s")["mean_predictor_loss"].keys() == {"s"}


@pytest.mark.parametrize("task", "sdn")
def test_pixels_without_label_count_nowhere(make_source, task: str) -> None:
    """With gaps: mean, median and loss of the labelled pixels alone, by numpy."""
    source = make_source()
    source.masked = True
    for arrays in source.arrays.values():
        hidden = arrays["t"] < 50
        if task == "s":
            arrays["s"] = np.where(hidden, 0, arrays["s"])
        else:
            wide = hidden[..., None] if task == "n" else hidden
            arrays[task] = np.where(wide, np.nan, arrays[task].astype(np.float32))
    losses = constant_predictor_losses(source, task, named("auto", masked=True))

    train, test = (_values(source, split, task) for split in ("train", "test"))
    if task == "s":
        ids = train.astype(int)
        shares = np.maximum(np.bincount(ids[ids > 0], minlength=18) / (ids > 0).sum(), 1e-6)
        known = test.astype(int)[test > 0]
        expected = {"mean": -np.log(shares / shares.sum())[known].mean()}
    else:
        flat = train.reshape(-1, 3 if task == "n" else 1)
        flat = flat[~np.isnan(flat[:, 0])]
        median = np.sort(flat, axis=0)[(len(flat) - 1) // 2]
        errors = {"mean": flat.mean(axis=0), "median": median}
        channels = flat.shape[1]
        expected = {
            name: np.nanmean(np.abs(test.reshape(-1, channels) - constant))
            for name, constant in errors.items()
        }
    for name, value in expected.items():
        assert losses[f"{name}_predictor_loss"][task] == pytest.approx(value, rel=1e-4)


def test_a_task_that_training_never_labels_is_named(make_source) -> None:
    """A constant cannot be learnt from nothing."""
    source = make_source()
    for client in range(4):
        source.arrays["train", client]["d"] = np.full((source.sizes["train"][client], 8, 8), np.nan)

    with pytest.raises(DataError, match="train images has a label of task 'd'"):
        constant_predictor_losses(source, "sd", named("auto", masked=True))


def test_a_label_that_never_changes_is_its_own_median(make_source) -> None:
    """A constant channel has a range of zero: both predictors are then exact."""
    source = make_source()
    for arrays in source.arrays.values():
        arrays["d"] = np.full_like(arrays["d"], 30)

    losses = constant_predictor_losses(source, "d")
    assert losses == {"mean_predictor_loss": {"d": 0.0}, "median_predictor_loss": {"d": 0.0}}
