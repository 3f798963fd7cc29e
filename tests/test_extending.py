"""What the pages on extending write out works in a folder of its own, as an outsider has it."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sources import SOURCES

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "extending"
FILE = re.compile(r'```\w+ title="([^"]+)"\n(.*?)```', re.S)
SHELL = re.compile(r"```sh\n(.*?)```", re.S)
ONE_SCREEN = 100
"""Lines of the longest page: a terminal beside an editor on a usual screen."""


def written(kind: str, folder: Path) -> list[str]:
    """Write the files of a page into a folder and return its commands."""
    text = (PAGES / f"{kind}.md").read_text(encoding="utf-8")
    for name, content in FILE.findall(text):
        (folder / name).write_text(content, encoding="utf-8")
    return [line for block in SHELL.findall(text) for line in block.splitlines()]


def typed(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Type a command in a folder where nothing of this tree is."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), "PYTHONSAFEPATH": "1"}
    environment["XDG_CACHE_HOME"] = str(folder / "cache-home")
    line = re.sub(r"^python ", f"{shlex.quote(sys.executable)} ", line)
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        pytest.param("board", ["orange-pi-5", "Orange Pi 5"], marks=pytest.mark.whole),
        ("meter", ["bench-supply", ""]),
        pytest.param("method", ["halves", "halves:merge_rounds=3"], marks=pytest.mark.whole),
        pytest.param("dataset", ["stripes", "stripes"], marks=pytest.mark.whole),
    ],
)
def test_what_the_page_writes_out_works(kind: str, words: list[str], tmp_path: Path) -> None:
    said = [typed(line, tmp_path) for line in written(kind, tmp_path)]
    assert [done.returncode for done in said] == [0] * len(said), said[-1].stderr
    heard = [done for done in said if done.stdout or done.stderr]
    assert not any("skipped" in done.stderr for done in said)
    for done, word in zip(heard, words, strict=False):
        assert word in done.stdout + done.stderr


def test_the_meter_of_the_page_measures_what_it_reads(tmp_path: Path) -> None:
    """5 W over the time of the command is its energy, through the collector's own process."""
    first, _, measured = written("meter", tmp_path)
    typed(first, tmp_path)
    done = typed(measured.replace("--no-results", "--no-results --json -"), tmp_path)
    told = json.loads(done.stdout)
    assert told["energy_meter"].startswith("bench-supply")
    assert told["energy_j"] == pytest.approx(5.0 * told["time_s"], rel=0.02)


@pytest.mark.whole
def test_the_workload_of_the_page_reaches_what_arithmetic_says(tmp_path: Path) -> None:
    """The distance from 1.5 shrinks by 1 − rate a round; the manifest names the file."""
    (line,) = written("workload", tmp_path)
    done = typed(line, tmp_path)
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "results").glob("2*")
    manifest = json.loads((run / "manifest.json").read_text())
    told = manifest["extensions"]["workload averages"]
    assert told["origin"].endswith("averages.py")
    header, *rows = [row.split(",") for row in (run / "cells.csv").read_text().splitlines()]
    found = {row[header.index("method")]: float(row[header.index("objective_value")])
             for row in rows}  # fmt: skip
    assert found == pytest.approx({"slow": 1.5 * 0.9**6, "fast": 1.5 * 0.5**6})
    checked = typed(f"python -m harness.check {run}", tmp_path)
    assert told["sha256"][:12] in checked.stdout


@pytest.mark.whole
def test_the_figure_of_the_page_is_drawn_and_a_failing_one_costs_itself(tmp_path: Path) -> None:
    (line,) = written("figure", tmp_path)
    (tmp_path / "broken.py").write_text(
        "class Broken:\n    name = TITLE = 'broken'\n"
        "    def drawings(self, run):\n        raise ZeroDivisionError('no cells')\n"
        "FIGURE = Broken()\n"
    )
    run = ROOT / "tests" / "fixtures" / "runs" / "schema1"
    done = typed(line.replace("RUN", str(run)) + " --allow-damaged", tmp_path)
    assert done.returncode == 0, done.stderr
    drawn = (tmp_path / "out" / "figures" / "memory.csv").read_text().splitlines()
    assert drawn[0] == "method,peak_mb"
    assert "ZeroDivisionError: no cells" in done.stderr


FAULTY = {
    "faulty-board.toml": 'name = "faulty-board"\ncoers = 4\n',
    "syntax.py": "METHOD = (\n",
    "nothing.py": "x = 1\n",
    "meter.py": "from devices.meters.base import Meter\nclass M(Meter):\n    name = 'Mine'\n"
    "METER = M\n",
    "taken.py": "from devices.meters.simulated import SimulatedMeter\nMETER = SimulatedMeter\n",
}


def test_faulty_files_are_named_with_all_their_faults_and_all_else_works(tmp_path: Path) -> None:
    for name, content in FAULTY.items():
        (tmp_path / name).write_text(content)
    written("board", tmp_path)
    written("method", tmp_path)
    listed = typed("python -m harness.list methods --include .", tmp_path)
    assert "halves" in listed.stdout
    done = typed("python -m harness.list devices --include .", tmp_path)
    assert done.returncode == 0
    assert "orange-pi-5" in done.stdout
    assert "raspberry-pi-4" in done.stdout
    for words in (
        "faulty-board.toml", "coers is an unknown key", "Did you mean 'cores'?", "cores is missing",
        "syntax.py: SyntaxError", "nothing.py: it defines none of",
    ):  # fmt: skip
        assert words in done.stderr, words
    meters = typed("python -m harness.list meters --include .", tmp_path)
    assert meters.returncode == 0
    for words in ("'Mine' is not of small letters", "it lacks open()", "it lacks refusal()",
                  "'simulated' is taken by this program"):  # fmt: skip
        assert words in meters.stderr, words


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = typed("python -m harness.list devices --include nowhere", tmp_path)
    assert done.returncode == 2
    assert "nowhere does not exist" in done.stderr


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_a_page_is_of_one_screen(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= ONE_SCREEN
    assert max(map(len, lines)) <= 120
