"""Importing a folder in the documented layout, whole and with every fault we could think of."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import DataError
from harness.workloads.multitask.data.build import ensure_store
from harness.workloads.multitask.data.picture_files import is_foreign
from harness.workloads.multitask.data.sources.folder.plan import plan_folder
from harness.workloads.multitask.data.split import SPLITS
from harness.workloads.multitask.data.verify import verify
from harness.workloads.multitask.training.batches import ClientBatches

SETTINGS = """
name = "my-rooms"
tasks = "sdnca"
size = 16
classes = ["void", "wall", "floor"]
depth_unit_m = 0.01

[normalisation]
d = [200.0, 50.0]
n = [127.5, 127.5]

[invalid]
d = 0
"""
PX = (24, 32)


@pytest.fixture
def folder(tmp_path, png):
    """Two clients and an unseen one; d as 16-bit PNG, s as palette, n as RGB, c as float arrays."""
    root = tmp_path / "rooms"
    root.mkdir()
    (root / "dataset.toml").write_text(SETTINGS)
    rng = np.random.default_rng(8)
    splits = {"ann": SPLITS[:3], "ben": SPLITS[:3], "zoe": ("test_unseen",)}
    for client, own in splits.items():
        for split in own:
            for number in range(3):
                part = root / client / split
                write(part / "rgb" / f"{number}.png", png(rng.integers(0, 256, (*PX, 3))))
                write(part / "s" / f"{number}.png", png(rng.integers(0, 3, PX), 8, 3))
                depth = rng.integers(1, 900, PX)
                depth[:4] = 0
                write(part / "d" / f"{number}.png", png(depth, 16))
                write(part / "n" / f"{number}.png", png(rng.integers(0, 256, (*PX, 3))))
                curvature = rng.normal(3.0, 2.0, (*PX, 2))
                (part / "c").mkdir(exist_ok=True)
                np.save(part / "c" / f"{number}.npy", curvature)
    return root


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def imported(root, cache=None):
    return ensure_store(plan_folder(root), cache or root.parent / "cache", lambda *_: None, 1)


LITTER = (".DS_Store", "._0.png", "._9.png", "Thumbs.db", "desktop.ini", ".nfs0001", "Icon\r")
LITTER_FOLDERS = (".Trashes", "@eaDir", "__MACOSX", "#recycle", "System Volume Information",
                  ".Spotlight-V100", "lost+found", "$RECYCLE.BIN", ".AppleDouble")  # fmt: skip


def test_files_of_other_systems_are_no_data(folder):
    """What Finder, Explorer and a NAS leave beside the pictures changes nothing of the store."""
    clean = imported(folder, folder.parent / "clean")
    for place in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        for name in LITTER:
            (place / name).write_bytes(b"\x00\x05\x16\x07not a picture")
        for name in LITTER_FOLDERS:
            write(place / name / "SYNOPHOTO_THUMB_M.png", b"not a picture")
            write(place / name / "train" / "rgb" / "0.png", b"not a picture")
    littered = imported(folder, folder.parent / "littered")
    assert (littered.clients, littered.names("test_unseen")) == (clean.clients, ("zoe",))
    assert [littered.length(split, 0) for split in SPLITS] == [3, 3, 3, 3]
    assert littered.path.name == clean.path.name


@pytest.mark.parametrize("name", ["#1", "@home", "thumbs", "desktop", "tmp", "icon", "0._1"])
def test_odd_names_are_data(name):
    """Names that only look like those of other systems are somebody's own."""
    assert not is_foreign(Path(name))


def test_everything_arrives_as_documented(folder):
    """Clients, splits, tasks, classes and units are the folder's; images are cut to squares."""
    store = imported(folder)
    verify(store)
    assert (store.name, store.tasks, store.size_px) == ("my-rooms", "sdnca", 16)
    assert store.clients == ("ann", "ben")
    assert store.names("test_unseen") == ("zoe",)
    assert [store.length(split, 0) for split in SPLITS] == [3, 3, 3, 3]
    assert store.classes == ("void", "wall", "floor")
    assert store.depth_unit_m == 0.01
    assert store.masked
    assert store.path.name.startswith("folder-my-rooms-16px-")


def test_values_are_the_files_own(folder):
    """Cells of 1.5 pixels of the middle square: picked at their centres, NaN where invalid."""
    store = imported(folder)
    _, targets = ClientBatches(store, "validation", 1, "dc").read(np.array([2]))
    rows = (2 * np.arange(16) + 1) * 24 // 32
    part = folder / "ben" / "validation"
    curvature = np.load(part / "c" / "2.npy")[:, 4:28].astype(np.float32)[rows[:, None], rows]
    assert (store.split("validation", 1)["c"][2] == curvature).all()
    stored = store.split("validation", 1)["d"][2]
    assert stored.dtype == np.uint16
    invalid = stored == 0
    assert invalid[:2].all()
    assert not invalid[3:].any()
    found = targets["d"][0, 0].numpy()
    assert np.isnan(found[invalid]).all()
    np.testing.assert_allclose(found[~invalid], (stored[~invalid] - 200.0) / 50.0, rtol=1e-6)
    assert np.isnan(targets["c"][0].numpy()[:, invalid]).all()


def test_scales_nobody_gave_are_measured_on_training_images(folder):
    """c has no constants: mean and deviation over the valid pixels of training images, rounded."""
    store = imported(folder)
    values = np.concatenate(
        [
            np.asarray(store.split("train", k)["c"])[
                np.asarray(store.split("train", k)["mask"]) > 0
            ]
            for k in range(2)
        ]
    ).astype(np.float64)
    offset, scale = store.normalisation["c"]
    assert offset == pytest.approx(values.mean(), rel=5e-3)
    assert scale == pytest.approx(values.std(), rel=5e-3)
    assert store.normalisation["d"] == (200.0, 50.0)


def test_a_mask_file_adds_to_the_invalid_values(folder, png):
    """Where mask/ is 0 pixels are invalid too; clients without mask/ have their other pixels."""
    for number in range(3):
        half = np.zeros(PX)
        half[:, 16:] = 255
        write(folder / "ann" / "train" / "mask" / f"{number}.png", png(half))
    store = imported(folder)
    mask = store.split("train", 0)["mask"]
    assert not mask[:, :, :8].any()
    assert mask[:, 3:, 8:].all()
    assert store.split("train", 1)["mask"][:, 3:].all()


def nan(folder, png):
    values = np.zeros((*PX, 2))
    values[3, 4] = np.nan
    np.save(folder / "ben/test/c/1.npy", values)


FAULTS = {
    "missing": lambda f, png: (f / "ben/test/d/1.png").unlink(),
    "NaN or infinite values": nan,
    "type uint8, expected uint16": lambda f, png: write(
        f / "ben/test/d/1.png", png(np.ones(PX), 8)
    ),
    "8-bit grey, expected 8-bit RGB": lambda f, png: write(
        f / "ben/test/rgb/1.png", png(np.ones(PX), 8)
    ),
    "30×24 px, expected 32×24": lambda f, png: write(
        f / "ben/test/s/1.png", png(np.ones((24, 30)), 8)
    ),
    "class id 3, expected 0 to 2": lambda f, png: write(
        f / "ben/test/s/1.png", png(np.full(PX, 3), 8)
    ),
    "no .npy file": lambda f, png: write(f / "ben/test/c/1.npy", b"hello"),
    "expected (H, W, 2)": lambda f, png: np.save(f / "ben/test/c/1.npy", np.zeros(PX)),
    "type complex128": lambda f, png: np.save(f / "ben/test/c/1.npy", np.zeros((*PX, 2), complex)),
}


@pytest.mark.parametrize("reason", FAULTS)
def test_a_bad_file_costs_its_picture_and_is_listed(folder, png, reason):
    """The rest is imported; the list names the file and what was expected of it."""
    FAULTS[reason](folder, png)
    store = imported(folder)
    assert store.length("test", 1) == 2
    assert store.manifest.left_out == 1
    with (store.path / "left_out.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert reason in row["reason"]
    assert "ben/test" in row["file"]
    assert (row["split"], row["client"], row["image"]) == ("test", "ben", "1")


def edited(old, new):
    def change(folder):
        path = folder / "dataset.toml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


def emptied(name):
    def change(folder):
        for path in (folder / name).iterdir():
            path.unlink()

    return change


def hidden(name):
    return lambda folder: (folder / name).rename(folder.parent / "hidden")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (hidden("dataset.toml"), "dataset.toml is missing"),
        (hidden("ann/test"), "ann/test is missing: a client needs train, validation, test"),
        (hidden("ben/train/n"), "ben/train/n is missing"),
        (emptied("ben/train/rgb"), "ben/train/rgb holds no picture"),
        (edited('name = "my-rooms"', ""), "name is missing"),
        (edited('name = "my-rooms"', 'name = "scenes"'), "'scenes' is taken"),
        (edited('name = "my-rooms"', 'name = "../up"'), "cannot name a folder"),
        (edited("size = 16", "size = 20"), "size is 20, expected a multiple of 8"),
        (edited("size = 16", 'size = "16"'), "size has a value of the wrong type: '16'"),
        (edited("size = 16", "size = 64"), "below the size 64"),
        (edited('tasks = "sdnca"', 'tasks = "sdz"'), "tasks is 'sdz'"),
        (edited("size = 16", "sise = 16"), "sise is an unknown key"),
        (edited('"void", "wall", "floor"', '"void"'), "classes has 1 names, expected 2 to 18"),
        (edited("depth_unit_m = 0.01", ""), "depth_unit_m is missing"),
        (edited("d = [200.0, 50.0]", "d = [200.0]"), "expected [offset, scale]"),
        (edited("d = [200.0, 50.0]", "d = [200.0, 0.0]"), "expected [offset, scale]"),
        (edited("n = [127.5, 127.5]", "k = [0.0, 1.0]"), "normalisation.k stands for no task"),
        (edited("size = 16", "size ="), "dataset.toml: "),
    ],
)
def test_a_folder_that_cannot_be_imported_is_refused_at_once(folder, change, message):
    """Before anything is read for long: the file or key, and what was expected of it."""
    change(folder)
    with pytest.raises(DataError) as caught:
        imported(folder)
    assert message in caught.value.message
    assert caught.value.remedy


def test_a_folder_without_clients_is_refused(tmp_path):
    """dataset.toml alone is no data set."""
    (tmp_path / "dataset.toml").write_text(SETTINGS)
    with pytest.raises(DataError, match="holds no client"):
        imported(tmp_path, tmp_path / "cache")
