"""Importing NYU Depth v2, on a tiny file of the published layout."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from harness.core.errors import DataError, DataUsageError
from harness.workloads.multitask.data.build import ensure_store
from harness.workloads.multitask.data.scenes.labels import keypoints, texture_edges
from harness.workloads.multitask.data.sources.nyuv2 import (
    CENTRE_PX,
    FOCAL_PX,
    NyuSelection,
    frequent_ids,
    normals,
    plan_nyuv2,
)
from harness.workloads.multitask.data.split import SPLITS
from harness.workloads.multitask.data.verify import verify
from harness.workloads.multitask.training.batches import ClientBatches

HEIGHT, WIDTH = 480, 640
NAMES = ("wall", "lamp", "floor")
ROOMS = [("kitchen", scene) for scene in (1, 1, 2, 3, 4)] + [("cafe", 1), ("cafe", 2)]
"""Type and number of the scene of each image: four kitchens, one photographed twice; two cafes."""


def strings(file, name, values):
    """A 1 × N array of references to strings, as MATLAB stores cells."""
    references = np.empty((1, len(values)), h5py.ref_dtype)
    for number, value in enumerate(values):
        codes = np.array([[ord(letter)] for letter in value], np.uint16)
        references[0, number] = file.create_dataset(f"#refs#/{name}{number}", data=codes).ref
    file.create_dataset(name, data=references, dtype=h5py.ref_dtype)


def pictures():
    rng = np.random.default_rng(2)
    small = rng.integers(0, 256, (len(ROOMS), HEIGHT // 16, WIDTH // 16, 3)).astype(np.uint8)
    return small.repeat(16, 1).repeat(16, 2)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Images of random tiles; depth 2 m at image 0, one centimetre more for each next one."""
    path = tmp_path_factory.mktemp("nyu") / "nyu_depth_v2_labeled.mat"
    with h5py.File(path, "w") as out:
        shape = (len(ROOMS), WIDTH, HEIGHT)
        out["images"] = pictures().transpose(0, 3, 2, 1)
        depth = np.empty(shape, np.float32)
        depth[:] = 2 + 0.01 * np.arange(len(ROOMS)).reshape(-1, 1, 1)
        out["depths"] = depth
        raw = depth.copy()
        raw[:, : WIDTH // 2] = 0  # the left half was not measured but filled in
        out["rawDepths"] = raw
        labels = np.ones(shape, np.uint16)
        labels[:, :, HEIGHT // 2 + 5 :] = 3
        labels[:, :5, :5] = 2
        labels[:, -40:] = 0
        out["labels"] = labels
        strings(out, "names", NAMES)
        strings(out, "sceneTypes", [room for room, _ in ROOMS])
        strings(out, "scenes", [f"{room}_{number:04d}" for room, number in ROOMS])
    return path


@pytest.fixture(scope="module")
def store(file, tmp_path_factory):
    plan = plan_nyuv2(NyuSelection(file, 32))
    found = ensure_store(plan, tmp_path_factory.mktemp("cache"), lambda *_: None, 1)
    verify(found)
    return found


def test_clients_are_types_of_room_divided_by_scene(store):
    """Two kitchens train, one validates, one tests; cafes are too few and belong to nobody."""
    assert store.clients == ("kitchen",)
    assert store.names("test_unseen") == ("cafe",)
    assert [store.record(split, 0).images for split in SPLITS] == [
        ["image_0000", "image_0001", "image_0002"],
        ["image_0003"],
        ["image_0004"],
        ["image_0005", "image_0006"],
    ]
    assert store.tasks == "sdnktea"


def test_classes_are_the_names_that_cover_most(store, file):
    """Wall covers half, floor nearly half, lamp a corner; pixels without label are class 0."""
    with h5py.File(file) as opened:
        assert frequent_ids(opened) == (1, 3, 2)
    assert store.classes == ("other", "wall", "floor", "lamp")
    ids = store.split("train", 0)["s"][0]
    assert (ids[:15] == 1).all()
    assert (ids[18:] == 2).all()


def test_the_axes_are_put_right(store):
    """The middle 426 × 426 pixels, rows down: each cell is the mean of the tiles it covers."""
    image = pictures()[3][45:471, 41:601][:, 67:493]
    assert image.shape == (426, 426, 3)
    found = store.split("validation", 0)["rgb"][0]
    edges = np.arange(33) * 426 / 32
    fine = image.repeat(32, 0).repeat(32, 1)  # now each cell is a whole 426 × 426 block
    block = fine[: 426 * 2, : 426 * 2].reshape(2, 426, 2, 426, 3).mean((1, 3))
    assert edges[1] == 426 / 32
    assert (found[:2, :2] == np.floor(block + 0.5)).all()


def test_depth_normals_and_edges_of_a_flat_wall(store):
    """A wall straight ahead: its distance in millimetres, normals at the camera, no edge."""
    arrays = store.split("train", 0)
    assert [int(plane[0, 0]) for plane in arrays["d"]] == [2000, 2010, 2020]
    assert (arrays["d"][0] == 2000).all()
    assert (arrays["n"] == [0, 0, -127]).all()
    assert not arrays["e"].any()


def test_texture_tasks_come_from_the_stored_picture(store):
    """k and t are our own integer operators on the picture the network sees."""
    arrays = store.split("test", 0)
    assert (arrays["k"][0] == keypoints(np.asarray(arrays["rgb"][0]))).all()
    assert (arrays["t"][0] == texture_edges(np.asarray(arrays["rgb"][0]))).all()
    assert arrays["t"].any()


def test_depth_that_was_filled_in_is_no_label(store):
    """Where the raw depth is 0 geometric targets are NaN; texture targets are not."""
    _, targets = ClientBatches(store, "test", 0, "dnektsa").read(np.array([0]))
    for task in "dne":
        assert np.isnan(targets[task][0, :, :, :15].numpy()).all()
        assert not np.isnan(targets[task][0, :, :, 17:].numpy()).any()
    for task in "kta":
        assert not np.isnan(targets[task].numpy()).any()


def test_depth_constants_are_measured_on_training_images(store):
    """Three walls at 2.00, 2.01 and 2.02 m: mean 2010 mm, deviation 8.16 mm."""
    assert store.normalisation["d"] == (2010.0, 8.16)
    assert store.normalisation["n"] == (0.0, 127.0)
    assert store.depth_unit_m == 0.001


def test_normals_of_a_slanted_plane_are_its_own():
    """The plane Z = 2 + 0.5 X has the normal (0.5, 0, -1) / √1.25 everywhere."""
    u = (np.arange(WIDTH) - CENTRE_PX[0]) / FOCAL_PX[0]
    depth = np.tile(2 / (1 - 0.5 * u), (HEIGHT, 1)).astype(np.float32)
    expected = np.array([0.5, 0, -1]) / np.sqrt(1.25) * 127
    assert np.abs(normals(depth) - expected).max() <= 1


def test_a_floor_looks_up():
    """A floor 1.5 m below the camera, Y = 1.5, has the normal (0, -1, 0): up."""
    v = (np.arange(HEIGHT) - CENTRE_PX[1]) / FOCAL_PX[1]
    depth = np.full((HEIGHT, WIDTH), 9.0, np.float32)
    below = v > 0.2
    depth[below] = (1.5 / v[below])[:, None]
    found = normals(depth)[np.flatnonzero(below)[20:-20]]
    assert np.abs(found - [0, -127, 0]).max() <= 1


def test_wrong_files_and_sizes_are_refused(tmp_path, file):
    """No file, no HDF5, a lacking table, a size its labels cannot have."""
    with pytest.raises(DataError, match="is no file"):
        plan_nyuv2(NyuSelection(tmp_path / "none.mat"))
    text = tmp_path / "text.mat"
    text.write_text("MATLAB 5.0 MAT-file")
    with pytest.raises(DataError, match="no HDF5"):
        plan_nyuv2(NyuSelection(text))
    lacking = tmp_path / "lacking.mat"
    with h5py.File(lacking, "w") as out:
        out["images"] = np.zeros((2, 3, WIDTH, HEIGHT), np.uint8)
    with pytest.raises(DataError, match="depths of shape None"):
        plan_nyuv2(NyuSelection(lacking))
    with pytest.raises(DataUsageError, match="256 px"):
        plan_nyuv2(NyuSelection(file, 256))


def test_images_without_depth_are_left_out(tmp_path, file):
    """NaN or zero depth costs the image, and is listed."""
    broken = tmp_path / "broken.mat"
    broken.write_bytes(file.read_bytes())
    with h5py.File(broken, "r+") as out:
        out["depths"][0, 5, 5] = np.nan
    store = ensure_store(plan_nyuv2(NyuSelection(broken, 32)), tmp_path, lambda *_: None, 1)
    assert store.record("train", 0).images == ["image_0001", "image_0002"]
    assert "depth is not above 0 m" in (store.path / "left_out.csv").read_text()
