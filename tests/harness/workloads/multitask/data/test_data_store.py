"""Opening stores, whole and damaged."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil

import numpy as np
import pytest

from harness.core.errors import DataError
from harness.workloads.multitask.data.config import ScenesConfig
from harness.workloads.multitask.data.manifest import content_hash
from harness.workloads.multitask.data.scenes.building import LABELS, building_views
from harness.workloads.multitask.data.split import SPLITS
from harness.workloads.multitask.data.store import open_store
from harness.workloads.multitask.data.verify import MEMO, verify


@pytest.fixture
def store(tiny_cache, tiny_config):
    found = open_store(tiny_cache / tiny_config.folder_name())
    verify(found)
    return found


def test_store_describes_itself(store, tiny_config):
    """Name, sizes, clients and constants are those of the configuration."""
    assert store.name == "scenes"
    assert store.version == "1"
    assert ScenesConfig(**store.description.source) == tiny_config
    assert store.tasks == "sdnkterca"
    assert not store.masked
    assert store.depth_unit_m == 0.001
    assert len(store.classes) == 18
    assert store.size_px == 16
    assert store.clients == ("client_00", "client_01")
    assert [store.count(split) for split in SPLITS] == [2, 2, 2, 1]
    assert [store.length(split, 0) for split in SPLITS] == [4, 4, 4, 4]
    assert store.images == 28
    assert set("sdnkterca") <= set(store.normalisation)


def test_arrays_hold_what_the_generator_made(store):
    """Every array of every shard equals a fresh rendering, image by image."""
    for split, client, building, room in (
        ("train", 1, 1, 0), ("test", 1, 1, 1), ("validation", 1, 1, 2),
        ("test_unseen", 0, 1_000_000, 0),
    ):  # fmt: skip
        arrays = store.split(split, client)
        views = list(building_views(1, building, range(room, room + 1), 16, 1.0))
        names = [f"room_{room:02d}_view_{view}" for view in range(4)]
        assert store.record(split, client).images == names
        for number, view in enumerate(views):
            for label in LABELS:
                assert (arrays[label][number] == view.arrays[label]).all()


def test_the_last_buildings_stay_open(store, monkeypatch):
    """A building asked for again is not opened anew, until others have taken its place."""
    monkeypatch.setattr("harness.workloads.multitask.data.store.MOST_OPEN", 2)
    first = store.split("train", 0)
    assert store.split("train", 0) is first
    store.split("test", 0)
    assert store.split("train", 0) is first
    store.split("test", 1)
    assert store.split("train", 0) is not first


def test_no_more_bytes_stay_open_than_allowed(store, monkeypatch):
    """Files that fill the allowance push out the oldest, however few the buildings are."""
    first = store.split("train", 0)
    on_disk = sum(path.stat().st_size for path in store.folder("train", 0).glob("*.npy"))
    assert first.bytes == on_disk

    monkeypatch.setattr("harness.workloads.multitask.data.store.MOST_OPEN_BYTES", 2 * on_disk)
    second = store.split("train", 1)
    assert store.split("train", 0) is first
    assert store.split("train", 1) is second
    monkeypatch.setattr("harness.workloads.multitask.data.store.MOST_OPEN_BYTES", on_disk)
    store.split("test", 0)
    assert store.split("train", 0) is not first


def test_layouts_are_nhwc(store):
    """Pictures, normals and curvatures carry their channels last."""
    arrays = store.split("train", 0)
    assert arrays["rgb"].shape == (4, 16, 16, 3)
    assert arrays["n"].shape == (4, 16, 16, 3)
    assert arrays["c"].shape == (4, 16, 16, 2)
    assert arrays["d"].shape == (4, 16, 16)
    assert arrays["d"].dtype == np.uint16


def test_checksum_covers_all_files(store):
    """The overall checksum is the SHA-256 over the files' SHA-256 sorted by path."""
    paths = sorted(store.path.glob("*/*/*.npy"), key=lambda p: p.relative_to(store.path).as_posix())
    assert len(paths) == 7 * len(LABELS)
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    assert store.checksum == hashlib.sha256("".join(hashes).encode()).hexdigest()


def test_unknown_split_and_client_are_refused(store):
    """Asking for what is not there names what is."""
    with pytest.raises(DataError, match="no split 'exam'"):
        store.split("exam", 0)
    with pytest.raises(DataError, match="no building 2"):
        store.split("train", 2)
    with pytest.raises(DataError, match="no building -1"):
        store.length("test_unseen", -1)


def test_a_store_travels_to_another_process(store):
    """A store can be pickled, as handing it to a worker needs."""
    picture = store.split("train", 0)["rgb"]
    sent = pickle.dumps(store)
    assert picture.tobytes()[:100] not in sent, "no array may travel along"
    again = pickle.loads(sent)
    assert again.checksum == store.checksum
    assert (again.split("train", 0)["s"] == store.split("train", 0)["s"]).all()


VICTIM = "train/client_01/n.npy"


def test_truncated_file_is_noticed(copied_store):
    """A file that lost its end is named with its expected and found size."""
    path = copied_store / VICTIM
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    store = open_store(copied_store)
    for attempt in (lambda: verify(store), lambda: store.split("train", 1)["n"]):
        with pytest.raises(
            DataError, match=r"n\.npy is damaged: expected \d+ bytes, found"
        ) as caught:
            attempt()
        assert str(len(content)) in caught.value.message
        assert "Delete the folder" in caught.value.remedy


def test_missing_file_is_noticed(copied_store):
    """A file that is gone is named."""
    (copied_store / VICTIM).unlink()
    store = open_store(copied_store)
    for attempt in (lambda: verify(store), lambda: store.split("train", 1)["n"]):
        with pytest.raises(DataError, match=r"client_01/n\.npy is missing"):
            attempt()


def flip_last_bit(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_flipped_bit_is_noticed_by_verification(copied_store):
    """Opening is cheap and does not read the data; verification finds the one wrong bit."""
    flip_last_bit(copied_store / VICTIM)
    store = open_store(copied_store)
    with pytest.raises(DataError, match=r"n\.npy is damaged: expected SHA-256"):
        verify(store)
    assert not (copied_store / MEMO).exists()


def test_verified_files_are_not_read_again_until_touched(monkeypatch, copied_store):
    """What was right and was not touched since is taken as right; anything touched is read."""
    store = open_store(copied_store)
    verify(store)
    read = []
    monkeypatch.setattr("harness.workloads.multitask.data.verify.sha256_of", read.append)
    verify(store)
    assert read == []
    monkeypatch.undo()
    flip_last_bit(copied_store / VICTIM)
    os.utime(copied_store / VICTIM, ns=(1, 1))
    with pytest.raises(DataError, match=r"n\.npy is damaged"):
        verify(store)


def test_verification_can_be_asked_for_again(copied_store):
    """A bit that rots without a trace in size and time is found when all files are read anew."""
    path = copied_store / VICTIM
    store = open_store(copied_store)
    verify(store)
    times = path.stat()
    flip_last_bit(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    verify(store)
    with pytest.raises(DataError, match=r"n\.npy is damaged"):
        verify(store, again=True)


def rewrite(folder, change, sign=True):
    """Change a manifest; `sign` gives it the SHA-256 of its new content."""
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    if sign:
        content["sha256"] = content_hash(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format_version=1), "format_version 1, expected 2"),
        (lambda m: m.pop("format_version"), "manifest.json is damaged"),
        (lambda m: m.pop("checksum"), "manifest.json is damaged"),
        (lambda m: m.pop("splits"), "manifest.json is damaged"),
        (lambda m: m["splits"].pop("validation"), "manifest.json is damaged"),
        (lambda m: m["splits"]["train"]["images"].pop(), "manifest.json is damaged"),
        (lambda m: m["labels"]["d"].update(colour=1), "manifest.json is damaged"),
        (lambda m: m.update(labels=[]), "manifest.json is damaged"),
    ],
)
def test_wrong_manifest_is_refused(copied_store, change, message):
    """Another format, or a manifest that lacks something, never opens."""
    rewrite(copied_store, change)
    with pytest.raises(DataError, match=message):
        open_store(copied_store)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["normalisation"].update(d=[0, 1]),
        lambda m: m.update(tasks="s"),
        lambda m: m["splits"]["train"]["clients"].reverse(),
    ],
)
def test_a_manifest_edited_by_hand_is_refused(copied_store, change):
    """Its own SHA-256 tells."""
    rewrite(copied_store, change, sign=False)
    with pytest.raises(DataError, match="not what its SHA-256 says"):
        open_store(copied_store)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["splits"]["train"]["images"].__setitem__(1, 5),
        lambda m: m["labels"]["n"].update(dtype="uint8"),
        lambda m: m["labels"].pop("n"),
    ],
)
def test_records_that_contradict_the_manifest_are_refused(copied_store, change):
    """Numbers, types and labels of the shards must be those the manifest calls for."""
    rewrite(copied_store, change)
    store = open_store(copied_store)
    with pytest.raises(DataError, match="lists other files"):
        store.split("train", 1)
    with pytest.raises(DataError, match="lists other files"):
        verify(store)


@pytest.mark.parametrize("damage", ["edit", "cut", "lose"])
def test_damaged_records_are_refused(copied_store, damage):
    """The manifest knows the SHA-256 of every record."""
    path = copied_store / "test/client_00/shard.json"
    text = path.read_text()
    if damage == "lose":
        path.unlink()
    else:
        path.write_text(text[:90] if damage == "cut" else text.replace("room_01", "room_07"))
    store = open_store(copied_store)
    with pytest.raises(DataError, match=r"shard\.json is (damaged|missing)"):
        store.split("test", 0)
    with pytest.raises(DataError, match=r"shard\.json is (damaged|missing)"):
        verify(store)


def test_another_checksum_is_noticed_by_verification(copied_store):
    """The checksum of the whole store is recomputed from the files."""
    rewrite(copied_store, lambda m: m.update(checksum="0"))
    with pytest.raises(DataError, match="expected checksum"):
        verify(open_store(copied_store))


def test_cut_or_missing_manifest_is_refused(copied_store, tmp_path):
    """Without a readable manifest there is no store."""
    path = copied_store / "manifest.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(DataError, match=r"manifest\.json is damaged"):
        open_store(copied_store)
    path.unlink()
    with pytest.raises(DataError, match=r"manifest\.json is missing"):
        open_store(copied_store)
    with pytest.raises(DataError, match=r"manifest\.json is missing"):
        open_store(tmp_path / "nowhere")


def test_manifest_records_all_parameters(store, tiny_config):
    """The manifest on disk holds versions, parameters, constants, classes, tasks and splits."""
    content = json.loads((store.path / "manifest.json").read_text())
    assert ScenesConfig(**content["source"]) == tiny_config
    assert content["normalisation"]["d"] == list(store.normalisation["d"])
    assert content["classes"][0] == "void"
    assert (content["name"], content["tasks"], content["masked"]) == ("scenes", "sdnkterca", False)
    assert content["splits"]["validation"]["clients"] == ["client_00", "client_01"]


def test_opening_reads_the_manifest_alone(copied_store):
    """A store whose shards are gone opens; whoever asks for a client is told what is missing."""
    for split in SPLITS:
        shutil.rmtree(copied_store / split)
    store = open_store(copied_store)
    assert store.count("train") == 2
    with pytest.raises(DataError, match=r"shard\.json is missing"):
        store.split("train", 0)
