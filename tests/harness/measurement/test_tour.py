"""What docs/measure.md shows runs as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/measure.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the examples of one language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def environment(tmp_path):
    """Let `python` be this interpreter."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin/python"  # a link would leave the virtual environment
    script.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    script.chmod(0o755)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}


def test_the_python_example_runs(tmp_path):
    (code,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, text=True, capture_output=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.whole
def test_the_first_command_and_the_script_run(tmp_path, environment):
    """The script without and with somebody who measures."""
    first, _, script, _ = blocks("sh")
    (tmp_path / "script.sh").write_text(script)
    for line in (first, "sh script.sh", "python -m harness.measure --no-results -- sh script.sh"):
        done = subprocess.run(
            ["sh", "-c", line], cwd=tmp_path, text=True, capture_output=True, env=environment,
            check=True,
        )  # fmt: skip
    assert all(name in done.stderr for name in ("load", "train", "evaluate"))
