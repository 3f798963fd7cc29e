"""Output reads well in files, in 80 columns and without colours (no. 12)."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import check, compare, doctor
from harness.cli import list as listing
from tests.ux.conftest import TINY, environment
from tests.waiting import LIMIT_S

GOLDEN = "tests/fixtures/runs/schema1"
ROOT = Path(__file__).parents[2]
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
COLOUR = re.compile(r"\x1b\[[0-9;]*\b(3[0-7]|9[0-7]|38|4[0-7])\b[0-9;]*m")
FREE = ("python -m", "make run", "sudo ", "/")
"""A command, a path or an address is not broken, so that it can be copied."""


def long_lines(text: str) -> list[str]:
    return [x for x in text.splitlines() if len(x) > 80 and not any(word in x for word in FREE)]


@pytest.mark.whole
def test_a_run_in_a_file_is_plain_and_narrow(first_run) -> None:
    """Sentences of the verdict are whole lines, as they are made to be quoted; all else fits."""
    assert not CONTROL.search(first_run.out.replace("\n", ""))
    assert [line for line in long_lines(first_run.out) if not line.endswith(".")] == []


@pytest.mark.parametrize(
    ("main", "words"),
    [
        (check.main, [GOLDEN]),
        (compare.main, [f"{GOLDEN}:independent", f"{GOLDEN}:mas:splits=2"]),
        (doctor.main, []),
        (listing.main, ["runs", "--out", "tests/fixtures/runs"]),
    ],
    ids=["check", "compare", "doctor", "list"],
)
def test_commands_in_a_file_are_plain_and_narrow(main, words, capsys, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    main(words)
    out = capsys.readouterr().out
    assert out.strip()
    assert not CONTROL.search(out.replace("\n", ""))
    assert long_lines(out) == []


def on_a_terminal(home: Path, **variables: str) -> str:
    """Run something tiny on a terminal of its own and return all that it wrote to it."""
    ours, theirs = pty.openpty()
    words = ("--meter", "none", "--methods", "all-in-one", "--no-report", "--fresh", *TINY)
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.run", *words], cwd=home, stdout=theirs, stderr=theirs,
        env={**environment(home), "TERM": "xterm-256color", **variables},
    )  # fmt: skip
    os.close(theirs)
    written = b""
    while block := _read(ours):
        written += block
    os.close(ours)
    assert process.wait(timeout=LIMIT_S) == 0, written.decode()
    return written.decode()


def _read(handle: int) -> bytes:
    try:
        return os.read(handle, 65536)
    except OSError:  # Linux says so when the other end is closed
        return b""


@pytest.mark.whole
def test_no_color_is_honoured_on_a_terminal(first_run) -> None:
    """The progress line is there and moves, but has no colour."""
    written = on_a_terminal(first_run.home, NO_COLOR="1")
    assert "\x1b[" in written
    assert not COLOUR.search(written)
