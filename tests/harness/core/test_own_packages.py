"""Own packages win over folders of the same names where a command is typed, and only there."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.own_packages import OWN, SCRIPT, is_own_program, started_module
from tests.sources import SOURCES

ROOT = Path(__file__).parents[3]
FALLEN_FOR = "raise SystemExit('a file of the user was taken')\n"


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """Return a user's folder with packages, and a module, called like those we need."""
    for name in ("devices", "models", "analysis"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(FALLEN_FOR)
    for name in ("argparse", "rich", "numpy"):
        (tmp_path / f"{name}.py").write_text(FALLEN_FOR)
    return tmp_path


def typed(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONSAFEPATH", None)
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [("-m", "harness.list", "devices"), ("-m", "harness", "list", "devices"),
     ("-X", "utf8", "-mharness.list", "devices")],
    ids=str,
)  # fmt: skip
def test_a_folder_with_the_same_names_changes_nothing(desk: Path, words: tuple[str, ...]) -> None:
    done = typed(desk, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert "raspberry-pi-4" in done.stdout


def test_the_report_is_reached_beside_a_folder_of_the_name_of_its_package(desk: Path) -> None:
    """`python -m analysis.report` is looked for in the user's `analysis` and never reaches ours."""
    done = typed(desk, "-m", "harness.report", "nowhere")
    assert done.returncode == 2
    assert "nowhere: no such run folder" in done.stderr
    lost = typed(desk, "-m", "analysis.report", "nowhere")
    assert lost.stderr == "a file of the user was taken\n"


def test_nor_does_a_path_that_names_it(desk: Path) -> None:
    """A folder of PYTHONPATH stands before installed packages."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(desk), str(ROOT)])}
    for name in ("argparse", "rich", "numpy"):
        (desk / f"{name}.py").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "harness.list", "devices"], cwd="/", env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_a_script_of_the_user_keeps_its_own(desk: Path) -> None:
    """It marks a phase with `harness` and has a package `models` itself."""
    (desk / "models" / "__init__.py").write_text("MINE = 42\n")
    for name in ("devices/__init__.py", "devices", "argparse.py", "rich.py", "numpy.py"):
        path = desk / name
        path.rmdir() if path.is_dir() else path.unlink()
    (desk / "train.py").write_text(
        "from harness.measurement import phase\n"
        "import models\n"
        "with phase('load'):\n    print(models.MINE)\n"
    )
    done = typed(desk, "train.py")
    assert (done.stdout, done.stderr) == ("42\n", "")


@pytest.mark.parametrize(
    ("words", "module"),
    [
        ("python -m harness.run --seeds 3", "harness.run"),
        ("python -mharness.run", "harness.run"),
        ("python -P -X importtime -W error -m harness.run", "harness.run"),
        ("python train.py -m harness.run", ""),
        ("python -c pass -m harness.run", ""),
        ("python -X", ""),
        ("python", ""),
    ],
)
def test_the_started_module_is_found(words: str, module: str) -> None:
    assert started_module(words.split()) == module


@pytest.mark.parametrize(
    ("words", "first", "ours"),
    [
        ("python -m harness.run", "-m", True),
        ("python -m analysis.report", "-m", True),
        (f"python /usr/bin/{SCRIPT}", f"/usr/bin/{SCRIPT}", True),
        ("python -c from-multiprocessing", str(SOURCES / "harness" / "data.py"), True),
        ("python -m harnessed", "-m", False),
        ("python -m pytest", "-m", False),
        ("python train.py", "train.py", False),
        ("python /home/ada/models/train.py", "/home/ada/models/train.py", False),
    ],
)
def test_own_programs_are_known(words: str, first: str, ours: bool) -> None:
    assert is_own_program(words.split(), first) is ours
    packed = re.search(r"^packages = (\[.*\])$", (ROOT / "pyproject.toml").read_text(), re.M)
    assert packed is not None
    assert set(OWN) == set(json.loads(packed[1]))
