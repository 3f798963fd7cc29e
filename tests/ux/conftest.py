"""Run the first run of a user once, tiny, in a folder of its own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.waiting import LIMIT_S

ROOT = Path(__file__).parents[2]
TINY = (
    "--clients", "2", "--images", "8", "--unseen-buildings", "1", "--unseen-images", "4",
    "--clients-per-round", "1", "--rounds", "2", "--batch-size", "2", "--size", "32",
    "--idle-s", "0.3", "--threads", "1",
)  # fmt: skip


@dataclass(frozen=True)
class FirstRun:
    """Hold where the first run was typed, its folder, its status and what it printed."""

    home: Path
    folder: Path
    status: int
    out: str
    err: str


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a user who has nothing yet."""
    kept = {key: value for key, value in os.environ.items() if key not in ("MAKELEVEL", "COLUMNS")}
    return {**kept, "HOME": str(home), "XDG_CACHE_HOME": "", "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> FirstRun:
    """Type `harness.run --quick` with a simulated meter where there is nothing."""
    home = tmp_path_factory.mktemp("ada-lovelace")
    words = ("--quick", "--meter", "simulated", "--methods", "independent,mas:splits=2", *TINY)
    done = subprocess.run(
        [sys.executable, "-m", "harness.run", *words], cwd=home, env=environment(home),
        capture_output=True, text=True, check=False, timeout=LIMIT_S,
    )  # fmt: skip
    folders = list((home / "results").glob("2*"))
    assert len(folders) == 1, done.stderr
    return FirstRun(home, folders[0], done.returncode, done.stdout, done.stderr)
