"""Listing says what exists, usable here or why not, and answers without heavy imports."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from devices.meters.registry import METERS
from devices.profile import profile_names
from harness.cli import list as listing
from harness.run_folder.lock import run_lock
from harness.workloads.multitask.data.catalogue import DATA_SETS
from harness.workloads.multitask.methods.registry import METHODS
from models.multitask.registry import MODELS

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def show(capsys):
    """Return a function that runs the command and gives exit status, output and errors."""

    def run(*words):
        status = listing.main([str(word) for word in words])
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture
def items(show):
    def run(*words):
        status, out, _ = show(*words, "--json")
        assert status == 0
        return {item["name"]: item for item in json.loads(out)}

    return run


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("devices", profile_names()),
        ("meters", METERS),
        ("methods", METHODS),
        ("models", MODELS),
        ("datasets", DATA_SETS),
    ],
)
def test_everything_registered_has_one_line(show, items, tree, kind, names):
    """One line per entry, its name the second word; JSON holds the same names."""
    root = tree("raspberry-pi-4")
    status, out, _ = show(kind, "--root", root)
    assert status == 0
    entries = [line for line in out.splitlines() if line and not line.startswith(" ")]
    assert {line.split()[1] for line in entries} == set(names)
    marks = {"here", "model"} if kind == "devices" else {"yes", "no"}
    assert {line.split()[0] for line in entries} <= marks
    assert set(items(kind, "--root", root)) == set(names)


def test_only_the_host_is_usable(items, tree):
    """On a Pi 4 exactly that device is here; the others say that figures would be modelled."""
    devices = items("devices", "--root", tree("raspberry-pi-4"))
    assert [name for name, item in devices.items() if item["usable"]] == ["raspberry-pi-4"]
    assert "would be modelled" in devices["jetson-nano"]["text"]
    assert devices["jetson-orin-nx"]["power_modes"]["MAXN_SUPER"] == 0


def test_no_board_is_called_unusable_that_can_be_named(show, tree):
    """--device takes every one of them: those that are not here are modelled, which is said."""
    _, out, _ = show("devices", "--root", tree("raspberry-pi-4"))
    lines = [line.split() for line in out.splitlines() if line and not line.startswith(" ")]
    marks = {name: mark for mark, name, *_ in lines}
    assert marks.pop("raspberry-pi-4") == "here"
    assert set(marks.values()) == {"model"}
    assert "--device takes it too" in " ".join(out.split())


def test_meters_say_why_not(items, tree):
    """A server's RAPL can be used; what cannot has a reason."""
    meters = items("meters", "--root", tree("intel-xeon-2s-dram-psys"))
    assert meters["rapl"]["usable"]
    assert all(meter["usable"] or meter["reason"] for meter in meters.values())


def test_method_lists_cost_source_and_parameters(items):
    """MAS has a cost formula, its paper, and its parameters with their defaults."""
    method = items("methods")["mas"]
    assert "R0" in method["cost"]
    assert "ICCV 2023" in method["source"]
    defaults = {p["name"]: p["default"] for p in method["parameters"]}
    assert (defaults["splits"], defaults["merge_rounds"]) == (2, None)


def test_methods_are_explained_within_eighty_columns(show):
    """Cost, source and every parameter stand under the method's line, wrapped."""
    _, out, _ = show("methods")

    for method in METHODS.values():
        for parameter in method.parameters:
            assert f"    {parameter.name}=" in out
    assert all(len(line) <= 80 for line in out.splitlines() if line.startswith(" "))
    assert "[yes]" in out
    assert "R0 merged rounds" in out


def make_run(out, name, manifest, cells):
    folder = out / name
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(manifest)
    (folder / "cells.csv").write_text(cells)


def test_runs_have_their_status(show, items, tmp_path):
    """Finished, interrupted and damaged runs are told apart; other folders are no runs."""
    cells = "run_id,cell,status\na,x,done\na,y,done\na,z,failed\n"
    make_run(tmp_path, "a", '{"status": "done", "quick": true}', cells)
    make_run(tmp_path, "b", '{"status": "interrupted"}', "run_id,cell,status\n")
    make_run(tmp_path, "c", '{"status": ', cells)
    make_run(tmp_path, "d", "[]", cells)
    (tmp_path / "notes").mkdir()
    runs = items("runs", "--out", tmp_path)
    assert {name: run["status"] for name, run in runs.items()} == {
        "a": "done", "b": "interrupted", "c": None, "d": None,
    }  # fmt: skip
    assert runs["a"]["cells"] == {"done": 2, "failed": 1}
    assert [name for name, run in runs.items() if run["usable"]] == ["a"]
    text = show("runs", "--out", tmp_path)[1]
    assert "2 done, 1 failed; quick, not for publication" in text
    assert "cannot be read" in text
    assert f"interrupted; to go on: python -m harness.run --resume {tmp_path / 'b'}" in text


def test_a_run_that_says_it_runs_is_looked_at(show, tmp_path):
    """With its lock held it is running; without, it was killed and can be gone on with."""
    make_run(tmp_path, "a", '{"status": "running"}', "run_id,cell,status\n")
    assert "killed; to go on" in show("runs", "--out", tmp_path)[1]
    with run_lock(tmp_path / "a"):
        assert "running; cells: none" in show("runs", "--out", tmp_path)[1]


def test_no_runs(show, tmp_path):
    """An empty folder has no runs; a missing one is wrong usage."""
    assert show("runs", "--out", tmp_path) == (0, f"no runs in {tmp_path}\n", "")
    assert show("runs", "--out", tmp_path / "none")[0] == 2


def test_unknown_kind_suggests(show):
    """A slip gives status 2, the near word and all words."""
    status, out, err = show("device")
    assert (status, out) == (2, "")
    assert "Did you mean 'devices'?" in err
    assert "datasets" in err
    assert show()[0] == 2


def test_listing_imports_nothing_heavy():
    """All kinds together import no array, frame, tensor or plotting library."""
    code = (
        "import sys; from harness.cli.list import main\n"
        "for kind in ('devices', 'meters', 'methods', 'models', 'datasets', 'runs'):\n"
        "    main([kind, '--out', '.'])\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "print(sorted(loaded & {'torch', 'numpy', 'pandas', 'matplotlib'}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
