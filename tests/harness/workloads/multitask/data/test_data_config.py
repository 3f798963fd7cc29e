"""What may be asked for, and how rooms are divided."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import DataUsageError
from harness.workloads.multitask.data.config import UNSEEN_BUILDING, ScenesConfig
from harness.workloads.multitask.data.sources.scenes import building_number, client_name, describe
from harness.workloads.multitask.data.split import SPLITS, shard_name


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
    with pytest.raises(DataUsageError) as caught:
        ScenesConfig(**wrong)
    assert next(iter(wrong)) in caught.value.message
    assert caught.value.remedy


def test_default_holds_out_the_last_eighth_in_whole_rooms():
    """96 pictures are 24 rooms of four: 21 train, the last 3 test, and 3 more validate."""
    config = ScenesConfig()
    assert config.rooms("train") == range(21)
    assert config.rooms("test") == range(21, 24)
    assert config.rooms("validation") == range(24, 27)
    assert config.rooms("test_unseen") == range(4)
    assert [config.length(split) for split in SPLITS] == [84, 12, 12, 16]
    assert [config.count(split) for split in SPLITS] == [16, 16, 16, 4]


def test_default_size_follows_from_the_formats():
    """At 15 bytes per pixel 16 · 108 + 4 · 16 pictures of 64 px take 110.1 MB."""
    layout = ScenesConfig().layout()
    assert layout.bytes == (16 * 108 + 4 * 16) * 64 * 64 * 15
    assert describe(ScenesConfig()).image_bytes == 64 * 64 * 15
    assert [layout.images(split) for split in SPLITS] == [1344, 192, 192, 64]
    assert layout.mean_length("train") == 84


@given(rooms=st.integers(2, 200))
def test_held_out_rooms_are_disjoint_from_training_rooms(rooms):
    """Training and test rooms never overlap, cover all rooms, none is empty; others validate."""
    config = ScenesConfig(images=4 * rooms)
    train, test = set(config.rooms("train")), set(config.rooms("test"))
    validation = set(config.rooms("validation"))
    assert len(validation) == len(test)
    assert not validation & (train | test)
    assert train
    assert test
    assert not train & test
    assert train | test == set(range(rooms))
    assert len(test) == max(1, rooms // 8)


def test_unseen_buildings_are_nobodys():
    """No building of the unseen split belongs to a client, whatever their number."""
    owned = {building_number("train", client) for client in range(1000)}
    unseen = {building_number("test_unseen", number) for number in range(1000)}
    assert not owned & unseen
    assert min(unseen) == UNSEEN_BUILDING
    assert {building_number(split, 7) for split in SPLITS[:3]} == {7}


def test_every_parameter_changes_the_folder():
    """Stores of different data never share a name; equal data does."""
    changes = {
        "seed": 2, "clients": 17, "images": 132, "unseen_buildings": 5, "unseen_images": 20,
        "size": 128, "skew": 0.5,
    }  # fmt: skip
    assert set(changes) == {field.name for field in dataclasses.fields(ScenesConfig)}
    names = {ScenesConfig(**{name: value}).folder_name() for name, value in changes.items()}
    assert len(names | {ScenesConfig().folder_name()}) == len(changes) + 1
    assert ScenesConfig(skew=1).folder_name() == ScenesConfig(skew=1.0).folder_name()
    assert ScenesConfig().folder_name().startswith("scenes-1-")


def test_shard_names_have_two_digits_at_least():
    """Folders sort and read as documented."""
    assert shard_name("train", client_name(7)) == "train/client_07"
    assert shard_name("test_unseen", client_name(123)) == "test_unseen/client_123"
