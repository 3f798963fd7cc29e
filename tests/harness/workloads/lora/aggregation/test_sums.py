"""Golden identities of joining adapters, by hand and by dense algebra in fp64."""

import pytest
import torch

from harness.federated.job import Checkpoint
from harness.federated.server import FederatedAverage
from harness.workloads.lora.aggregation.adapters import LowRank, from_tensors, to_tensors
from harness.workloads.lora.aggregation.sums import DenseSum, KeptUpdates, Mean, Stack

HAND = {"w": (2, 2)}
ONE = {"w": LowRank(*(torch.tensor(t).double() for t in ([[1, 2]], [[1], [0]])))}
TWO = {"w": LowRank(*(torch.tensor(t).double() for t in ([[3, -1]], [[0], [2]])))}
EXACT = torch.tensor([[0.25, 0.5], [4.5, -1.5]]).double()
SHAPES = {"w": (5, 7)}


@pytest.fixture(autouse=True)
def exactly():
    """Identities hold to rounding, which in fp64 leaves no doubt."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def some(rank, seed, m=5, n=7):
    random = torch.Generator().manual_seed(seed)
    return {
        "w": LowRank(torch.randn(rank, n, generator=random), torch.randn(m, rank, generator=random))
    }


def product(adapter):
    return adapter["w"].b @ adapter["w"].a


def stacked(adapters, weights, scales=None, shapes=SHAPES):
    """The stack's product: every scale is folded into A first, as the class has one for all."""
    rank = sum(x["w"].rank for x in adapters)
    sums = Stack(shapes, rank, sum(weights), 1.0, lambda s: Checkpoint(to_tensors(s)))
    for adapter, weight, scale in zip(
        adapters, weights, scales or [1.0] * len(adapters), strict=True
    ):
        a, b = adapter["w"]
        sums.add(to_tensors({"w": LowRank(a * scale, b)}), weight)
    return from_tensors(sums.result().tensors)


def mean(adapters, weights, rank, **how):
    m, n = adapters[0]["w"].b.shape[0], adapters[0]["w"].a.shape[1]
    like = to_tensors({"w": LowRank(torch.zeros(rank, n), torch.zeros(m, rank))})
    sums = Mean(like, sum(weights), Checkpoint, **how)
    for adapter, weight in zip(adapters, weights, strict=True):
        sums.add(to_tensors(adapter), weight)
    return from_tensors(sums.result().tensors)


def exact(adapters, weights, scales=None):
    total = sum(weights)
    pairs = zip(adapters, weights, scales or [1.0] * len(adapters), strict=True)
    return sum(w / total * s * product(x) for x, w, s in pairs)


def test_two_clients_by_hand():
    """Stacked: the weighted sum. Averaged apart: short of it by p₁p₂(B₁−B₂)(A₁−A₂)."""
    assert torch.allclose(product(stacked([ONE, TWO], [1, 3], shapes=HAND)), EXACT)
    got = product(mean([ONE, TWO], [1, 3], 1))
    assert torch.allclose(got, torch.tensor([[0.625, -0.0625], [3.75, -0.375]]))
    error = 0.1875 * (ONE["w"].b - TWO["w"].b) @ (ONE["w"].a - TWO["w"].a)
    assert torch.allclose(EXACT - got, error)
    assert torch.allclose(error, torch.tensor([[-0.375, 0.5625], [0.75, -1.125]]))


def test_a_stack_of_unlike_ranks_and_scales_is_the_weighted_sum_in_any_order():
    adapters, weights, scales = [some(r, r) for r in (4, 2, 1)], [5, 3, 2], [2.0, 0.5, 1.0]
    found = stacked(adapters, weights, scales)
    assert found["w"].rank == 7
    assert torch.allclose(product(found), exact(adapters, weights, scales), atol=1e-12, rtol=0)
    turned = stacked(adapters[::-1], weights[::-1], scales[::-1])
    assert torch.allclose(product(turned), product(found), atol=1e-12, rtol=0)


def test_one_scale_for_all_is_folded_into_a():
    sums = Stack(SHAPES, 3, 4, 2.0, lambda s: Checkpoint(to_tensors(s)))
    for adapter, weight in ((some(2, 0), 3), (some(1, 1), 1)):
        sums.add(to_tensors(adapter), weight)
    found = from_tensors(sums.result().tensors)
    wanted = 2.0 * exact([some(2, 0), some(1, 1)], [3, 1])
    assert torch.allclose(product(found), wanted, atol=1e-12, rtol=0)
    assert torch.equal(found["w"].b, torch.cat([some(2, 0)["w"].b, some(1, 1)["w"].b], dim=1))


def test_the_share_stands_in_one_factor_only():
    """In both it would count as p²: the identity by hand would then be off."""
    a, b = stacked([ONE, TWO], [1, 3], shapes=HAND)["w"]
    twice = (b * torch.tensor([0.25, 0.75])) @ a
    assert not torch.allclose(twice, EXACT)


def test_the_error_of_averaging_is_the_covariance_of_the_factors():
    adapters, weights = [some(3, seed) for seed in range(3)], [5, 3, 2]
    p = [w / 10 for w in weights]
    left = exact(adapters, weights) - product(mean(adapters, weights, 3))
    mean_a = sum(w * x["w"].a for w, x in zip(p, adapters, strict=True))
    mean_b = sum(w * x["w"].b for w, x in zip(p, adapters, strict=True))
    spread = sum(
        w * (x["w"].b - mean_b) @ (x["w"].a - mean_a) for w, x in zip(p, adapters, strict=True)
    )
    assert torch.allclose(left, spread, atol=1e-12, rtol=0)
    assert left.norm() > 0.1


def test_averaging_is_exact_where_all_share_a_or_all_share_b():
    adapters, weights = [some(3, seed) for seed in range(3)], [5, 3, 2]
    same_a = [{"w": LowRank(adapters[0]["w"].a, x["w"].b)} for x in adapters]
    same_b = [{"w": LowRank(x["w"].a, adapters[0]["w"].b)} for x in adapters]
    for own in (same_a, same_b):
        got = product(mean(own, weights, 3))
        assert torch.allclose(got, exact(own, weights), atol=1e-12, rtol=0)


def test_how_a_client_factors_its_product_is_nothing_to_a_stack_but_all_to_an_average():
    adapters, weights = [some(3, seed) for seed in range(2)], [1, 1]
    turn = torch.randn(3, 3, generator=torch.Generator().manual_seed(9))
    a, b = adapters[0]["w"]
    other = [{"w": LowRank(turn @ a, b @ turn.inverse())}, adapters[1]]
    assert torch.allclose(
        product(stacked(other, weights)), product(stacked(adapters, weights)), atol=1e-10, rtol=0
    )
    moved = product(mean(other, weights, 3)) - product(mean(adapters, weights, 3))
    assert moved.norm() > 0.1


def test_one_client_is_joined_as_it_is():
    one = [some(3, 0)]
    assert torch.allclose(product(mean(one, [7], 3)), product(one[0]), atol=1e-12)
    assert torch.allclose(product(stacked(one, [7])), product(one[0]), atol=1e-12)


def test_an_idle_round_shrinks_what_only_strong_clients_hold():
    """Ranks 4, 2, 1 with shares 0.5, 0.3, 0.2: row i of A by P = 1, 0.8, 0.5, 0.5."""
    start, weights = some(4, 0), [5, 3, 2]
    back = [{"w": LowRank(start["w"].a[:r], start["w"].b[:, :r])} for r in (4, 2, 1)]
    after = mean(back, weights, 4)
    kept = torch.tensor([1.0, 0.8, 0.5, 0.5])
    assert torch.allclose(after["w"].a, kept[:, None] * start["w"].a, atol=1e-12)
    wanted = (start["w"].b * kept**2) @ start["w"].a
    assert torch.allclose(product(after), wanted, atol=1e-12)


def test_an_idle_round_of_equal_ranks_changes_nothing():
    start = some(4, 0)
    assert torch.allclose(product(mean([start] * 3, [5, 3, 2], 4)), product(start), atol=1e-12)


def test_equal_ranks_are_averaged_as_models_are():
    """FedIT's average is that of FedAvg."""
    torch.set_default_dtype(torch.float32)
    adapters = [{"w": LowRank(*(t.float() for t in some(3, seed)["w"]))} for seed in range(3)]
    average = FederatedAverage(10.0)
    for adapter, weight in zip(adapters, [5, 3, 2], strict=True):
        average.add(to_tensors(adapter), weight)
    wanted = from_tensors(average.result().tensors)
    found = mean(adapters, [5, 3, 2], 3)
    assert torch.allclose(found["w"].a, wanted["w"].a, atol=1e-6)
    assert torch.allclose(found["w"].b, wanted["w"].b, atol=1e-6)


def test_by_norm_updates_count_by_the_size_of_their_products():
    """Norms 1 and 3 make shares of a quarter and three quarters, whatever the data."""
    one = {"w": LowRank(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0], [0.0]]))}
    three = {"w": LowRank(torch.tensor([[0.0, 3.0]]), torch.tensor([[0.0], [1.0]]))}
    found = mean([one, three], [100, 1], 1, by_norm=True)
    assert torch.allclose(found["w"].a, torch.tensor([[0.25, 2.25]]))
    assert torch.allclose(found["w"].b, torch.tensor([[0.25], [0.75]]))


def test_by_norm_of_nothing_is_nothing():
    still = {"w": LowRank(torch.ones(1, 2), torch.zeros(2, 1))}
    found = mean([still, still], [1, 1], 1, by_norm=True)
    assert not found["w"].b.any()


@pytest.mark.parametrize("kind", ["stack", "mean", "dense"])
def test_who_does_not_come_leaves_the_others_to_make_up_the_whole(kind):
    """Weights 5, 3 and 2 were expected; the last did not come: shares are 5/8 and 3/8."""
    adapters, weights = [some(2, 0), some(2, 1)], [5, 3]
    like = to_tensors({"w": LowRank(torch.zeros(2, 7), torch.zeros(5, 2))})
    made = {
        "stack": Stack(SHAPES, 6, 10, 1.0, lambda s: Checkpoint(to_tensors(s))),
        "mean": Mean(like, 10, Checkpoint),
        "dense": DenseSum(SHAPES, 10, 1.0, lambda sums: Checkpoint(dict(sums))),
    }[kind]
    for adapter, weight in zip(adapters, weights, strict=True):
        made.add(to_tensors(adapter), weight)
    found = made.result().tensors
    if kind == "mean":
        wanted = mean(adapters, weights, 2)["w"].a
        assert torch.allclose(found["a/w"], wanted, atol=1e-12)
        return
    got = found["w"] if kind == "dense" else product(from_tensors(found))
    assert torch.allclose(got, exact(adapters, weights), atol=1e-12)


def test_a_dense_sum_is_the_weighted_sum():
    sums = DenseSum(SHAPES, 10, 2.0, lambda found: Checkpoint(dict(found)))
    adapters, weights = [some(r, r) for r in (4, 2, 1)], [5, 3, 2]
    for adapter, weight in zip(adapters, weights, strict=True):
        sums.add(to_tensors(adapter), weight)
    wanted = 2.0 * exact(adapters, weights)
    assert torch.allclose(sums.result().tensors["w"], wanted, atol=1e-12)


def test_updates_may_change_after_they_were_taken_in():
    """A client's tensors are used again for the next: whatever is kept is a copy."""
    ours = to_tensors(some(2, 0))
    sums = Stack(SHAPES, 2, 1, 1.0, lambda s: Checkpoint(to_tensors(s)))
    kept = KeptUpdates(Checkpoint({}))
    sums.add(ours, 1)
    kept.add(ours, 1)
    for tensor in ours.values():
        tensor.zero_()
    assert torch.allclose(product(from_tensors(sums.result().tensors)), product(some(2, 0)))
    assert torch.equal(kept.result().tensors["a/w"], some(2, 0)["w"].a)


def test_own_adapters_stay_beside_those_of_others():
    kept = KeptUpdates(Checkpoint({"own.0.a/w": torch.ones(1), "own.1.a/w": torch.ones(1)}))
    kept.add({"own.1.a/w": torch.zeros(1)}, 3.0)
    found = kept.result().tensors
    assert found["own.0.a/w"].item() == 1.0
    assert found["own.1.a/w"].item() == 0.0
