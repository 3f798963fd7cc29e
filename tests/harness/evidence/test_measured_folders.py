"""The folder of somebody's own program is sound as written, and a changed figure in it is seen.

However it was measured, and whatever its phases are called.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.evidence.judging import judge
from harness.measurement import Measurement
from tests.devices.conftest import BOARDS, write_tree

ROOT = Path(__file__).parents[3]
METER = "simulated:high_w=10"
NAMES = ("train", "train", "aggregate", "command", "total", "evaluate", "lost", "load data")
"""A workload's own names, those of wholes, and any other: all are a user's to give."""

PROGRAM = f"""
import time
from harness.measurement import phase
for name in {NAMES!r}:
    with phase(name, samples=8):
        time.sleep(0.03)
        with phase("inner"):
            time.sleep(0.03)
"""


def codes(folder: Path, level: str = "damaged") -> list[str]:
    return [f"{f.code}: {f.text}" for f in judge(folder).findings if f.level == level]


def by_command(out: Path, *options: str) -> Path:
    subprocess.run(
        [sys.executable, "-m", "harness.measure", "--meter", METER, "--rate", "50", "--out", out,
         *options, "--", sys.executable, "-c", PROGRAM],
        check=True, cwd=out, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
    )  # fmt: skip
    (folder,) = (path.parent for path in out.glob("*/manifest.json"))
    return folder


def by_python(out: Path, **options) -> Path:
    with Measurement(METER, out, rate_hz=50, **options) as session:
        for name in NAMES:
            with session.phase(name):
                time.sleep(0.03)
                with session.phase("inner"):
                    time.sleep(0.03)
    (folder,) = (path.parent for path in out.glob("*/manifest.json"))
    return folder


@pytest.mark.parametrize(
    "options",
    [(), ("--repeat", "2", "--vs", "sleep 0.1", "--idle", "0.3"), ("--witness", "simulated")],
    ids=" ".join,
)
def test_a_measured_command_is_sound_as_written(tmp_path, options) -> None:
    folder = by_command(tmp_path, *options)
    assert not codes(folder)
    assert not codes(folder, "incomplete")


@pytest.fixture(scope="module")
def measured_once(tmp_path_factory):
    """Return the folder of a session with a witness, of a board whose counter stands still."""
    top = tmp_path_factory.mktemp("session")
    write_tree(top / "ryzen", (BOARDS / "amd-ryzen.tsv").read_text().splitlines())
    out = top / "results"
    return by_python(out, idle_s=0.3, witnesses=["rapl"], root=top / "ryzen", label="a, b")


@pytest.fixture
def session(measured_once, tmp_path):
    """Return a copy of it, which a test may change."""
    return Path(shutil.copytree(measured_once, tmp_path / measured_once.name))


@pytest.mark.parametrize(
    "program",
    ["x = 1\nprint(x)", "#" + 3_000 * "long ", "print('\x1b[1mloud')", "print('caf\xe9 \u2192')"],
    ids=["of two lines", "long", "with control characters", "of other letters"],
)
def test_any_command_names_its_cells(tmp_path, program) -> None:
    """Whatever a command line holds, its row is read back as it was written."""
    subprocess.run(
        [sys.executable, "-m", "harness.measure", "--meter", "none", "--vs", "true", "--vs", "true",
         "--out", tmp_path, "--", sys.executable, "-c", program],
        check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
    )  # fmt: skip
    (folder,) = (path.parent for path in tmp_path.glob("*/manifest.json"))
    assert not codes(folder)
    assert not codes(folder, "incomplete")
    methods = [row["method"] for row in judge(folder).run.done]
    assert methods[1:] == ["true", "true (2)"]
    assert methods[0].startswith(sys.executable)


def test_a_cell_of_another_command_is_seen(tmp_path) -> None:
    folder = by_command(tmp_path, "--vs", "sleep 0.1")
    text = (folder / "cells.csv").read_text()
    first, second = judge(folder).run.section("config")["methods"]
    (folder / "manifest.json").write_text(
        (folder / "manifest.json").read_text().replace('"files"', '"files_of_then"')
    )
    assert text.count(",sleep 0.1,") == 1
    with (folder / "cells.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        row["method"] = second if row["method"] == first else first
    with (folder / "cells.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    assert any("another command" in text for text in codes(folder))


def test_a_measured_session_is_sound_as_written(session) -> None:
    assert not codes(session)
    assert not codes(session, "incomplete")


def changed(folder: Path, table: str, column: str, where: dict[str, str]) -> None:
    """Add a tenth, and one, to a figure of the first row that is meant."""
    path = folder / table
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    row = next(r for r in rows if all(r[key] == value for key, value in where.items()))
    row[column] = repr(1.1 * float(row[column]) + 1.0)
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize(
    ("table", "column", "where"),
    [
        ("cells.csv", "time_s", {}),
        ("cells.csv", "energy_j", {}),
        ("cells.csv", "energy_model_j", {}),
        ("cells.csv", "energy_error_j", {}),
        ("cells.csv", "energy_net_j", {}),
        ("phases.csv", "energy_j", {"phase": "load data"}),
        ("phases.csv", "energy_j", {"phase": "train"}),
        ("components.csv", "energy_j", {"phase": "train", "meter": "simulated"}),
        ("components.csv", "energy_j", {"phase": "", "meter": "simulated"}),
    ],
    ids=lambda value: " ".join(value.values()) if isinstance(value, dict) else value,
)
def test_a_changed_figure_of_a_session_is_seen(session, table, column, where) -> None:
    """With a second meter beside, too, whose rails stand in the same trace."""
    (session / "manifest.json").write_text(
        (session / "manifest.json").read_text().replace('"files"', '"files_of_then"')
    )
    assert not codes(session)
    changed(session, table, column, where)
    assert any(column in text for text in codes(session))


def test_the_idle_power_of_a_measured_program_may_not_drift(session) -> None:
    assert not [f for f in judge(session).findings if f.code == "idle-drift"]
    manifest = json.loads((session / "manifest.json").read_text())
    assert manifest["idle"]["before_w"] == pytest.approx(10.0, rel=0.01)
    manifest["idle"]["after_w"] = 12.0
    (session / "manifest.json").write_text(json.dumps(manifest))
    drift = [f for f in judge(session).findings if f.code == "idle-drift"]
    assert [f.level for f in drift] == ["unstable"]
    assert "--idle, then measure again." in drift[0].remedy


def test_remedies_of_a_measured_program_name_its_own_options(tmp_path) -> None:
    """`--fresh`, `--repeats` and `--rate-hz` are options of runs of a workload."""
    folder = by_command(tmp_path)
    told = " ".join(f"{f.text} {f.remedy}" for f in judge(folder).findings)
    assert "measured once" in told
    assert not any(option in told for option in ("--fresh", "--repeats", "--rate-hz", "--idle-s"))
