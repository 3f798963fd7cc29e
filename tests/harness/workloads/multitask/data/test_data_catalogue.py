"""Naming data sets: on the command line, in the cache, in a run's configuration."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from harness.cli import list as listing
from harness.core.errors import DataUsageError, HarnessError
from harness.workloads.multitask.config import make_multitask_config, read_multitask_file
from harness.workloads.multitask.data.catalogue import find_store, read_layout, stores_in
from harness.workloads.multitask.data.manifest import ShardEntry, StoreManifest, read_manifest
from harness.workloads.multitask.data.split import SPLITS
from harness.workloads.multitask.data.store import open_store
from harness.workloads.multitask.planning.plan import planned_jobs, planned_work

ROOT = Path(__file__).parents[5]


@pytest.fixture
def cache(tmp_path, tiny_cache, tiny_config):
    """A cache with one store that is called taskonomy-…, and a half-made one."""
    shutil.copytree(tiny_cache / tiny_config.folder_name(), tmp_path / "taskonomy-a")
    (tmp_path / "taskonomy-b.partial").mkdir()
    shutil.copy(tmp_path / "taskonomy-a/manifest.json", tmp_path / "taskonomy-b.partial")
    return tmp_path


def test_a_name_stands_for_the_only_store_of_that_name(cache):
    """Unfinished stores do not count; with two the user has to say which."""
    assert find_store("taskonomy", cache) == cache / "taskonomy-a"
    shutil.copytree(cache / "taskonomy-a", cache / "taskonomy-c")
    assert stores_in(cache, "taskonomy") == [cache / "taskonomy-a", cache / "taskonomy-c"]
    with pytest.raises(DataUsageError, match="there are 2 stores") as caught:
        find_store("taskonomy", cache)
    assert f"--dataset {cache / 'taskonomy-c'}" in caught.value.remedy


def test_folders_can_be_named_with_and_without_a_name(cache):
    """PATH and NAME:PATH are the store in that folder."""
    path = cache / "taskonomy-a"
    assert find_store(str(path), cache) == path
    assert find_store(f"folder:{path}", cache) == path


@pytest.mark.parametrize(
    ("wanted", "message", "remedy"),
    [
        (
            "nyuv2",
            "has not been imported",
            "python -m harness.data import nyuv2",
        ),
        ("taskonomi", "unknown data set", "Did you mean 'taskonomy'?"),
        ("folder:/nowhere", "there is no folder /nowhere", "Name the folder"),
        ("/nowhere", "there is no folder /nowhere", "Name the folder"),
        (
            "folder:.",
            "is no finished store",
            "python -m harness.data import folder .",
        ),
    ],
)
def test_names_that_stand_for_nothing_lead_to_what_does(tmp_path, wanted, message, remedy):
    with pytest.raises(DataUsageError, match=message) as caught:
        find_store(wanted, tmp_path)
    assert remedy in caught.value.remedy


def test_a_run_takes_its_numbers_from_the_store(cache):
    """Clients, images and size are the store's; the work planned is that of its images."""
    chosen = {"data": "taskonomy", "cache": str(cache), "clients_per_round": 2, "batch_size": 2}
    config = make_multitask_config(
        {**chosen, "methods": ("all-in-one",), "rounds": 3, "evaluate_every": 3}
    )
    assert (config.clients, config.size) == (2, 16)
    assert (config.images, config.unseen_buildings, config.unseen_images) == (8, 1, 4)
    (job,) = planned_jobs(config.method_specs()[0], config.setting)
    work = planned_work(job, config)
    trained = 3 * 2 * 4  # rounds × clients × images
    judged = 2 * 4 + 2 * 4 + 4  # test, validation, unseen
    assert work.forwards["encoder"] == 3 * trained + judged


def test_options_that_contradict_the_store_are_refused(cache):
    """What is as it is cannot be asked to be otherwise; saying the same is no contradiction."""
    base = {"data": "taskonomy", "cache": str(cache), "clients_per_round": 2}
    with pytest.raises(HarnessError, match="--clients, --skew: only scenes") as caught:
        make_multitask_config({**base, "clients": 8, "skew": 0.5})
    assert caught.value.exit_status == 2
    assert make_multitask_config({**base, "clients": 2, "skew": 1.0}).clients == 2


def test_a_task_without_labels_is_refused(cache, tiny_cache, tiny_config):
    """The store's own letters are named."""
    what = read_manifest(cache / "taskonomy-a")
    fewer = dataclasses.replace(what.description, tasks="sdn")
    manifest = dataclasses.replace(what, description=fewer)
    (cache / "taskonomy-a/manifest.json").write_text(manifest.to_json())
    base = {"data": "taskonomy", "cache": str(cache), "clients_per_round": 2}
    with pytest.raises(HarnessError, match="no labels for task k, t") as caught:
        make_multitask_config(base)
    assert "--tasks sdn" in caught.value.remedy
    assert caught.value.exit_status == 2


@pytest.mark.parametrize("wanted", ["nyuv2", "taskonomi", "folder:/nowhere"])
def test_a_run_without_its_data_set_stops_with_exit_2(tmp_path, wanted):
    with pytest.raises(HarnessError) as caught:
        make_multitask_config({"data": wanted, "cache": str(tmp_path)})
    assert caught.value.exit_status == 2
    assert caught.value.remedy


def test_the_digest_of_a_run_does_not_depend_on_where_its_store_is(cache, tmp_path_factory):
    """A store carried elsewhere gives the same digest; another store another."""
    away = tmp_path_factory.mktemp("away")
    shutil.copytree(cache / "taskonomy-a", away / "taskonomy-a")
    shutil.copytree(cache / "taskonomy-a", away / "taskonomy-z")
    here, there, other = (
        make_multitask_config({"data": str(path), "clients_per_round": 2}).digest()
        for path in (cache / "taskonomy-a", away / "taskonomy-a", away / "taskonomy-z")
    )
    assert here == there != other


def test_the_list_says_what_is_here_and_how_to_get_the_rest(cache, capsys):
    """A store shows its clients and folder; what is missing shows its command."""
    assert listing.main(["datasets", "--cache", str(cache), "--json"]) == 0
    items = {item["name"]: item for item in json.loads(capsys.readouterr().out)}
    assert items["scenes"]["usable"]
    assert items["taskonomy"]["usable"]
    assert "2 clients, 16 px, tasks sdnkterca" in items["taskonomy"]["text"]
    assert items["taskonomy"]["stores"] == [str(cache / "taskonomy-a")]
    assert not items["nyuv2"]["usable"]
    assert items["nyuv2"]["fix"].endswith("import nyuv2 nyu_depth_v2_labeled.mat")


def test_a_thousand_clients_open_with_one_small_file(cache):
    """The manifest of 1000 clients is all that is read: no folder of theirs is looked at."""
    what = read_manifest(cache / "taskonomy-a")
    entries = tuple(ShardEntry(f"client_{n:03d}", 84, "0" * 64) for n in range(1000))
    many = StoreManifest(what.description, dict.fromkeys(SPLITS, entries), what.checksum)
    folder = cache / "many"
    folder.mkdir()
    (folder / "manifest.json").write_text(many.to_json())
    store = open_store(folder)
    assert store.count("train") == 1000
    assert store.length("test", 999) == 84
    assert read_layout(folder).images("train") == 84000
    assert (folder / "manifest.json").stat().st_size < 1_000_000


def test_the_documented_large_federation_can_be_asked_for():
    """docs/federation-32.toml is a whole configuration: 32 clients, five in a round."""
    config = make_multitask_config({}, read_multitask_file(ROOT / "docs" / "federation-32.toml"))
    assert (config.clients, config.clients_per_round, config.skew) == (32, 5, 1.0)
    assert config.layout.count("train") == 32
