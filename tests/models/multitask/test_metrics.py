"""Check every measure against slow loops, by hand, and however the data fall into batches."""

import math

import numpy as np
import pytest
import torch

from models.multitask.measures import BY_NAME, MEASURES
from models.multitask.metrics import Classes, Depth, DepthScale, Directions, Distance, accumulator
from models.multitask.tasks import TASKS

SCALE = DepthScale(2270.0, 1020.0, 0.001)
"""As scenes store depth: millimetres."""


def _data(task: str, seed: int = 0, gaps: float = 0.2, n: int = 5, side: int = 8):
    rng = np.random.default_rng(seed)
    hidden = torch.from_numpy(rng.random((n, side, side)) < gaps)
    if task == "s":
        ids = torch.from_numpy(rng.integers(1, 9, (n, side, side)))
        return torch.from_numpy(rng.normal(size=(n, 18, side // 2, side // 2))), ids.masked_fill(
            hidden, 0
        )
    shape = (n, TASKS[task].channels, side, side)
    if task == "d":  # some predictions below zero metres, all true depths above
        true, found = rng.uniform(-2.0, 4.0, shape), rng.uniform(-4.0, 4.0, shape)
    else:
        true, found = rng.normal(size=shape), rng.normal(size=shape)
        found = 0.6 * true + 0.4 * found
    target = torch.from_numpy(true).masked_fill(hidden.unsqueeze(1), torch.nan)
    return torch.from_numpy(found), target


def _slow_classes(scores: np.ndarray, ids: np.ndarray) -> dict[str, float]:
    """Count intersections and unions class by class, pixel by pixel."""
    right, seen = 0, 0
    inter, union = dict.fromkeys(range(1, 18), 0), dict.fromkeys(range(1, 18), 0)
    for i, y, x in np.ndindex(ids.shape):
        true = ids[i, y, x]
        if true == 0:
            continue
        at = scores[i, :, y // 2, x // 2]
        found = max(range(1, 18), key=lambda c: at[c])
        seen += 1
        right += found == true
        for c in {true, found}:
            union[c] += 1
            inter[c] += found == true
    ious = [inter[c] / union[c] for c in union if union[c]]
    return {"miou": sum(ious) / len(ious), "pixel_accuracy": right / seen}


def _slow_depth(found: np.ndarray, true: np.ndarray) -> dict[str, float]:
    pairs = [
        ((p * 1020.0 + 2270.0) * 0.001, (t * 1020.0 + 2270.0) * 0.001)
        for p, t in zip(found.ravel(), true.ravel(), strict=True)
        if not math.isnan(t)
    ]
    pairs = [(p, t) for p, t in pairs if t > 0]
    n = len(pairs)
    near = [sum(p > 0 and max(p / t, t / p) < 1.25**k for p, t in pairs) / n for k in (1, 2, 3)]
    return {
        "abs_error_m": sum(abs(p - t) for p, t in pairs) / n,
        "rel_error": sum(abs(p - t) / t for p, t in pairs) / n,
        "rmse_m": math.sqrt(sum((p - t) ** 2 for p, t in pairs) / n),
        "within_1_25": near[0], "within_1_25_2": near[1], "within_1_25_3": near[2],
    }  # fmt: skip


def _slow_directions(found: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Use the arc cosine of the scalar product instead."""
    angles = []
    for i, y, x in np.ndindex(found.shape[0], *found.shape[2:]):
        p, t = found[i, :, y, x], true[i, :, y, x]
        if not np.isnan(t).any():
            cosine = p @ t / (math.sqrt(p @ p) * math.sqrt(t @ t))
            angles.append(math.degrees(math.acos(max(-1.0, min(1.0, cosine)))))
    shares = [sum(a < limit for a in angles) / len(angles) for limit in (11.25, 22.5, 30.0)]
    return {
        "mean_angle_deg": sum(angles) / len(angles),
        "median_angle_deg": float(np.median(angles)),
        "within_11_25_deg": shares[0], "within_22_5_deg": shares[1], "within_30_deg": shares[2],
    }  # fmt: skip


def _slow(task: str, found: torch.Tensor, true: torch.Tensor) -> dict[str, float]:
    p, t = found.numpy(), true.numpy()
    if task == "s":
        return _slow_classes(p, t)
    if task == "d":
        return _slow_depth(p, t)
    if task == "n":
        return _slow_directions(p, t)
    errors = [abs(a - b) for a, b in zip(p.ravel(), t.ravel(), strict=True) if not math.isnan(b)]
    if task == "c":
        return {"rmse": math.sqrt(sum(e * e for e in errors) / len(errors))}
    return {"l1": sum(errors) / len(errors)}


def _measured(task: str, found: torch.Tensor, true: torch.Tensor, batch: int) -> dict[str, float]:
    judge = accumulator(task, SCALE)
    for start in range(0, len(true), batch):
        judge.update(found[start : start + batch], true[start : start + batch])
    return judge.values()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_measures_are_what_slow_loops_give(task: str, batch: int) -> None:
    """Every measure of every task, in batches of any size; the median to half a hundredth."""
    for seed in range(3):
        found, true = _data(task, seed)
        ours, expected = _measured(task, found, true, batch), _slow(task, found, true)

        median = ours.pop("median_angle_deg", 0.0)
        assert median == pytest.approx(expected.pop("median_angle_deg", 0.0), abs=0.005001)
        assert ours == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("task", TASKS)
def test_names_are_those_of_the_table(task: str) -> None:
    """What is computed is what is documented, in that order, and a name has one meaning."""
    found, true = _data(task)

    assert list(_measured(task, found, true, 5)) == [m.name for m in MEASURES[task]]
    assert all(m == BY_NAME[m.name] for m in MEASURES[task])


@pytest.mark.parametrize("task", TASKS)
def test_without_labels_there_are_no_measures(task: str) -> None:
    """Nothing seen, and only unlabelled pixels seen: no value, rather than 0 or NaN."""
    found, true = _data(task, gaps=1.0)

    assert accumulator(task, SCALE).values() == {}
    assert _measured(task, found, true, 2) == {}


@pytest.mark.parametrize("task", TASKS)
def test_a_perfect_prediction_is_perfect(task: str) -> None:
    """No error, all shares 1; the median of all zero angles lies in the first bin."""
    _, true = _data(task)
    perfect = true.nan_to_num(7.0)
    if task == "s":
        perfect = torch.nn.functional.one_hot(true, 18).permute(0, 3, 1, 2).double()

    for name, value in _measured(task, perfect, true, 2).items():
        best = 1.0 if BY_NAME[name].better == "higher" else 0.0
        assert value == pytest.approx(best, abs=0.0051 if name == "median_angle_deg" else 1e-5)


def test_the_iou_by_hand() -> None:
    """Four pixels, classes 1 1 2 and one void; predicted 1 2 2 3.

    Class 1: 1 of 2. Class 2: 1 of 2. Class 3 is predicted only where nothing is known, and with
    all others occurs nowhere. mIoU = 1/2, accuracy 2/3.
    """
    scores = torch.zeros(1, 18, 2, 2)
    scores[:, 0] = 9.0  # the score of "no label" does not count
    for at, c in zip(((0, 0), (0, 1), (1, 0), (1, 1)), (1, 2, 2, 3), strict=True):
        scores[0, c, at[0], at[1]] = 1.0
    judge = Classes()

    judge.update(scores, torch.tensor([[[1, 1], [2, 0]]]))

    assert judge.values() == pytest.approx({"miou": 0.5, "pixel_accuracy": 2 / 3})


def test_depth_by_hand() -> None:
    """1 m taken for 1.2 m, 2 m for 4 m, 4 m for −4 m; a true depth of 0 is no label."""
    judge = Depth(DepthScale(0.0, 512.0, 1 / 512))
    judge.update(
        torch.tensor([1.2, 4.0, -4.0, 3.0]).view(1, 1, 2, 2),
        torch.tensor([1.0, 2.0, 4.0, 0.0]).view(1, 1, 2, 2),
    )

    assert judge.values() == pytest.approx(
        {
            "abs_error_m": (0.2 + 2 + 8) / 3, "rel_error": (0.2 + 1 + 2) / 3,
            "rmse_m": math.sqrt((0.04 + 4 + 64) / 3),
            "within_1_25": 1 / 3, "within_1_25_2": 1 / 3, "within_1_25_3": 1 / 3,
        }
    )  # fmt: skip


@pytest.mark.parametrize("angle", [0.0, 1e-5, 11.2, 45.0, 90.0, 179.99999, 180.0])
def test_angles_are_exact_at_both_ends(angle: float) -> None:
    """Vectors at a known angle, of any length: the mean is that angle."""
    true = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64).view(1, 3, 1, 1)
    radians = math.radians(angle)
    found = torch.tensor([math.cos(radians), math.sin(radians), 0.0], dtype=torch.float64)
    judge = Directions()
    for length in (1e-6, 1.0, 300.0):
        judge.update(length * found.view(1, 3, 1, 1), 5.0 * true)

    values = judge.values()
    assert values["mean_angle_deg"] == pytest.approx(angle, rel=1e-9, abs=1e-9)
    assert values["median_angle_deg"] == pytest.approx(angle, abs=0.00501)
    assert values["within_11_25_deg"] == (1.0 if angle < 11.25 else 0.0)


def test_vectors_without_length() -> None:
    """A prediction of (0, 0, 0) is off by 90 degrees; a target of it is no label."""
    zero, up = torch.zeros(1, 3, 1, 1), torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1)
    judge = Directions()
    judge.update(up, zero)
    assert judge.values() == {}

    judge.update(zero, up)
    assert judge.values()["mean_angle_deg"] == pytest.approx(90.0)


def test_memory_does_not_grow_with_what_was_seen() -> None:
    """Whatever is fed, an accumulator holds the same few numbers."""

    def held(judge: object) -> int:
        return sum(v.numel() if isinstance(v, torch.Tensor) else 1 for v in vars(judge).values())

    for task in TASKS:
        judge = accumulator(task, SCALE)
        before = held(judge)
        for seed in range(4):
            judge.update(*_data(task, seed))
        assert held(judge) == before


def test_squared_and_absolute_distance_by_hand() -> None:
    """Errors 3 and 4, one pixel unknown: L1 3.5, RMSE √12.5."""
    found = torch.tensor([3.0, 4.0, 9.0]).view(1, 1, 1, 3)
    true = torch.tensor([0.0, 0.0, torch.nan]).view(1, 1, 1, 3)
    both = [Distance(squared=squared) for squared in (False, True)]
    for judge in both:
        judge.update(found, true)

    assert [judge.values() for judge in both] == [
        {"l1": 3.5}, {"rmse": pytest.approx(math.sqrt(12.5))},
    ]  # fmt: skip
