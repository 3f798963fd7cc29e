"""Exact methods come to the very bits of training without the users; the golden identities."""

import numpy as np
import pytest
import torch

from harness.workloads.unlearning.data.interactions import Pairs
from harness.workloads.unlearning.methods.base import SHARD, stored_bytes
from harness.workloads.unlearning.methods.sharded import items_name, members
from harness.workloads.unlearning.training import Training, learn, untrained

GONE = (3, 17, 40)


def blank(pairs, users):
    """The same pairs with these users' rows taken out, told in another way."""
    keep = ~np.isin(pairs.users, users)
    return Pairs.of(pairs.users[keep], pairs.items[keep], pairs.user_count, pairs.item_count)


@pytest.mark.parametrize("model", ["wmf", "bpr", "lightgcn"])
def test_training_anew_is_training_without_the_rows(carried, model) -> None:
    """Compared bit by bit; rows of users who left are zero."""
    found = carried("retrain", model=model).forget(*GONE)
    without = learn(blank(found.world.data.train, GONE), found.world.training, 0, 0).factors
    assert torch.equal(found.state["items"], without.items)
    assert torch.equal(found.state["users"][found.kept], without.users[found.kept])
    assert not found.state["users"][list(GONE)].any()


@pytest.mark.parametrize("text", ["sisa:shards=4", "ultrare:shards=4", "receraser:shards=4"])
@pytest.mark.parametrize("model", ["wmf", "bpr", "lightgcn"])
def test_a_shard_is_trained_as_if_those_who_left_had_never_been_in_it(carried, text, model) -> None:
    found = carried(text, model=model)
    before = dict(found.state)
    label = before[SHARD].numpy()
    touched = set(label[list(GONE)].tolist())
    assert found.method.shards_touched(before, np.array(GONE)) == len(touched)
    found.forget(*GONE)
    pairs = blank(found.world.data.train, GONE)
    for shard in range(4):
        name = items_name(shard)
        if shard not in touched:
            assert found.state[name] is before[name]
            continue
        mine = members(before, shard, found.kept)
        again = learn(pairs.only(mine), found.world.training, 0, shard).factors
        assert torch.equal(found.state[name], again.items)
        assert torch.equal(found.state["users"][mine], again.users[mine])
    assert not found.state["users"][list(GONE)].any()
    assert not found.serving.scores(np.array(GONE)).any()


@pytest.mark.parametrize(
    "text", ["retrain", "sisa:shards=3", "ultrare:shards=3", "receraser:shards=3"]
)
def test_one_by_one_in_any_order_is_all_at_once(carried, text) -> None:
    once = carried(text).forget(*GONE)
    for order in (GONE, GONE[::-1], (17, 3, 40)):
        one = carried(text)
        for user in order:
            one.forget(user)
        assert one.state.keys() == once.state.keys()
        assert all(torch.equal(one.state[name], once.state[name]) for name in once.state)


@pytest.mark.parametrize("model", ["wmf", "bpr", "lightgcn"])
def test_one_shard_is_training_anew(carried, model) -> None:
    sharded, whole = (carried(t, model=model).forget(3) for t in ("sisa:shards=1", "retrain"))
    assert torch.equal(sharded.state[items_name(0)], whole.state["items"])
    assert torch.equal(sharded.state["users"], whole.state["users"])


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_change_no_bit(carried, threads) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = carried("retrain").state
        torch.set_num_threads(threads)
        several = carried("retrain").state
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one[name], several[name]) for name in one)


def test_a_job_depends_on_seed_and_shard_alone(small) -> None:
    training = Training("wmf", 8, 1, 64)
    first = learn(small.train, training, 0, 2).factors
    learn(small.train, training, 5, 1)
    assert torch.equal(learn(small.train, training, 0, 2).factors.items, first.items)
    assert not torch.equal(learn(small.train, training, 0, 3).factors.items, first.items)
    assert not torch.equal(learn(small.train, training, 1, 2).factors.items, first.items)


def test_a_shard_that_runs_empty_is_not_trained(carried) -> None:
    """Its items stay as they began, and everybody else is answered as before."""
    found = carried("sisa:shards=4")
    everyone = np.flatnonzero(found.state[SHARD].numpy() == 2).tolist()
    found.forget(*everyone)
    began = untrained(found.world.data.train, found.world.training, 0, 2)
    assert torch.equal(found.state[items_name(2)], began.items)
    assert found.work.forwards == {"step": 0.0}
    assert np.isfinite(found.serving.scores(found.kept)).all()


def test_a_state_is_never_changed_in_place(carried) -> None:
    """So a request that breaks off, or is repeated, leaves no trace."""
    for text in ("retrain", "finetune", "sisa:shards=3", "receraser:shards=3", "scif", "influence"):
        found = carried(text)
        kept = {name: tensor.clone() for name, tensor in found.state.items()}
        before = found.state
        found.forget(*GONE)
        assert all(torch.equal(before[name], kept[name]) for name in kept), text


def test_what_is_stored_is_the_users_once_and_the_items_of_each_shard(carried) -> None:
    assert stored_bytes(carried("retrain").state) == 4 * 8 * (60 + 50)
    assert stored_bytes(carried("sisa:shards=4").state) == 4 * 8 * (60 + 4 * 50)


def test_the_model_that_made_the_partition_is_thrown_away(carried) -> None:
    """It knows everyone: no tensor of it is left."""
    found = carried("ultrare:shards=3")
    pretrained = learn(found.world.data.train, found.world.training, 0, 0).factors
    assert "items" not in found.state
    assert not any(torch.equal(t, pretrained.users) for t in found.state.values())
