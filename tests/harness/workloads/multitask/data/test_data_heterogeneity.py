"""How much clients differ, on images whose figures follow from how they were made."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from harness.core.errors import DataUsageError
from harness.workloads.multitask.commands.data import main
from harness.workloads.multitask.data.build import ensure_store
from harness.workloads.multitask.data.config import ScenesConfig
from harness.workloads.multitask.data.heterogeneity import measure
from harness.workloads.multitask.data.scenes.building import building_views
from harness.workloads.multitask.data.scenes.room import make_room, type_of_room
from harness.workloads.multitask.data.scenes.style import room_style
from harness.workloads.multitask.data.sources.folder.plan import plan_folder
from harness.workloads.multitask.data.store import open_store

SETTINGS = """
name = "plain"
tasks = "sd"
size = 16
classes = ["void", "wall", "floor"]
depth_unit_m = 0.01
[normalisation]
d = [0.0, 1.0]
[invalid]
d = 0
"""


@pytest.fixture
def store(tmp_path, png):
    """Ann sees walls only, grey 60, 1 m away; Ben half floor, half void, in stripes, 1 m and 3 m.

    A quarter of Ben's depth is invalid.
    """
    root = tmp_path / "plain"
    for split in ("train", "validation", "test"):
        for client in ("ann", "ben"):
            part = root / client / split
            ids = np.ones((16, 16), int)
            depth = np.full((16, 16), 100)
            grey = np.full((16, 16, 3), 60)
            if client == "ben":
                ids[:] = 2
                ids[:8] = 0
                depth[8:] = 300
                depth[:4] = 0
                depth[12:] = 100
                grey[:, ::2] = 100
            for label, values, bits in (("rgb", grey, 8), ("s", ids, 8), ("d", depth, 16)):
                path = part / label / "0.png"
                path.parent.mkdir(parents=True)
                path.write_bytes(png(values, bits))
    (root / "dataset.toml").write_text(SETTINGS)
    return ensure_store(plan_folder(root), tmp_path / "cache", lambda *_: None, 1)


def test_figures_are_those_the_images_were_made_with(store):
    """Walls against floors: half the classes differ from the mean; stripes are all edges."""
    ann, ben = measure(store, "train", 8).clients
    assert ann.class_distance == ben.class_distance == pytest.approx(0.5)
    assert (ann.room_distance, ben.room_distance) == (None, None)
    assert (ann.depth_m, ann.depth_spread_m) == pytest.approx((1.0, 0.0))
    # Ben's valid depth: rows 4 to 7 and 12 to 15 at 1 m, rows 8 to 11 at 3 m.
    assert (ben.depth_m, ben.depth_spread_m) == pytest.approx((5 / 3, np.sqrt(8 / 9)))
    assert (ann.brightness, ben.brightness) == pytest.approx((60, 80))
    assert (ann.edge_share, ben.edge_share) == (0.0, 1.0)


def test_the_summary_is_mean_spread_and_largest(store):
    """Over clients, with the deviation of all of them."""
    found = measure(store, "test", 8).summary()
    assert found["brightness"] == pytest.approx((70, 10, 80))
    assert found["class_distance"] == pytest.approx((0.5, 0.0, 0.5))
    assert found["room_distance"] is None


def test_table_json_and_csv_agree(store):
    """The table has 80 columns at most; the files have the same figures in full."""
    found = measure(store, "train", 8)
    lines = found.table()
    assert max(map(len, lines)) <= 80
    assert lines[1].split() == ["ann", "1", "0.500", "–", "1.00", "0.00", "60.0", "0.0"]
    told = json.loads(found.to_json())
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    for client, row in zip(told["clients"], rows, strict=True):
        assert {key: "" if v is None else str(v) for key, v in client.items()} == row
    assert told["checksum"] == store.checksum
    assert told["summary"]["brightness"]["largest"] == pytest.approx(80)


def test_room_types_are_known_without_building_the_rooms():
    """A corridor is long and narrow; what the type says is what is built."""
    for room in range(12):
        style = room_style(1, 3, room, 1.0)
        width, depth, _ = make_room(1, 3, room, style).size
        corridor = type_of_room(1, 3, room, style) == "corridor"
        assert corridor == (
            width / style.room_scale < 2.2 and depth / style.room_scale > 4.0 - 1e-9
        )


def test_skew_makes_scenes_clients_differ(tmp_path, tiny_cache, tiny_config):
    """Scenes know their rooms; distances lie between 0 and 1 and depth is in metres."""
    store = open_store(tiny_cache / tiny_config.folder_name())
    for client in measure(store, "train", 4).clients:
        assert 0 <= client.class_distance <= 1
        assert 0 <= client.room_distance <= 1
    depth = [view.arrays["d"] for view in building_views(1, 0, range(1), 16, 1.0)]
    assert measure(store, "train", 4).clients[0].depth_m == pytest.approx(np.mean(depth) / 1000)
    assert ScenesConfig(**store.description.source) == tiny_config


def test_nothing_to_measure_is_refused(store):
    for split, images in (("test_unseen", 4), ("train", 0)):
        with pytest.raises(DataUsageError, match="tell nothing"):
            measure(store, split, images)


def test_the_command_prints_and_writes(store, tmp_path, capsys):
    """`report` takes the folder of any store."""
    out, table = tmp_path / "r.json", tmp_path / "r.csv"
    words = ["report", str(store.path), "--json", str(out), "--csv", str(table)]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "ben" in told
    assert json.loads(out.read_text())["clients"][1]["client"] == "ben"
    assert table.read_text().startswith("client,images,class_distance")
