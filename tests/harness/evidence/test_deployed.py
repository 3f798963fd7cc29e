"""Figures of inference beside a run are judged with it, and travel in its bundle."""

import hashlib
import json
from pathlib import Path

import pytest

from harness.core.schema import INFERENCE, INFERENCE_METRICS, PHASE_ROWS
from harness.evidence import bundle
from harness.evidence.bundle import Packing
from harness.evidence.reading import read_run
from harness.run_folder.results import csv_text
from harness.workloads.multitask.deployed import deployed
from harness.workloads.multitask.inference.exports import LIST

GRAPH = "inference/models/independent-s0-r0/s.fp32.onnx"
ROW = {
    "run_id": "a-run", "cell": "independent-s0-r0", "method": "independent", "seed": 0,
    "energy_j": 2.5, "status": "done",
}  # fmt: skip


@pytest.fixture
def inferred(draft):
    """Return what writes a run with sound inference beside it, but for the rows given."""

    def write(*rows: dict[str, object], status: str = "done") -> Path:
        folder = draft().fill().write()
        (folder / GRAPH).parent.mkdir(parents=True)
        (folder / GRAPH).write_bytes(b"a graph")
        entry = {"file": GRAPH, "sha256": hashlib.sha256(b"a graph").hexdigest()}
        (folder / LIST).write_text(json.dumps({"exports": [entry]}))
        (folder / "inference/manifest.json").write_text(json.dumps({"status": status}))
        (folder / "inference.csv").write_text(csv_text(INFERENCE, rows or [ROW]))
        (folder / "inference/metrics.csv").write_text(csv_text(INFERENCE_METRICS, []))
        (folder / "inference/phases.csv").write_text(csv_text(PHASE_ROWS, []))
        return folder

    return write


def found(folder: Path) -> list[tuple[str, str]]:
    return [(f.level, f.text) for f in deployed(read_run(folder))]


def test_a_run_without_inference_has_nothing_to_judge(draft) -> None:
    assert found(draft().fill().write()) == []


def test_sound_inference_has_nothing_to_say(inferred) -> None:
    assert found(inferred()) == []


ALL = {"told_by": "assignment", "nodes": {"CPUExecutionProvider": 7}, "elsewhere": []}
SOME = {
    "told_by": "profile", "nodes": {"CUDAExecutionProvider": 5, "CPUExecutionProvider": 2},
    "elsewhere": [["CPUExecutionProvider", "Shape", "size"], ["CPUExecutionProvider", "Sin", ""]],
}  # fmt: skip


def placed(folder: Path, placement: object) -> Path:
    document = json.loads((folder / LIST).read_text())
    document["exports"][0]["placement"] = placement
    (folder / LIST).write_text(json.dumps(document))
    return folder


def test_nodes_that_another_provider_runs_are_named(inferred) -> None:
    folder = placed(inferred(), {"cpu": ALL, "cuda": SOME, "xnnpack": {**ALL, "told_by": None}})
    cuda, unknown = found(folder)
    assert cuda == ("note", f"{GRAPH} with cuda: 2 of 7 nodes run elsewhere: Shape size, Sin")
    assert unknown[0] == "note"
    assert "did not tell" in unknown[1]


@pytest.mark.parametrize(
    "placement",
    [3, ["cuda"], {"cuda": 1}, {"cuda": {}}, {"cuda": {**SOME, "elsewhere": [1]}},
     {"cuda": {**SOME, "nodes": {"CPUExecutionProvider": "two"}}}],
)  # fmt: skip
def test_nodes_that_were_written_by_others_are_damage(inferred, placement) -> None:
    ((level, text),) = found(placed(inferred(), placement))
    assert (level, "cannot be read" in text) == ("damaged", True)


def test_a_changed_graph_is_damage(inferred) -> None:
    folder = inferred()
    (folder / GRAPH).write_bytes(b"another")
    ((level, text),) = found(folder)
    assert (level, "SHA-256" in text) == ("damaged", True)


@pytest.mark.parametrize("name", ["inference/metrics.csv", "inference/manifest.json", LIST])
def test_damaged_files_are_named(inferred, name) -> None:
    folder = inferred()
    (folder / name).write_text("{")
    ((level, text),) = found(folder)
    assert level == "damaged"
    assert name in text


def test_what_was_broken_off_is_incomplete(inferred) -> None:
    assert found(inferred(status="running")) == [("incomplete", "inference was broken off")]


def test_rows_that_limit_what_may_be_said(inferred) -> None:
    """Failed ones are noted; missing joules and other conditions are limits; strangers damage."""
    rows = [
        ROW | {"flags": "throttled"},
        ROW | {"energy_j": None, "energy_reason": "no sensor"},
        ROW | {"energy_j": None, "status": "failed", "reason": "no CUDA"},
        ROW | {"cell": "mas-s9-r9"},
    ]
    said = dict(found(inferred(*rows)))
    assert set(said) == {"note", "limit", "damaged"}
    assert "no CUDA" in said["note"]
    assert "1 of 3 windows" in said["limit"]
    assert "mas-s9-r9" in said["damaged"]


@pytest.mark.parametrize("weights", [False, True])
def test_a_bundle_holds_the_figures_and_the_graphs_on_request(inferred, tmp_path, weights) -> None:
    run = read_run(inferred())
    bundle._copy_run(run, tmp_path / "b", Packing(weights=weights))
    top = tmp_path / "b" / "data" / run.run_id
    for name in ("inference.csv", "inference/metrics.csv", "inference/manifest.json", LIST):
        assert (top / name).is_file(), name
    assert (top / GRAPH).is_file() is weights


@pytest.mark.parametrize(
    "name", ["/dev/zero", "../../../etc/passwd", "inference/models/../../x", ""]
)
def test_a_list_of_exports_leads_to_no_other_file(inferred, name: str) -> None:
    """Hashed, /dev/zero would have no end; whether another file is there is nobody's business."""
    folder = inferred()
    (folder / LIST).write_text(json.dumps({"exports": [{"file": name, "sha256": "0" * 64}]}))
    texts = [text for level, text in found(folder) if level == "damaged"]
    assert any("is no file of exports" in text for text in texts)


def test_a_manifest_of_inference_beyond_bounds_is_not_read(inferred) -> None:
    folder = inferred()
    with (folder / "inference/manifest.json").open("r+b") as stream:
        stream.truncate(64 << 20)
    assert any("missing or no JSON object" in text for _, text in found(folder))
