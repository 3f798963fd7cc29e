"""A graph is made once; one that was changed, or made otherwise, is refused."""

import json

import pytest

from harness.core.errors import DamagedRunError
from harness.run_folder.results import RunFolder
from harness.workloads.multitask.inference.exports import LIST, Exports, Made, changed_exports


@pytest.fixture
def cell(deployed):
    return deployed("sd", "n")


def make() -> Made:
    return Made(b"a graph", {"opset": 18})


def never() -> Made:
    raise AssertionError("a graph was made again")


def test_an_export_is_used_again(tmp_path, cell) -> None:
    model = cell.models[0]
    assert Exports(RunFolder(tmp_path), 1).get(cell, model, "fp32", make) == b"a graph"
    again = Exports(RunFolder(tmp_path), 1)
    assert again.get(cell, model, "fp32", never) == b"a graph"
    (entry,) = again.entries
    assert (entry["opset"], entry["bytes"], entry["tasks"]) == (18, 7, "sd")
    assert (tmp_path / entry["file"]).read_bytes() == b"a graph"


def test_a_tampered_graph_is_refused(tmp_path, cell) -> None:
    exports = Exports(RunFolder(tmp_path), 1)
    exports.get(cell, cell.models[0], "fp32", make)
    path = exports.path(cell, cell.models[0], "fp32")
    path.write_bytes(b"A graph")
    with pytest.raises(DamagedRunError, match="SHA-256 differs") as caught:
        exports.get(cell, cell.models[0], "fp32", never)
    assert "--fresh" in caught.value.remedy
    assert exports.get(cell, cell.models[1], "fp32", make) == b"a graph"  # others go on


def test_a_graph_of_another_version_or_of_other_weights_is_refused(tmp_path, cell) -> None:
    model = cell.models[0]
    Exports(RunFolder(tmp_path), 1).get(cell, model, "fp32", make)
    with pytest.raises(DamagedRunError, match="another version"):
        Exports(RunFolder(tmp_path), 2).get(cell, model, "fp32", never)
    model.weights.write_bytes(b"other weights")
    with pytest.raises(DamagedRunError, match="other weights"):
        Exports(RunFolder(tmp_path), 1).get(cell, model, "fp32", never)


def test_a_missing_graph_and_a_damaged_list_are_refused(tmp_path, cell) -> None:
    exports = Exports(RunFolder(tmp_path), 1)
    exports.get(cell, cell.models[0], "fp32", make)
    exports.path(cell, cell.models[0], "fp32").unlink()
    with pytest.raises(DamagedRunError, match="missing"):
        exports.get(cell, cell.models[0], "fp32", never)
    (tmp_path / LIST).write_text("{")
    with pytest.raises(DamagedRunError, match=r"exports\.json"):
        Exports(RunFolder(tmp_path), 1)


def test_check_sees_changed_and_missing_graphs_but_not_left_out_ones(tmp_path, cell) -> None:
    """A bundle without weights holds the list and none of the graphs."""
    exports = Exports(RunFolder(tmp_path), 1)
    for model in cell.models:
        exports.get(cell, model, "int8", make)
    assert changed_exports(tmp_path) == []
    first, second = (exports.path(cell, model, "int8") for model in cell.models)
    first.write_bytes(b"b")
    assert [text.partition(": ")[2][:6] for text in changed_exports(tmp_path)] == ["is not"]
    second.unlink()
    assert any("missing" in text for text in changed_exports(tmp_path))
    first.unlink()
    assert changed_exports(tmp_path) == []
    assert len(json.loads((tmp_path / LIST).read_text())["exports"]) == 2
