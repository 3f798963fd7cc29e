"""Training pictures dealt to other clients: each once, unchanged, by the class that it has."""

import pickle
from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pytest

from harness.core.errors import DataError, DataUsageError, HarnessError
from harness.workloads.multitask.commands.data import main
from harness.workloads.multitask.config import make_multitask_config
from harness.workloads.multitask.data import dealt
from harness.workloads.multitask.data.catalogue import classed_by
from harness.workloads.multitask.data.config import ScenesConfig
from harness.workloads.multitask.data.dataset import ensure_scenes, open_data
from harness.workloads.multitask.data.dealt import DealtStore, deal
from harness.workloads.multitask.data.image_classes import (
    classes_of_pictures,
    classes_of_rooms,
    most_frequent,
)
from harness.workloads.multitask.data.label_skew import LabelSkew
from harness.workloads.multitask.data.scenes.room import type_of_room
from harness.workloads.multitask.data.scenes.style import room_style
from harness.workloads.multitask.data.store import Store
from harness.workloads.multitask.listing import LISTS
from harness.workloads.multitask.training.batches import ClientBatches

CONFIG = ScenesConfig(clients=3, images=20, unseen_buildings=1, unseen_images=4, size=16)
SKEW = LabelSkew("dirichlet", 4, 7, 0.3)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    """Three buildings of four training rooms, four views each: 48 pictures."""
    return ensure_scenes(CONFIG, tmp_path_factory.mktemp("cache"), lambda *_: None, workers=1)


def test_generated_pictures_are_of_their_rooms_type(store) -> None:
    """In the order in which they are stored; known before a picture is there."""
    for building, found in enumerate(classes_of_pictures(store)):
        rooms = [int(name.split("_")[1]) for name in store.record("train", building).images]
        places = [(CONFIG.seed, building, room) for room in rooms]
        wanted = [type_of_room(*place, room_style(*place, CONFIG.skew)) for place in places]
        assert found.tolist() == wanted
    same = zip(classes_of_rooms(CONFIG), classes_of_pictures(store), strict=True)
    assert all(np.array_equal(one, other) for one, other in same)


def test_other_pictures_are_of_the_class_that_covers_most(store) -> None:
    """Void counts only where there is nothing else."""
    renamed = Store(store.path, replace(
        store.manifest, description=replace(store.description, name="plain"),
    ))  # fmt: skip
    for building, found in enumerate(classes_of_pictures(renamed)):
        ids = store.split("train", building)["s"]
        counts = [[np.count_nonzero(picture == c) for c in range(1, 18)] for picture in ids]
        assert found.tolist() == [store.classes[1 + int(np.argmax(own))] for own in counts]
    void = np.zeros((2, 4, 4), np.uint8)
    void[1, 0, 0] = 17
    assert most_frequent(void).tolist() == [0, 17]


def test_rooms_by_type_are_their_clients_name(store) -> None:
    manifest = replace(store.manifest, description=replace(store.description, name="nyuv2"))
    found = classes_of_pictures(Store(store.path, manifest))
    assert [set(own.tolist()) for own in found] == [{name} for name in store.clients]
    assert [len(own) for own in found] == [16] * 3


def test_data_that_know_no_class_are_refused(store) -> None:
    description = replace(store.description, name="plain", tasks="dn")
    with pytest.raises(DataUsageError, match="does not say of which class"):
        classes_of_pictures(Store(store.path, replace(store.manifest, description=description)))


def test_every_picture_goes_to_one_client_with_all_its_labels(store) -> None:
    classes = classes_of_pictures(store)
    dealing = deal(SKEW, classes)
    ours = DealtStore(store, dealing)
    places = np.concatenate(dealing.places).tolist()
    assert sorted(places) == [[b, row] for b in range(3) for row in range(16)]
    assert dealing.lengths == (12,) * 4 == tuple(ours.length("train", c) for c in range(4))
    assert ours.count("train") == len(ours.clients) == 4
    for client, own in enumerate(dealing.places):
        arrays = ours.split("train", client)
        for label in ("rgb", "s", "d", "a"):
            wanted = [store.split("train", b)[label][row] for b, row in own]
            assert np.array_equal(arrays[label], wanted)
            assert arrays[label].dtype == store.split("train", 0)[label].dtype
        batch, targets = ClientBatches(ours, "train", client, "sd").read(np.array([1, 5]))
        building, row = own[5]
        plain, plainly = ClientBatches(store, "train", int(building), "sd").read(np.array([row]))
        assert np.array_equal(batch[1], plain[0])
        assert np.array_equal(targets["d"][1], plainly["d"][0])


def test_what_tests_stays_where_it_was(store) -> None:
    ours = DealtStore(store, deal(SKEW, classes_of_pictures(store)))
    for split in ("validation", "test", "test_unseen"):
        assert ours.names(split) == store.names(split)
        for building in range(store.count(split)):
            assert ours.length(split, building) == store.length(split, building)
            theirs = store.split(split, building)["rgb"]
            assert np.array_equal(ours.split(split, building)["rgb"], theirs)


def test_another_dealing_is_another_data_set(store) -> None:
    classes = classes_of_pictures(store)
    one, again, other = (
        DealtStore(store, deal(replace(SKEW, seed=seed), classes)) for seed in (7, 7, 8)
    )
    assert one.checksum == again.checksum
    assert len({store.checksum, one.checksum, other.checksum}) == 3


def test_what_is_gathered_stays_within_bounds_and_does_not_travel(store, monkeypatch) -> None:
    ours = DealtStore(store, deal(SKEW, classes_of_pictures(store)))
    monkeypatch.setattr(dealt, "MOST_OPEN_BYTES", 2 * 12 * store.description.image_bytes)
    first = ours.split("train", 0)
    assert ours.split("train", 0) is first
    for client in (1, 2):
        ours.split("train", client)
    assert ours.split("train", 0) is not first
    again = pickle.loads(pickle.dumps(ours))
    assert np.array_equal(again.split("train", 3)["rgb"], ours.split("train", 3)["rgb"])
    with pytest.raises(DataError, match="no client 4"):
        ours.split("train", 4)
    with pytest.raises(ValueError, match="read-only"):
        first["rgb"][0] = 0


def _config(**given):
    return make_multitask_config({"methods": ("all-in-one",), **given})


def test_a_plan_knows_what_every_client_gets() -> None:
    config = _config(label_skew="classes", classes_each=3, clients=8, images=32)
    lengths = config.layout.lengths["train"]
    assert sum(lengths) == 8 * 28
    assert len(set(lengths)) > 1
    assert config.layout.lengths["test"] == config.scenes.layout().lengths["test"]
    labels = np.concatenate(list(classes_of_rooms(config.scenes)))
    flat = [[28 * b + row for b, row in own] for own in config.dealing.places]
    assert [len(set(labels[own].tolist())) for own in flat] == [3] * 8
    assert config.dealing.told()["by"] == sorted(set(labels.tolist()))
    assert _config().dealing is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"label_skew": "classes", "clients": 2, "clients_per_round": 2, "classes_each": 1},
         "leave over"),
        ({"label_skew": "classes", "classes_each": 1, "batch_size": 32}, "fill no --batch-size"),
        ({"label_skew": "dirichle"}, "unknown label skew"),
        ({"label_skew": "dirichlet", "concentration": 0.0}, "--concentration"),
        ({"concentration": 0.1}, "does nothing"),
        ({"label_skew": "dirichlet", "classes_each": 3}, "does nothing"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_words(given, words) -> None:
    with pytest.raises(HarnessError, match=words):
        _config(**given)


def test_what_a_run_opens_is_what_its_plan_says(store) -> None:
    given = {"data": str(store.path), "clients_per_round": 2, "batch_size": 2}
    config = _config(**given, label_skew="classes", classes_each=2)
    opened = open_data(config, SimpleNamespace(making_data=lambda *_: None))
    assert tuple(opened.length("train", c) for c in range(3)) == config.layout.lengths["train"]
    assert opened.checksum != store.checksum
    plain = open_data(_config(**given), SimpleNamespace(making_data=lambda *_: None))
    assert plain.checksum == store.checksum


def test_a_report_looks_at_clients_as_they_were_dealt(store, capsys) -> None:
    """The distances of its column `rooms` have the mean that a run states."""
    words = ["report", str(store.path), "--label-skew", "dirichlet", "--concentration", "0.3",
             "--seed", "7"]  # fmt: skip
    assert main(words) == 0
    last = [line for line in capsys.readouterr().out.splitlines() if "mean client" in line][-1]
    dealing = deal(replace(SKEW, clients=3), classes_of_pictures(store))
    assert float(last.split()[4]) == pytest.approx(dealing.unlikeness, abs=0.0006)
    for wrong in (["--concentration", "2"], ["--label-skew", "dirichlet", "--classes-each", "2"],
                  ["--label-skew", "classes", "--classes-each", "0"]):  # fmt: skip
        assert main(["report", str(store.path), *wrong]) == 2


def test_lists_say_what_classes_are_of() -> None:
    assert classed_by("scenes", "dn") == classed_by("nyuv2", "dn") == "type of room"
    assert classed_by("taskonomy", "sdn") == "most frequent class of s"
    assert classed_by("taskonomy", "dn") == ""
    texts = {item.name: item.text for item in LISTS["datasets"]("")}
    assert "--label-skew by type of room" in texts["scenes"]


def test_a_configuration_that_was_written_can_be_read(store) -> None:
    """All its options are given then, those of another skew by their default."""
    for given in ({}, {"label_skew": "classes"}, {"label_skew": "dirichlet", "concentration": 2.0},
                  {"label_skew": "dirichlet", "data": str(store.path), "clients": 4,
                   "clients_per_round": 2, "batch_size": 4}):  # fmt: skip
        config = _config(**given)
        again = make_multitask_config({f.name: getattr(config, f.name) for f in fields(config)})
        assert again == config
        assert again.layout == config.layout


def test_imported_data_can_be_dealt_to_any_number_of_clients(store) -> None:
    given = {"data": str(store.path), "label_skew": "dirichlet", "batch_size": 4}
    config = _config(**given, clients=5, clients_per_round=2, data_seed=3)
    assert config.layout.lengths["train"] == (10, 10, 10, 9, 9)
    assert _config(**given, clients_per_round=2).clients == 3
    with pytest.raises(HarnessError, match="only scenes are made to measure"):
        _config(data=str(store.path), clients=5, clients_per_round=2)
