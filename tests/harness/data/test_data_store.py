"""Opening stores, whole and damaged."""

from __future__ import annotations

import hashlib
import json
import pickle

import numpy as np
import pytest

from harness.data.config import SPLITS, ScenesConfig
from harness.data.errors import DataError
from harness.data.scenes.building import LABELS, building_views
from harness.data.store import LabelArrays, open_store


@pytest.fixture
def store(tiny_cache, tiny_config):
    return open_store(tiny_cache / tiny_config.folder_name(), verify=True)


def test_store_describes_itself(store, tiny_config):
    """Name, sizes, clients and constants are those of the configuration."""
    assert store.name == "scenes"
    assert store.version == "1"
    assert store.config == tiny_config
    assert store.size_px == 16
    assert store.clients == ("client_00", "client_01")
    assert [store.count(split) for split in SPLITS] == [2, 2, 1]
    assert [store.length(split, 0) for split in SPLITS] == [4, 4, 4]
    assert set("sdnkterca") <= set(store.normalisation)


def test_arrays_hold_what_the_generator_made(store):
    """Every array of every shard equals a fresh rendering, image by image."""
    for split, client, building, room in (
        ("train", 1, 1, 0), ("test", 1, 1, 1), ("test_unseen", 0, 1_000_000, 0),
    ):  # fmt: skip
        arrays = store.split(split, client)
        views = list(building_views(1, building, range(room, room + 1), 16, 1.0))
        assert store.places(split, client) == [(room, view) for view in range(4)]
        for number, view in enumerate(views):
            for label in LABELS:
                assert (arrays[label][number] == view.arrays[label]).all()


def test_arrays_are_mapped_lazily_and_read_only(store):
    """Only labels that were asked for are opened; they cannot be written to; `a` is `rgb`."""
    arrays = store.split("train", 0)
    assert isinstance(arrays, LabelArrays)
    assert arrays._opened == {}
    depth = arrays["d"]
    assert isinstance(depth, np.memmap)
    assert set(arrays._opened) == {"d"}
    assert arrays["d"] is depth
    with pytest.raises(ValueError, match="read-only"):
        depth[0, 0, 0] = 1
    assert arrays["a"] is arrays["rgb"]
    assert set(arrays) == {*LABELS, "a"}
    assert len(arrays) == 10
    with pytest.raises(KeyError):
        arrays["x"]


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
    assert len(paths) == 5 * len(LABELS)
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    assert store.checksum == hashlib.sha256("".join(hashes).encode()).hexdigest()


def test_unknown_split_and_client_are_refused(store):
    """Asking for what is not there names what is."""
    with pytest.raises(DataError, match="no split 'validation'"):
        store.split("validation", 0)
    with pytest.raises(DataError, match="no building 2"):
        store.split("train", 2)
    with pytest.raises(DataError, match="no building -1"):
        store.length("test_unseen", -1)


def test_a_store_travels_to_another_process(store):
    """A store can be pickled, as handing it to a worker needs."""
    again = pickle.loads(pickle.dumps(store))
    assert again.checksum == store.checksum
    assert (again.split("train", 0)["s"] == store.split("train", 0)["s"]).all()


VICTIM = "train/client_01/n.npy"


def test_truncated_file_is_noticed_at_once(copied_store):
    """A file that lost its end is named with its expected and found size."""
    path = copied_store / VICTIM
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    with pytest.raises(DataError, match=r"n\.npy is damaged: expected \d+ bytes, found") as caught:
        open_store(copied_store)
    assert str(len(content)) in caught.value.message
    assert "Delete the folder" in caught.value.remedy


def test_missing_file_is_noticed_at_once(copied_store):
    """A file that is gone is named."""
    (copied_store / VICTIM).unlink()
    with pytest.raises(DataError, match=r"client_01/n\.npy is missing"):
        open_store(copied_store)


def test_flipped_bit_is_noticed_by_verification(copied_store):
    """Opening is cheap and does not read the data; verification finds the one wrong bit."""
    path = copied_store / VICTIM
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    open_store(copied_store)
    with pytest.raises(DataError, match=r"n\.npy is damaged: expected SHA-256"):
        open_store(copied_store, verify=True)


@pytest.mark.parametrize(("offset", "value"), [(0, b"X"), (30, b"@")])
def test_broken_header_is_noticed_on_access(copied_store, offset, value):
    """A file of the right size whose header is broken is reported when its label is asked for."""
    path = copied_store / VICTIM
    content = bytearray(path.read_bytes())
    content[offset : offset + 1] = value
    path.write_bytes(content)
    arrays = open_store(copied_store).split("train", 1)
    assert arrays["s"].shape == (4, 16, 16)
    with pytest.raises(DataError, match=r"n\.npy is damaged: expected int8"):
        arrays["n"]


def test_header_of_another_type_is_noticed_on_access(copied_store):
    """An array of equal size but other type is refused."""
    path = copied_store / VICTIM
    path.write_bytes(path.read_bytes().replace(b"'|i1'", b"'|u1'"))
    with pytest.raises(DataError, match="found uint8"):
        open_store(copied_store).split("train", 1)["n"]


def rewrite(folder, change):
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format_version=2), "format_version 2, expected 1"),
        (lambda m: m.update(generator_version="0"), "generator_version '0', expected '1'"),
        (lambda m: m.update(name="rooms"), "name 'rooms', expected 'scenes'"),
        (lambda m: m.pop("checksum"), "manifest.json is damaged"),
        (lambda m: m.update(checksum="0"), "expected checksum 0"),
        (lambda m: m["files"].pop(VICTIM), "as None"),
        (lambda m: m["files"].update(extra=m["files"][VICTIM]), "lists extra"),
        (lambda m: m["files"][VICTIM].update(shape=[1, 2, 3, 4]), r"lists train/client_01/n.npy"),
        (lambda m: m["config"].update(clients=3), "client_02"),
        (lambda m: m["config"].update(unknown=3), "manifest.json is damaged"),
        (lambda m: m.update(files=[]), "manifest.json is damaged"),
    ],
)
def test_wrong_manifest_is_refused(copied_store, change, message):
    """Another version, or a manifest that contradicts itself, never opens."""
    rewrite(copied_store, change)
    with pytest.raises(DataError, match=message):
        open_store(copied_store)


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
    """The manifest on disk holds versions, parameters, constants, classes and places."""
    content = json.loads((store.path / "manifest.json").read_text())
    assert ScenesConfig(**content["config"]) == tiny_config
    assert content["normalisation"]["d"] == list(store.normalisation["d"])
    assert content["classes"][0] == "void"
    assert content["images"]["test/client_00"] == [[1, 0], [1, 1], [1, 2], [1, 3]]
