"""Check every kind of loss against slow loops over pixels, its gradients, and masks."""

import math

import numpy as np
import pytest
import torch

from models.multitask.losses import Losses, named, task_loss
from models.multitask.network import build
from models.multitask.registry import architecture
from models.multitask.step import accumulate_gradients
from models.multitask.tasks import LOSSES, TASKS

NAMES = [name for name in LOSSES if name != "plain"]


def _data(task: str, seed: int, gaps: float = 0.3, n: int = 3, side: int = 6):
    """Return a random prediction and a target of which a share of the pixels has no label."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.rand(n, side, side, generator=generator) < gaps
    if task == "s":
        scores = torch.randn(n, 18, side // 2, side // 2, generator=generator, dtype=torch.float64)
        ids = torch.randint(1, 18, (n, side, side), generator=generator)
        return scores, ids.masked_fill(hidden, 0)
    shape = (n, TASKS[task].channels, side, side)
    target = torch.randn(shape, generator=generator, dtype=torch.float64)
    prediction = torch.randn(shape, generator=generator, dtype=torch.float64)
    return prediction, target.masked_fill(hidden.unsqueeze(1), torch.nan)


def _slow_cross_entropy(scores: np.ndarray, ids: np.ndarray) -> float:
    """Return −log softmax at the right class, over all pixels of all images with a class."""
    factor = ids.shape[1] // scores.shape[2]
    terms = []
    for i, y, x in np.ndindex(ids.shape):
        if ids[i, y, x] != 0:
            at = scores[i, :, y // factor, x // factor]
            terms.append(math.log(sum(math.exp(v) for v in at)) - at[ids[i, y, x]])
    return sum(terms) / len(terms) if terms else 0.0


def _slow_image(prediction: np.ndarray, target: np.ndarray, by_all: bool) -> tuple[float, int]:
    """Return the mean absolute error of one image and how many values it is the mean over."""
    total, valid = 0.0, 0
    for at in np.ndindex(target.shape):
        if not math.isnan(target[at]):
            total += abs(prediction[at] - target[at])
            valid += 1
    count = target.size if by_all else valid
    return (total / count if count else 0.0), count


def _slow_rotated(prediction: np.ndarray, target: np.ndarray, by_all: bool) -> float:
    """Return the mean over images of the least error over nine shifts of the prediction."""
    height, width = target.shape[2:]
    least = []
    for one, true in zip(prediction, target, strict=True):
        inner = true[:, 1:-1, 1:-1]
        shifted = [
            _slow_image(one[:, 1 + dy : height - 1 + dy, 1 + dx : width - 1 + dx], inner, by_all)
            for dy in (-1, 0, 1)
            for dx in (-1, 0, 1)
        ]
        if by_all or shifted[0][1]:
            least.append(min(value for value, _ in shifted))
    return sum(least) / len(least) if least else 0.0


def _slow(name: str, task: str, prediction: torch.Tensor, target: torch.Tensor) -> float:
    """Return the loss of any kind by loops over pixels; all data here may have gaps."""
    one, true = prediction.numpy(), target.numpy()
    if task == "s":
        return _slow_cross_entropy(one, true)
    by_all = name == "release"
    if name in ("rotated", "release") and task in "dn":
        return _slow_rotated(one, true, by_all)
    images = [_slow_image(p, t, by_all) for p, t in zip(one, true, strict=True)]
    values = sum(count for _, count in images)
    return sum(mean * count for mean, count in images) / values if values else 0.0


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", NAMES)
def test_every_loss_is_what_slow_loops_give(name: str, task: str) -> None:
    """Kinds of loss × tasks, on pictures with and without gaps, to 1e-12."""
    for seed, gaps in enumerate((0.0, 0.3, 0.9)):
        prediction, target = _data(task, seed, gaps)
        expected = _slow(name, task, prediction, target)

        assert float(named(name, masked=True)(task, prediction, target)) == pytest.approx(
            expected, rel=1e-12
        )


@pytest.mark.parametrize("task", TASKS)
def test_the_plain_loss_is_torch_s_own_mean(task: str) -> None:
    """Without gaps: torch's l1 and cross entropy, on which old results rest."""
    prediction, target = _data(task, 0, 0.0)
    if task == "s":
        enlarged = prediction.repeat_interleave(2, 2).repeat_interleave(2, 3)
        expected = torch.nn.functional.cross_entropy(enlarged, target, ignore_index=0)
        assert float(task_loss(task, prediction, target)) == pytest.approx(float(expected))
    else:
        expected = torch.nn.functional.l1_loss(prediction, target)
        assert torch.equal(task_loss(task, prediction, target), expected)


@pytest.mark.parametrize("task", "sdnc")
@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_the_slopes_of_the_slow_loss(name: str, task: str) -> None:
    """Central differences of the slow version; exactly 0 where there is no label."""
    prediction, target = _data(task, 5, 0.4, n=2, side=4)
    leaf = prediction.clone().requires_grad_()
    named(name, masked=True)(task, leaf, target).backward()

    step = 1e-6
    numeric = torch.zeros_like(prediction)
    for at in np.ndindex(tuple(prediction.shape)):
        moved = [prediction.clone(), prediction.clone()]
        moved[0][at] += step
        moved[1][at] -= step
        up, down = (_slow(name, task, m, target) for m in moved)
        numeric[at] = (up - down) / (2 * step)
    assert torch.allclose(leaf.grad, numeric, atol=1e-8)
    if name in ("rotated", "release") and task in "dn":  # one slope per labelled inner value
        labelled = ~target[..., 1:-1, 1:-1].isnan()
        assert int((leaf.grad != 0).sum()) == int(labelled.sum())
    elif task != "s":
        assert (leaf.grad[target.isnan()] == 0).all()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", NAMES)
def test_a_picture_without_labels_has_no_loss_and_no_slope(name: str, task: str) -> None:
    """All invalid: loss 0, weight 0 (release: all pixels count), gradient exactly 0, no NaN."""
    prediction, target = _data(task, 1, 1.0)
    loss = named(name, masked=True)
    leaf = prediction.clone().requires_grad_()

    value = loss(task, leaf, target)
    value.backward()

    assert float(value.detach()) == 0.0
    assert (leaf.grad == 0).all()
    assert loss.weight(task, target) == (3.0 if name == "release" and task != "s" else 0.0)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", NAMES)
def test_weighted_batches_make_the_whole(name: str, task: str) -> None:
    """Σ weight·loss / Σ weight is the same for one batch, and for single images, one unlabelled."""
    prediction, target = _data(task, 2, 0.5, n=5)
    target[3] = 0 if task == "s" else torch.nan
    loss = named(name, masked=True)
    parts = [(prediction[i : i + 1], target[i : i + 1]) for i in range(5)]

    weights = [loss.weight(task, t) for _, t in parts]
    mean = sum(w * float(loss(task, p, t)) for w, (p, t) in zip(weights, parts, strict=True))

    assert mean / sum(weights) == pytest.approx(float(loss(task, prediction, target)), rel=1e-12)


@pytest.mark.parametrize("task", TASKS)
def test_without_gaps_the_mask_changes_nothing(task: str) -> None:
    """Masked, plain and divided by all agree; the weight is the number of images."""
    prediction, target = _data(task, 3, 0.0)
    kinds = [Losses(), Losses(masked=True), Losses(masked=True, divide_by_all=True)]

    values = [float(kind(task, prediction, target)) for kind in kinds]

    assert values == pytest.approx([values[0]] * 3, rel=1e-12)
    assert [kind.weight(task, target) for kind in kinds] == [3.0] * 3


@pytest.mark.parametrize("task", "dn")
def test_a_shift_of_one_pixel_is_forgiven(task: str) -> None:
    """A target moved by one pixel in any direction costs nothing; the plain loss sees it."""
    _, target = _data(task, 4, 0.0, side=8)
    for rows in (-1, 0, 1):
        for columns in (-1, 0, 1):
            moved = target.roll((rows, columns), (2, 3))
            assert float(Losses(rotated=True)(task, moved, target)) == 0.0
    assert float(task_loss(task, target.roll(1, 2), target)) > 0.1
    assert float(Losses(rotated=True)(task, target.roll(2, 2), target)) > 0.1


def test_forgiving_never_costs_more_than_the_cropped_plain_loss() -> None:
    """The least of nine is at most the unshifted one; other tasks are not forgiven anything."""
    prediction, target = _data("d", 6, 0.0)
    inner = (..., slice(1, -1), slice(1, -1))

    rotated = float(Losses(rotated=True)("d", prediction, target))
    assert rotated <= float(task_loss("d", prediction[inner], target[inner]))
    for task in "ktercas":
        prediction, target = _data(task, 6, 0.0)
        both = (kind(task, prediction, target) for kind in (Losses(rotated=True), Losses()))
        assert float(next(both)) == float(next(both))


def test_the_release_lets_unlabelled_pixels_dilute_the_error() -> None:
    """Half of the pixels without label: half the masked mean, by hand 0.5 of 1."""
    target = torch.full((1, 1, 4, 4), torch.nan)
    target[..., :2, :] = 0.0
    prediction = torch.ones(1, 1, 4, 4)

    assert float(named("masked", masked=True)("e", prediction, target)) == 1.0
    assert float(named("release", masked=True)("e", prediction, target)) == 0.5


def test_names_choose_by_what_the_data_are() -> None:
    """`auto` masks only where there are gaps; `plain` refuses them; unknown names fail."""
    assert named("auto", masked=False) == named("plain", masked=False) == task_loss
    assert named("auto", masked=True) == named("masked", masked=True)
    with pytest.raises(ValueError, match="every pixel"):
        named("plain", masked=True)
    with pytest.raises(KeyError):
        named("huber", masked=False)
    for name in NAMES:
        assert isinstance(named(name, masked=False), Losses)


@pytest.mark.parametrize("name", NAMES)
def test_merged_training_sums_the_losses_of_single_tasks(name: str) -> None:
    """Whatever the loss, a merged step reports each task's own loss and learns from their sum."""
    tasks = "sdnr"
    net = build(architecture("small"), tasks, 0, named(name, masked=True)).double().train()
    images = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    targets = {t: _data(t, 7, 0.3, n=2, side=16)[1] for t in tasks}

    merged = accumulate_gradients(net, images, targets)

    decoders = {n: p.grad.clone() for n, p in net.decoders.named_parameters()}
    encoder = [p.grad.clone() for p in net.encoder.parameters()]
    sums = [torch.zeros_like(g) for g in encoder]
    for task in tasks:
        alone = build(architecture("small"), task, 0, net.loss).double().train()
        (loss,) = accumulate_gradients(alone, images, {task: targets[task]}).values()
        assert float(merged[task]) == pytest.approx(float(loss), rel=1e-12)
        for total, parameter in zip(sums, alone.encoder.parameters(), strict=True):
            total.add_(parameter.grad)
        for key, parameter in alone.decoders.named_parameters():
            assert torch.allclose(decoders[key], parameter.grad, atol=1e-12)
    for ours, total in zip(encoder, sums, strict=True):  # 1/√n, as in every merged network
        assert torch.allclose(ours, total / math.sqrt(len(tasks)), atol=1e-10)
