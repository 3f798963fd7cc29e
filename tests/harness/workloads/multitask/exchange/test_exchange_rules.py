"""What a server makes of unlike groups, against plain numpy and worked examples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.workloads.multitask.exchange.averaging import Averaging
from harness.workloads.multitask.exchange.conflict_averse import (
    ConflictAverse,
    LearntShare,
    attention,
    common_step,
)
from harness.workloads.multitask.exchange.matching import Matching, likeness
from harness.workloads.multitask.exchange.server import GroupServer, encoder_parameters

Model = dict[str, Tensor]


def _model(seed: int, tasks: str) -> Model:
    """Make an encoder of two layers with statistics, and decoders of which `s` has more outputs."""
    rng = np.random.default_rng(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.from_numpy(rng.normal(size=shape)).float()

    found = {
        "encoder.0.weight": drawn(3, 2), "encoder.1.bias": drawn(3),
        "encoder.1.running_mean": drawn(3), "encoder.1.num_batches_tracked": torch.tensor(seed),
    }  # fmt: skip
    for task in tasks:
        found[f"decoders.{task}.0.weight"] = drawn(2, 3)
        found[f"decoders.{task}.0.bias"] = drawn(2)
        found[f"decoders.{task}.1.weight"] = drawn(4 if task == "s" else 1, 2)
    return found


def _vector(model: Model, names: list[str]) -> np.ndarray:
    return np.concatenate([model[n].double().numpy().ravel() for n in names])


def test_averages_weigh_groups_by_clients_and_decoders_meet_by_task() -> None:
    one, two = _model(1, "sd"), _model(2, "dk")
    found = Averaging((3, 1)).joined([], [one, two])
    for name in ("encoder.0.weight", "encoder.1.running_mean", "decoders.d.0.weight"):
        mean = (3 * one[name].numpy() + two[name].numpy()) / 4
        for model in found:
            assert model[name].numpy() == pytest.approx(mean, rel=1e-6)
    assert torch.equal(found[0]["decoders.s.1.weight"], one["decoders.s.1.weight"])
    assert found[0].keys() == one.keys()
    assert found[1].keys() == two.keys()
    assert found[0]["encoder.1.num_batches_tracked"].dtype == torch.int64
    assert int(found[0]["encoder.1.num_batches_tracked"]) == 1  # round((3·1 + 2)/4)


@pytest.mark.parametrize("threshold", [0.0, 0.5, -0.2])
def test_likeness_is_the_cosine_of_departures_from_the_mean(threshold: float) -> None:
    rows = np.random.default_rng(7).normal(size=(4, 9))
    departures = rows - rows.mean(axis=0)
    wanted = np.zeros((4, 4))
    for k in range(4):
        for j in range(4):
            cosine = departures[k] @ departures[j]
            cosine /= np.linalg.norm(departures[k]) * np.linalg.norm(departures[j])
            wanted[k, j] = max(cosine + threshold, 0.0)
        wanted[k] /= wanted[k].sum()
    assert likeness(torch.from_numpy(rows), threshold).numpy() == pytest.approx(wanted, rel=1e-9)


def test_two_groups_depart_in_opposite_directions_and_keep_their_own() -> None:
    """With two, both cosines are -1: MaT-FL without a threshold exchanges nothing then."""
    rows = torch.from_numpy(np.random.default_rng(1).normal(size=(2, 5)))
    assert torch.equal(likeness(rows, 0.0), torch.eye(2, dtype=torch.float64))


def test_equal_encoders_stay_as_they_are() -> None:
    assert torch.equal(likeness(torch.ones(3, 4).double(), 0.0), torch.eye(3).double())


def test_matching_mixes_encoders_and_averages_decoders() -> None:
    models = [_model(1, "sd"), _model(2, "dk"), _model(3, "k")]
    names = ["encoder.0.weight", "encoder.1.bias", "encoder.1.running_mean"]
    shares = likeness(torch.from_numpy(np.stack([_vector(m, names) for m in models])), 0.5).numpy()
    found = Matching((1, 1, 2), 0.5).joined(models, models)
    for k, model in enumerate(found):
        for name in names:
            mixed = sum(shares[k, j] * models[j][name].numpy() for j in range(3))
            assert model[name].numpy() == pytest.approx(mixed, rel=1e-5, abs=1e-6)
        assert torch.equal(
            model["encoder.1.num_batches_tracked"], models[k]["encoder.1.num_batches_tracked"]
        )
    mean = (models[1]["decoders.k.0.bias"] + 2 * models[2]["decoders.k.0.bias"]) / 3
    assert found[2]["decoders.k.0.bias"].numpy() == pytest.approx(mean.numpy(), rel=1e-6)
    assert torch.equal(found[1]["decoders.k.0.bias"], found[2]["decoders.k.0.bias"])


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("caution", [0.0, 0.4, 0.9])
def test_the_common_step_is_the_least_harmful_one_of_a_grid(count: int, caution: float) -> None:
    """Among steps within c·|mean| of the mean it gives the worst-off row the most (CAGrad)."""
    rng = np.random.default_rng(count)
    rows = rng.normal(size=(count, 3)) * np.array([[1.0], [4.0], [0.5]])[:count]
    mean = rows.mean(axis=0)
    found = common_step(torch.from_numpy(rows), caution).numpy() * (1 + caution**2)
    radius = caution * np.linalg.norm(mean)
    assert np.linalg.norm(found - mean) <= radius * (1 + 1e-6) + 1e-12
    directions = rng.normal(size=(20_000, 3))
    directions *= radius / np.linalg.norm(directions, axis=1, keepdims=True)
    best = ((mean + directions) @ rows.T).min(axis=1).max()
    assert (found @ rows.T).min() >= best - 1e-3 * abs(best)


def test_the_common_step_of_rows_that_cancel_is_no_number_but_zero() -> None:
    rows = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    assert torch.equal(common_step(rows, 0.4), torch.zeros(2, dtype=torch.float64))


def test_attention_is_a_softmax_over_rows() -> None:
    rng = np.random.default_rng(5)
    own, rows = rng.normal(size=6), rng.normal(size=(3, 6))
    weights = np.exp(rows @ own / np.sqrt(6.0))
    wanted = (weights / weights.sum()) @ rows
    found = attention(torch.from_numpy(own), torch.from_numpy(rows))
    assert found.numpy() == pytest.approx(wanted, rel=1e-12)


def test_a_share_grows_with_steps_that_training_would_take_too() -> None:
    """SGD of rate 0.01, momentum 0.9 and decay 1e-4 on -<change, step>, worked by hand."""
    step = torch.tensor([2.0, 0.0], dtype=torch.float64)
    change = torch.tensor([3.0, 1.0], dtype=torch.float64)
    share = LearntShare(0.1)
    assert share.of([step], [change]) == 0.1  # nothing was offered before
    first = 0.1 - 0.01 * (1e-4 * 0.1 - 6.0)
    assert share.of([step], [change]) == pytest.approx(first)
    velocity = 0.9 * (1e-4 * 0.1 - 6.0) + 1e-4 * first - 6.0
    assert share.of([step], [change]) == pytest.approx(first - 0.01 * velocity)


def test_a_share_stays_between_none_and_all() -> None:
    step = torch.tensor([10.0], dtype=torch.float64)
    up, down = LearntShare(0.5), LearntShare(0.5)
    for _ in range(4):
        most, least = up.of([step], [step]), down.of([step], [-step])
    assert (most, least) == (1.0, 0.0)


def test_groups_go_on_from_their_own_change_and_a_share_of_the_common_one() -> None:
    before = [_model(1, "sd"), _model(1, "k")]
    after = [_model(2, "sd"), _model(3, "k")]
    names = encoder_parameters(after[0])
    assert names == ["encoder.0.weight", "encoder.1.bias"]
    changes = np.stack(
        [_vector(a, names) - _vector(b, names) for b, a in zip(before, after, strict=True)]
    )
    common = common_step(torch.from_numpy(changes), 0.4).numpy()
    found = ConflictAverse(share=0.25, decoders=False).joined(before, after)
    for k, model in enumerate(found):
        wanted = _vector(after[k], names) + 0.25 * common
        assert _vector(model, names) == pytest.approx(wanted, rel=1e-5, abs=1e-6)
        rest = [n for n in model if n not in names]
        assert all(torch.equal(model[n], after[k][n]) for n in rest)


def test_decoders_attend_to_layers_of_their_own_shape() -> None:
    before = [_model(1, "sd"), _model(4, "k")]
    after = [_model(2, "sd"), _model(3, "k")]
    found = ConflictAverse(share=0.25).joined(before, after)
    name = "decoders.{}.1.weight"
    change = {
        t: (after[g][name.format(t)] - before[g][name.format(t)]).double().flatten()
        for g, t in ((0, "s"), (0, "d"), (1, "k"))
    }
    alone = after[0][name.format("s")].double().flatten() + 0.25 * change["s"]  # of no other shape
    assert found[0][name.format("s")].flatten().numpy() == pytest.approx(alone.numpy(), rel=1e-5)
    both = attention(change["d"], torch.stack([change["d"], change["k"]]))
    wanted = after[0][name.format("d")].double().flatten() + 0.25 * both
    assert found[0][name.format("d")].flatten().numpy() == pytest.approx(wanted.numpy(), rel=1e-5)


def test_a_server_makes_nothing_before_it_is_asked() -> None:
    class Adding:
        calls = 0

        def joined(self, before, after):
            self.calls += 1
            return [{"w": b["w"] + a["w"]} for b, a in zip(before, after, strict=True)]

    adding = Adding()
    server = GroupServer(adding, [lambda: {"w": torch.ones(1)}])
    server.trained([{"w": torch.tensor([10.0])}])
    server.trained([{"w": torch.tensor([100.0])}])
    assert adding.calls == 0
    assert float(server.model(0).tensors["w"]) == 111.0
    assert float(server.model(0).tensors["w"]) == 111.0
    assert adding.calls == 2
