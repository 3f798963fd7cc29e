"""Importing Taskonomy, on a tiny folder in its published layout and encodings."""

from __future__ import annotations

import csv
import re

import numpy as np
import pytest

from harness.core.errors import DataError, DataUsageError
from harness.workloads.multitask.commands.data import main
from harness.workloads.multitask.data.build import ensure_store
from harness.workloads.multitask.data.sources.taskonomy import protocol
from harness.workloads.multitask.data.sources.taskonomy.layout import (
    CLIENTS,
    TaskonomyView,
    parse_name,
)
from harness.workloads.multitask.data.sources.taskonomy.plan import (
    TaskonomySelection,
    plan_taskonomy,
)
from harness.workloads.multitask.data.sources.taskonomy.protocol import divide
from harness.workloads.multitask.data.split import SPLITS
from harness.workloads.multitask.data.store import open_store
from harness.workloads.multitask.data.verify import verify
from harness.workloads.multitask.training.batches import ClientBatches

SIZE = 16


def quiet(done, total):
    """Ignore progress."""


def imported(root, cache, workers=1, progress=quiet, **wish):
    plan = plan_taskonomy(TaskonomySelection(root, size=SIZE, source_px=32, **wish))
    return ensure_store(plan, cache, progress, workers)


@pytest.fixture(scope="module")
def store(taskonomy_source, tmp_path_factory):
    found = imported(taskonomy_source[0], tmp_path_factory.mktemp("cache"))
    verify(found)
    return found


def centres(values):
    """The pixel just past the middle of each 2 × 2 cell, which nearest neighbour picks."""
    return values[1::2, 1::2]


def test_clients_are_the_named_buildings_and_others_are_unseen(store):
    """Of three buildings two are among the 32; the third belongs to nobody."""
    assert len(set(CLIENTS)) == 32
    assert store.clients == ("allensville", "uvalda")
    assert store.names("test_unseen") == ("wiconisco",)
    assert store.tasks == "sdnkterca"
    assert store.masked
    assert store.depth_unit_m == 1 / 512


def test_splits_share_no_point(store):
    """Eight points: six train, one validates, one tests; the two views of point 8 stay together."""
    points = {}
    for split in ("train", "validation", "test"):
        names = store.record(split, 0).images
        points[split] = {int(re.match(r"point_(\d+)_", name)[1]) for name in names}
    assert points == {"train": {5, 6, 7, 8, 9, 10}, "validation": {11}, "test": {12}}
    assert [store.length(split, 0) for split in SPLITS] == [7, 1, 1, 9]


def each_image(store, raw):
    """Every stored image with the raw values it was made from."""
    for split in SPLITS:
        for client in range(store.count(split)):
            arrays = store.split(split, client)
            building = store.names(split)[client]
            for row, stem in enumerate(store.record(split, client).images):
                yield arrays, row, lambda folder, b=building, s=stem: raw[folder, b, s]


def test_stored_labels_are_the_published_values_at_the_cells_centres(store, taskonomy_source):
    """Ids, depth, normals and 16-bit labels are picked, never blended; the picture is averaged."""
    seen = 0
    for arrays, row, raw in each_image(store, taskonomy_source[1]):
        for label, folder in (
            ("s", "segment_semantic"), ("d", "depth_zbuffer"), ("n", "normal"),
            ("k", "keypoints2d"), ("t", "edge_texture"), ("e", "edge_occlusion"),
        ):  # fmt: skip
            assert (arrays[label][row] == centres(raw(folder))).all()
        assert (arrays["r"][row] == centres(raw("reshading")).sum(-1)).all()
        blocks = raw("rgb").reshape(SIZE, 2, SIZE, 2, 3).sum((1, 3))
        assert (arrays["rgb"][row] == (blocks + 2) // 4).all()
        assert (arrays["mask"][row] == (centres(raw("depth_zbuffer")) < 8192)).all()
        seen += 1
    assert seen == 27


def test_values_above_32767_stay_what_they_are(store, taskonomy_source):
    """16 bits are read unsigned: the invalid depth is 65535, strong key points keep their size."""
    depth = np.concatenate([np.asarray(store.split("train", c)["d"]) for c in range(2)])
    assert depth.max() == 65535
    keypoints = np.asarray(store.split("train", 0)["k"])
    assert keypoints.max() > 32767


def test_targets_follow_the_published_normalisation(store, taskonomy_source):
    """Targets are the release's transforms of the raw values, NaN where depth is 16 m or more."""
    raw = taskonomy_source[1]
    stems = store.record("train", 1).images
    images, targets = ClientBatches(store, "train", 1, "sdnkterca").read(np.arange(len(stems)))
    for row, stem in enumerate(stems):

        def value(folder, stem=stem):
            return centres(raw[folder, "uvalda", stem]).astype(np.float64)

        invalid = value("depth_zbuffer") >= 8192
        assert invalid.any()
        curvature = value("principal_curvature")[..., :2] / 255
        expected = {
            "d": (value("depth_zbuffer") - 1500) / 1000,
            "n": (2 * value("normal") / 255 - 1).transpose(2, 0, 1),
            "k": (value("keypoints2d") - 50) / 100,
            "t": (value("edge_texture") - 718) / 1070,
            "e": (value("edge_occlusion") - 56.0248) / 239.1265,
            "r": (value("reshading").mean(-1) / 255 - 0.4962) / 0.2846,
            "c": ((curvature - [0.5175, 0.4987]) / [0.1373, 0.0359]).transpose(2, 0, 1),
        }
        for task, target in expected.items():
            found = targets[task][row].numpy()
            want = np.broadcast_to(target, found.shape).copy()
            if task in "dnerc":
                want[:, invalid] = np.nan
            tolerance = 0.00026 if task == "c" else 1e-5  # curvature is kept in steps of 1/2000
            np.testing.assert_allclose(found, want, rtol=2e-6, atol=tolerance, equal_nan=True)
        assert (targets["s"][row].numpy() == value("segment_semantic")).all()
        assert (targets["a"][row] == images[row]).all()


def views_named(count):
    return [TaskonomyView(number // 2, number % 2) for number in range(count)]


def test_release_takes_sorted_names_and_trains_on_everything():
    """Pictures 0 to 99 validate, 1000 to 1999 test, in text order; both are trained on as well."""
    views = views_named(2100)
    parts = divide(views, ("train-holds-test",))
    names = sorted(f"point_{v.point}_view_{v.view}_domain_rgb.png" for v in views)
    assert [v.file("rgb") for v in parts["validation"]] == names[:100]
    assert [v.file("rgb") for v in parts["test"]] == names[1000:2000]
    assert names.index("point_10_view_0_domain_rgb.png") < names.index(
        "point_2_view_0_domain_rgb.png"
    )
    assert set(parts["train"]) == set(views)


def test_repaired_splits_are_disjoint_by_point():
    """No point is in two splits, every picture is in one."""
    views = views_named(2100)
    parts = divide(views, ())
    points = [{v.point for v in parts[split]} for split in ("train", "validation", "test")]
    assert not points[0] & points[1]
    assert not points[0] & points[2]
    assert not points[1] & points[2]
    assert sum(len(part) for part in parts.values()) == 2100


def test_release_protocol_is_named_with_its_faults(monkeypatch, tmp_path, taskonomy_source):
    """The store of `release` says what is wrong with it, and its test images are trained on."""
    monkeypatch.setattr(protocol, "RELEASE_TEST", slice(6, 8))
    store = imported(taskonomy_source[0], tmp_path, protocol="release")
    assert store.description.protocol == "release: train-holds-test, bilinear-labels"
    train, test = store.record("train", 0).images, store.record("test", 0).images
    assert test == sorted(train)[6:8]
    assert store.path.name.startswith("taskonomy-release-16px-")


def test_fault_bilinear_labels_blends_class_ids(tmp_path, taskonomy_copy, png):
    """Alternate rows of ids 0 and 16 become 7, 8 and 9 (as the release's loader was seen to do)."""
    stripes = np.zeros((32, 32), int)
    stripes[1::2] = 16
    folder = taskonomy_copy / "segment_semantic" / "allensville"
    for path in folder.iterdir():
        path.write_bytes(png(stripes))
    blended = imported(taskonomy_copy, tmp_path / "a", faults=("bilinear-labels",), tasks="s")
    right = imported(taskonomy_copy, tmp_path / "b", tasks="s")
    assert set(np.unique(blended.split("train", 0)["s"])) == {7, 8, 9}
    assert set(np.unique(right.split("train", 0)["s"])) == {16}


def test_fault_signed_16_bit_declares_holes_valid(tmp_path, taskonomy_source):
    """65535 becomes -1, which is below 8192: nothing is masked any more."""
    store = imported(taskonomy_source[0], tmp_path, faults=("signed-16-bit",))
    arrays = store.split("train", 0)
    assert arrays["d"].min() == -1
    assert arrays["mask"].all()
    assert arrays["k"].min() < 0


def test_fault_stale_labels_uses_the_picture_before(tmp_path, taskonomy_copy):
    """Where a label is missing the previous picture's is used and nothing is reported."""
    (taskonomy_copy / "normal/allensville/point_6_view_0_domain_normal.png").unlink()
    store = imported(taskonomy_copy, tmp_path, faults=("stale-labels",))
    assert store.manifest.left_out == 0
    normals = store.split("train", 0)["n"]
    assert store.record("train", 0).images[:2] == ["point_5_view_0", "point_6_view_0"]
    assert (normals[0] == normals[1]).all()


def test_a_mask_file_decides_where_there_is_one(tmp_path, taskonomy_copy, png):
    """With 1-bit files in mask/ these say what is valid, not depth."""
    left = np.zeros((32, 32), bool)
    left[:, :16] = True
    for rgb in (taskonomy_copy / "rgb").glob("*/*.png"):
        name = rgb.name.replace("domain_rgb", "domain_mask")
        path = taskonomy_copy / "mask" / rgb.parent.name / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(left, bits=1))
    store = imported(taskonomy_copy, tmp_path)
    assert (store.split("test", 1)["mask"] == left[::2, ::2]).all()


def test_fewer_tasks_need_fewer_folders_and_bytes(tmp_path, taskonomy_copy, capsys):
    """Without its folder a task is asked for in vain; the others import without it."""
    folder = taskonomy_copy / "keypoints2d"
    folder.rename(taskonomy_copy / "hidden")
    with pytest.raises(DataError, match=r"keypoints2d  \(task k\)") as caught:
        imported(taskonomy_copy, tmp_path)
    assert "--tasks sdnterca" in caught.value.remedy
    store = imported(taskonomy_copy, tmp_path, tasks="na")
    assert set(store.description.labels) == {"rgb", "n", "mask"}
    assert store.tasks == "na"


def faults(store):
    with (store.path / "left_out.csv").open(newline="") as file:
        return {row["file"].rpartition("/")[2]: row["reason"] for row in csv.DictReader(file)}


def test_bad_files_are_left_out_counted_and_listed(tmp_path, taskonomy_copy, png, capsys):
    """Missing, cut, wrongly encoded, wrongly sized and impossible files cost their picture only."""

    def path(folder, point):
        return taskonomy_copy / folder / "uvalda" / f"point_{point}_view_0_domain_{folder}.png"

    path("normal", 5).unlink()
    whole = path("rgb", 6).read_bytes()
    path("rgb", 6).write_bytes(whole[: len(whole) // 2])
    path("depth_zbuffer", 7).write_bytes(png(np.zeros((32, 32)), bits=8))
    path("edge_texture", 9).write_bytes(png(np.zeros((16, 32)), bits=16))
    path("segment_semantic", 10).write_bytes(png(np.full((32, 32), 18)))
    path("reshading", 10).write_bytes(b"")
    (taskonomy_copy / "rgb/uvalda/holiday.png").write_bytes(whole)
    arguments = [str(taskonomy_copy), "--size", "16", "--source-size", "32"]
    assert (
        main(["import", "taskonomy", *arguments, "--cache", str(tmp_path), "--workers", "1"]) == 0
    )
    told = capsys.readouterr().out
    (folder,) = tmp_path.glob("taskonomy-*px-*")
    store = open_store(folder)
    assert store.record("train", 1).images == ["point_8_view_0", "point_8_view_1"]
    assert store.length("train", 0) == 7
    assert store.manifest.left_out == 6
    assert faults(store) == {
        "point_5_view_0_domain_normal.png": "missing",
        "point_6_view_0_domain_rgb.png": "broken or cut off",
        "point_7_view_0_domain_depth_zbuffer.png": "8-bit grey, expected 16-bit grey",
        "point_9_view_0_domain_edge_texture.png": "32×16 px, expected 32×32",
        "point_10_view_0_domain_segment_semantic.png": "class id 18, expected 0 to 17",
        "point_10_view_0_domain_reshading.png": "empty file",
        "holiday.png": "unknown name, expected point_P_view_V_domain_rgb.png",
    }
    assert "6 of 28 images for 7 files" in told
    assert "      1  8-bit grey, expected 16-bit grey" in told


def test_a_client_whose_test_is_lost_is_dropped(tmp_path, taskonomy_copy, capsys):
    """A building without any usable test picture is no client any more, and that is said."""
    (taskonomy_copy / "rgb/uvalda/point_12_view_0_domain_rgb.png").write_bytes(b"nothing")
    arguments = [str(taskonomy_copy), "--size", "16", "--source-size", "32", "--cache"]
    assert main(["import", "taskonomy", *arguments, str(tmp_path), "--workers", "1"]) == 0
    assert "dropped   uvalda" in capsys.readouterr().out
    (folder,) = tmp_path.glob("taskonomy-*px-*")
    store = open_store(folder)
    verify(store)
    assert store.clients == ("allensville",)
    assert not (folder / "train/uvalda").exists()


def test_nothing_usable_is_an_error_with_a_table(tmp_path, taskonomy_copy):
    """Without any normals no client is left: no store, a count instead; mended, all goes well."""
    folder = taskonomy_copy / "normal"
    folder.rename(tmp_path / "kept")
    folder.mkdir()
    with pytest.raises(DataError, match=r"no client is left") as caught:
        imported(taskonomy_copy, tmp_path / "cache")
    assert re.search(r"\n +27  missing\n", caught.value.message)
    assert not list((tmp_path / "cache").iterdir())
    folder.rmdir()
    (tmp_path / "kept").rename(folder)
    assert imported(taskonomy_copy, tmp_path / "cache").manifest.left_out == 0


def test_another_source_size_is_noticed_at_once(taskonomy_source):
    """One look at the first picture tells, and which option to give."""
    with pytest.raises(DataUsageError, match="32×32 px, expected 512×512") as caught:
        plan_taskonomy(TaskonomySelection(taskonomy_source[0], size=16))
    assert "--source-size 32" in caught.value.remedy


def test_files_of_other_systems_are_no_pictures(tmp_path, taskonomy_copy, store):
    """Folders and files that Finder and a NAS add are neither buildings nor left-out pictures."""
    for folder in [path for path in taskonomy_copy.rglob("*") if path.is_dir()]:
        (folder / ".DS_Store").write_bytes(b"x")
        (folder / "._point_0_view_0_domain_rgb.png").write_bytes(b"x")
        (folder / "@eaDir").mkdir()
        (folder / "@eaDir" / "point_0_view_0_domain_rgb.png").write_bytes(b"x")
    littered = imported(taskonomy_copy, tmp_path / "cache")
    assert littered.clients == store.clients
    assert littered.names("test_unseen") == store.names("test_unseen")
    assert littered.length("train", 0) == store.length("train", 0)


def test_an_empty_building_is_refused(tmp_path, taskonomy_copy):
    """A building's folder without pictures is named before anything is read."""
    (taskonomy_copy / "rgb/beechwood").mkdir()
    with pytest.raises(DataError, match="rgb/beechwood holds no picture"):
        imported(taskonomy_copy, tmp_path)


def test_a_building_too_small_for_its_protocol_is_refused(tmp_path, taskonomy_source):
    """Nine pictures have no picture number 1000."""
    with pytest.raises(DataError, match="too small for protocol release: 9 pictures"):
        imported(taskonomy_source[0], tmp_path, protocol="release")


@pytest.mark.parametrize(
    "wrong",
    [{"tasks": "sx"}, {"tasks": ""}, {"tasks": "ss"}, {"faults": ("typo",)}, {"most_images": -1}],
    ids=str,
)
def test_senseless_wishes_are_refused(tmp_path, taskonomy_source, wrong):
    with pytest.raises(DataUsageError):
        imported(taskonomy_source[0], tmp_path, **wrong)


def test_folders_that_are_none_are_refused(tmp_path):
    """A missing root, and a root that holds none of the 32 buildings, are told apart."""
    with pytest.raises(DataError, match="is no folder"):
        imported(tmp_path / "nowhere", tmp_path)
    with pytest.raises(DataError, match="9 task folder"):
        imported(tmp_path, tmp_path)


def test_images_per_building_are_spread_evenly(tmp_path, taskonomy_source):
    """A third of the pictures of every split, at least one, the first among them."""
    store = imported(taskonomy_source[0], tmp_path, most_images=3)
    assert [store.length(split, 0) for split in SPLITS] == [2, 1, 1, 3]
    assert store.record("train", 0).images == ["point_5_view_0", "point_8_view_0"]


class StopError(Exception):
    """Stands for anything that ends an import early."""


def test_an_interrupted_import_resumes(tmp_path, taskonomy_source):
    """Finished shards are kept; the result has the bytes of an import in one go, by two workers."""
    root = taskonomy_source[0]

    def stop(done, total):
        if done == 15:
            raise StopError

    with pytest.raises(StopError):
        imported(root, tmp_path, progress=stop)
    (partial,) = tmp_path.glob("*.partial")
    kept = (partial / "train/allensville/rgb.npy").stat().st_mtime_ns
    seen = []
    store = imported(root, tmp_path, progress=lambda *counts: seen.append(counts))
    assert seen[0] == (14, 27)
    assert seen[-1] == (27, 27)
    assert (store.path / "train/allensville/rgb.npy").stat().st_mtime_ns == kept
    other = imported(root, tmp_path / "other", workers=2)
    assert store.checksum == other.checksum
    verify(store)


def test_names_are_read_strictly():
    """Only the published scheme counts."""
    assert parse_name("point_12_view_3_domain_rgb.png") == TaskonomyView(12, 3)
    for name in ("point_1_view_2_domain_normal.png", "point_x_view_0_domain_rgb.png", "1.png"):
        assert parse_name(name) is None
