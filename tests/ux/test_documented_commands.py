"""Commands in the documents are commands: module, options and make targets exist (no. 16)."""

import functools
import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import LIMIT_S

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
COMMAND = re.compile(r"python3? -m ((?:harness|analysis|tests)[\w.]*)([^`\n|#]*)")
MAKE = re.compile(r"^(?:\$ )?make ([\w-]+)(.*)$|`make ([\w-]+)([^`\n]*)`", re.M)
NO_OPTIONS = ("harness.evidence.schema_page", "harness.cli.errors_page")
"""Modules that take no words and do one thing."""


Command = tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""A module, the plain words typed after it, the options typed after it, its workload as typed."""


def commands(page: Path) -> set[Command]:
    """Return every command that a page writes out."""
    text = page.read_text(encoding="utf-8")
    found = {command(module.rstrip("."), rest) for module, rest in COMMAND.findall(text)}
    for match in MAKE.finditer(text):
        target, rest = match[1] or match[3], match[2] or match[4]
        if target == "run" and "ARGS=" in rest:
            found.add(command("harness.run", rest))
    return found


def command(module: str, rest: str) -> Command:
    plain = re.match(r"(?: [a-z]+\b)*", rest)
    options = re.findall(r"(?<![\w-])--[a-z][\w-]*", rest)
    workload = re.search(r"(--workload) (\w+)", rest)
    chosen = workload.groups() if workload and module == "harness.run" else ()
    return module, tuple((plain[0] if plain else "").split()), tuple(options), chosen


@functools.cache
def help_of(module: str, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", module, *words, "--help"], cwd=ROOT, capture_output=True, text=True,
        check=False, timeout=LIMIT_S,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_and_options_exist(page: Path) -> None:
    """An option is in the help of the command, or of the command within it that is named."""
    for module, words, options, workload in commands(page):
        assert importlib.util.find_spec(module) is not None, (page.name, module)
        if not options or module in NO_OPTIONS:
            continue
        inner = [help_of(module, *words[:n], *workload) for n in range(min(len(words), 2) + 1)]
        known = "".join(text for status, text in inner if status == 0)
        for option in options:
            assert re.search(rf"{option}\b", known), (page.name, module, words, option)


def test_the_commands_of_the_table_answer() -> None:
    """Each command that the README's table names shows its help."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = {m for line in readme.splitlines() if line.startswith("| `python -m")
             for m, _ in COMMAND.findall(line)}  # fmt: skip
    assert {"harness.run", "harness.doctor", "harness.list"} <= table
    for module in table:
        status, text = help_of(module)
        assert (status, "usage:" in text) == (0, True), module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_exist_and_quotes_close(page: Path) -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.M))
    for match in MAKE.finditer(page.read_text(encoding="utf-8")):
        assert (match[1] or match[3]) in targets, (page.name, match[0])
        shlex.split((match[2] or match[4] or "").split("#")[0])


def typed(page: Path) -> set[str]:
    """Return the options of every run that a page writes out in full, as typed."""
    found = set()
    for line in page.read_text(encoding="utf-8").splitlines():
        match = re.fullmatch(r'\s*(?:make run(?: ARGS="([^"]*)")?|python3? -m harness\.run( .*)?)',
                             line.split("#")[0].rstrip())  # fmt: skip
        if match:
            found.add((match[1] or match[2] or "").strip())
    return found


RUNS = sorted(typed(ROOT / "README.md"))


def test_there_are_runs_to_try() -> None:
    assert {"", "--quick", "--device jetson-nano --seeds 0-5"} <= set(RUNS)
    assert "--config docs/federation-32.toml" in typed(ROOT / "docs" / "data.md")


@pytest.mark.whole
@pytest.mark.parametrize("words", RUNS, ids=lambda words: words or "no options")
def test_runs_are_planned_as_written(words: str, tmp_path) -> None:
    """Each command works to the moment at which it would begin: options, device, data, disk."""
    done = subprocess.run(
        [sys.executable, "-m", "harness.run", *shlex.split(words), "--dry-run",
         "--out", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=LIMIT_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Expect" in done.stdout
