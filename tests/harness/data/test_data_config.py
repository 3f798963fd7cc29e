"""What may be asked for, and how rooms are divided."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.config import SPLITS, UNSEEN_BUILDING, ScenesConfig, shard_name
from harness.data.dataset import size_bytes
from harness.data.errors import DataError
from harness.data.shard import Job


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1}, {"clients": 0}, {"clients": 5000}, {"images": 4}, {"images": 30},
        {"images": 0}, {"unseen_buildings": -1}, {"unseen_images": 2}, {"unseen_images": 0},
        {"size": 8}, {"size": 65}, {"size": 4096}, {"skew": -0.1}, {"skew": 1.1},
        {"skew": float("nan")}, {"skew": "1"}, {"clients": 2.5}, {"seed": True}, {"size": "64"},
    ],
    ids=str,
)  # fmt: skip
def test_impossible_values_are_refused_with_a_remedy(wrong):
    """Each impossible value is named, and the remedy says something."""
    with pytest.raises(DataError) as caught:
        ScenesConfig(**wrong)
    assert next(iter(wrong)) in caught.value.message
    assert caught.value.remedy


def test_default_holds_out_the_last_eighth_in_whole_rooms():
    """128 pictures are 32 rooms of four views: 28 to train, the last 4 to test."""
    config = ScenesConfig()
    assert config.rooms("train") == range(28)
    assert config.rooms("test") == range(28, 32)
    assert config.length("train") == 112
    assert config.length("test") == 16
    assert config.rooms("test_unseen") == range(8)
    assert [config.count(split) for split in SPLITS] == [16, 16, 4]


def test_default_size_follows_from_the_formats():
    """At 15 bytes per pixel 16 · 128 + 4 · 32 pictures of 64 px take 133.7 MB."""
    assert size_bytes(ScenesConfig()) == (16 * 128 + 4 * 32) * 64 * 64 * 15


@given(rooms=st.integers(2, 200))
def test_held_out_rooms_are_disjoint_from_training_rooms(rooms):
    """Training and test rooms never overlap, cover all rooms, and neither is empty."""
    config = ScenesConfig(images=4 * rooms)
    train, test = set(config.rooms("train")), set(config.rooms("test"))
    assert train
    assert test
    assert not train & test
    assert train | test == set(range(rooms))
    assert len(test) == max(1, rooms // 8)


def test_unseen_buildings_are_nobodys():
    """No building of the unseen split belongs to a client, whatever their number."""
    config = ScenesConfig(clients=1000, unseen_buildings=1000)
    owned = {Job(config, "train", client).building for client in range(1000)}
    unseen = {Job(config, "test_unseen", number).building for number in range(1000)}
    assert not owned & unseen
    assert min(unseen) == UNSEEN_BUILDING
    assert Job(config, "test", 7).building == Job(config, "train", 7).building == 7


def test_every_parameter_changes_the_folder():
    """Stores of different data never share a name; equal data does."""
    changes = {
        "seed": 2, "clients": 17, "images": 132, "unseen_buildings": 5, "unseen_images": 36,
        "size": 128, "skew": 0.5,
    }  # fmt: skip
    assert set(changes) == {field.name for field in dataclasses.fields(ScenesConfig)}
    names = {ScenesConfig(**{name: value}).folder_name() for name, value in changes.items()}
    assert len(names | {ScenesConfig().folder_name()}) == len(changes) + 1
    assert ScenesConfig(skew=1).folder_name() == ScenesConfig(skew=1.0).folder_name()
    assert ScenesConfig().folder_name().startswith("scenes-1-")


def test_shard_names_have_two_digits_at_least():
    """Folders sort and read as documented."""
    assert shard_name("train", 7) == "train/client_07"
    assert shard_name("test_unseen", 123) == "test_unseen/client_123"
