"""On a Python that is too old the first words are a remedy, not a syntax error."""

import ast
import sys
from pathlib import Path

import pytest

from harness.core.python_version import NEEDED, refuse_old_python
from tests.sources import SOURCES

REPOSITORY = Path(__file__).parents[2]
FIRST_FILES = (
    "__init__.py", "core/__init__.py", "core/python_version.py", "core/own_packages.py",
    "__main__.py", "completion.py", "run.py", "doctor.py", "list.py",
    "split.py", "data.py", "measure.py", "watch.py", "mark.py", "check.py", "compare.py", "pack.py",
    "infer.py", "report.py",
)  # fmt: skip


@pytest.mark.parametrize("name", FIRST_FILES)
def test_first_files_parse_on_python_3_6(name):
    """What is read before the check is valid in the grammar of Python 3.6."""
    text = (SOURCES / "harness" / name).read_text(encoding="utf-8")
    ast.parse(text, feature_version=(3, 6))


@pytest.mark.parametrize("version", [(3, 6, 9), (3, 8, 10), (3, 9, 0)])
def test_old_python_is_refused_with_the_way_out(version, capsys):
    """Status 2; the message names both versions and a page and a script that exist."""
    with pytest.raises(SystemExit) as stopped:
        refuse_old_python(version)
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert f"Python {version[0]}.{version[1]} is too old" in said
    assert f"--board-python {sys.executable}" in said
    for path in ("docs/jetson-nano.md", "devices/containers/jetson-nano/run.sh"):
        assert path in said
        root = SOURCES if path.startswith("devices") else REPOSITORY
        assert (root / path).is_file()


def test_this_python_is_accepted():
    """The interpreter that runs the tests is new enough."""
    assert sys.version_info[:2] >= NEEDED
    refuse_old_python()
