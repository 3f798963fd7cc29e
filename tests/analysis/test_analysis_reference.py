"""What is shown of the reference runs follows from their files, and they from the command named."""

from __future__ import annotations

import json
import subprocess
from importlib.metadata import version
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from analysis.report import write_report

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "results" / "reference"
COMMAND = "-m harness.run "
KINDS = ("main", "ablation", "descent")


def runs_in(*kinds):
    """Return the run folders of some kinds in the order in which a shell names them."""
    return [
        path.parent for kind in kinds for path in sorted(REFERENCE.glob(f"{kind}/*/manifest.json"))
    ]


def manifests():
    """Return the manifests of all reference runs."""
    paths = [run / "manifest.json" for run in runs_in(*KINDS)]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


pytestmark = pytest.mark.skipif(not runs_in("main"), reason="no reference run: make reference")


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory):
    """Write both reports anew from the run folders alone."""
    folder = tmp_path_factory.mktemp("reference")
    write_report(runs_in("main"), folder / "report")
    if runs_in("ablation"):
        write_report(runs_in(*KINDS), folder / "ablation-report")
    return folder


def differing(rebuilt, pattern):
    """Return the files of one kind that the report lacks, has too many of, or has otherwise."""
    shown = {path.relative_to(REFERENCE): path for path in REFERENCE.glob(pattern)}
    again = {path.relative_to(rebuilt): path for path in rebuilt.glob(pattern)}
    assert shown, pattern
    odd = set(shown) ^ set(again)
    return sorted(
        str(name) for name in {*shown, *again}
        if name in odd or shown[name].read_bytes() != again[name].read_bytes()
    )  # fmt: skip


@pytest.mark.whole
@pytest.mark.parametrize("pattern", ["report/tables/*", "report/figures/*.csv"])
def test_tables_and_drawn_numbers_are_made_again_byte_for_byte(rebuilt, pattern):
    """A table that was edited, or made by other code than this, is found."""
    assert differing(rebuilt, pattern) == []


@pytest.mark.whole
@pytest.mark.skipif(not runs_in("ablation"), reason="no ablation run")
def test_the_ablation_is_made_again_byte_for_byte(rebuilt):
    """The table of variants is among it."""
    assert (REFERENCE / "ablation-report" / "tables" / "variants.csv").is_file()
    assert differing(rebuilt, "ablation-report/tables/*") == []


@pytest.mark.whole
def test_the_pictures_show_what_is_drawn_again(rebuilt):
    """Same size and points; only by another matplotlib may letters and edges fall otherwise."""
    pictures = sorted(REFERENCE.glob("report/figures/*.png"))
    assert {path.name for path in pictures} == {
        path.name for path in rebuilt.glob("report/figures/*.png")
    }
    same = {facts["software"].get("matplotlib") for facts in manifests()} == {version("matplotlib")}
    for path in pictures:
        shown, again = (
            matplotlib.image.imread(place)
            for place in (path, rebuilt / "report" / "figures" / path.name)
        )
        if same:
            assert shown.shape == again.shape, path.name
            assert np.abs(shown - again).mean() < 1e-3, path.name


def test_every_run_was_made_by_a_command_that_make_reference_names():
    """The arguments are those of a line of `make -n reference`."""
    made = subprocess.run(
        ["make", "-n", "reference"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    named = {line.partition(COMMAND)[2] for line in made.stdout.splitlines() if COMMAND in line}
    assert named
    for facts in manifests():
        assert facts["command"].partition(COMMAND)[2] in named


def test_the_runs_are_whole_and_fit_for_publication():
    """Six seeds or more, nothing of it quick, no change of the code that is in no commit."""
    for facts in manifests():
        assert facts["quick"] is False
        assert facts["status"] == "done"
        assert facts["source"]["dirty"] is False
        assert len(facts["config"]["seeds"]) >= 6
