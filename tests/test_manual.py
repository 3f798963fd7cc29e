"""The manual: tutorials run as written, the site builds, generated pages hold what they must."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.manual import commands_page, tasks_page
from harness.core.launching import PARTS, TITLES
from models.multitask.tasks import TASKS
from tests.sources import SOURCES
from tests.test_extending import FILE, SHELL

ROOT = Path(__file__).parents[1]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
RUN = ROOT / "tests" / "fixtures" / "runs" / "schema1"


def typed(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Type a line where `python` is this interpreter and RUN a run."""
    script = folder / "bin" / "python"
    script.parent.mkdir(exist_ok=True)
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    script.chmod(0o755)
    kept = {k: v for k, v in os.environ.items() if k not in ("MAKELEVEL", "COLUMNS")}
    environment = {
        **kept, "PYTHONPATH": str(SOURCES), "PATH": f"{script.parent}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(folder / "cache"), "MPLBACKEND": "agg",
    }  # fmt: skip
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.whole
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_runs_as_written(page: Path, tmp_path: Path) -> None:
    """Every command of every `sh` block ends with 0, in the order of the page."""
    if "pdflatex" in page.read_text() and shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex: TeX Live is not installed")
    shutil.copytree(RUN, tmp_path / "RUN")
    text = page.read_text(encoding="utf-8")
    for name, content in FILE.findall(text):
        (tmp_path / name).write_text(content, encoding="utf-8")
    lines = [line for block in SHELL.findall(text) for line in block.splitlines()]
    assert lines
    for line in lines:
        done = typed(line, tmp_path)
        assert done.returncode == 0, (line, done.stdout[-800:], done.stderr[-800:])
        assert "Traceback" not in done.stderr


@pytest.mark.whole
def test_the_notebook_runs(tmp_path: Path) -> None:
    """Its cells run one after another; none has an output that could go stale."""
    book = json.loads((ROOT / "docs" / "read-a-run.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    shutil.copytree(RUN, tmp_path / "RUN")
    (tmp_path / "book.py").write_text("\n".join("".join(cell["source"]) for cell in cells))
    done = typed("python book.py", tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.whole
def test_the_site_builds_without_warning_and_fetches_nothing(tmp_path: Path) -> None:
    for needed in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(needed, reason="the extra docs is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(SOURCES)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    pages = list((tmp_path / "site").rglob("*.html"))
    fetched = re.compile(r'<(?:script|img|iframe)[^>]* src="https?://|<link[^>]*sheet[^>]*https?:')
    assert len(pages) > 25
    assert [page.name for page in pages if fetched.search(page.read_text("utf-8"))] == []


def test_the_page_of_commands_has_every_command_and_the_one_of_tasks_every_letter() -> None:
    commands = commands_page()
    for command in TITLES:
        for name in [f"{command} {part}" for part in PARTS.get(command, ())] or [command]:
            assert f"\n## {name}\n" in commands
    assert "--cool-down" in commands
    assert all(f"| `{letter}` | {task.name}" in tasks_page() for letter, task in TASKS.items())
