"""Run the examples of docs/examples as their readers do."""

import csv
import runpy
import sys
from pathlib import Path

import pytest

from harness.evidence.judging import judge

EXAMPLES = Path(__file__).parents[3] / "docs/examples"


@pytest.fixture
def example(tmp_path, monkeypatch):
    """Return a function that runs an example with a meter, in a folder of its own.

    Whatever it writes, `check` finds nothing damaged or missing in it.
    """

    def run(name: str, meter: str = "simulated:high_w=10") -> Path:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [name, meter])
        monkeypatch.syspath_prepend(str(EXAMPLES))
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        (folder,) = (path.parent for path in (tmp_path / "results").glob("*/manifest.json"))
        wrong = [f.text for f in judge(folder).findings if f.level in ("damaged", "incomplete")]
        assert not wrong
        return folder

    return run


@pytest.fixture
def table():
    """Return a function that reads a table of a run folder."""

    def read(folder: Path, name: str) -> list[dict[str, str]]:
        with (folder / f"{name}.csv").open(newline="") as stream:
            return list(csv.DictReader(stream))

    return read
