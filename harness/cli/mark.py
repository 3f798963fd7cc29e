"""Mark phases in a shell script that harness.measure measures."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Sequence

from harness.core.command_frame import run_command
from harness.core.errors import EXIT_DONE, UsageError
from harness.core.parser import Parser
from harness.measurement.marks import MarkFile, inherited

EPILOG = """A phase lasts until the script marks the next one, or --end, or ends itself. With a
command after -- the phase is that command, and its exit status is passed on. Where nobody measures
nothing is marked, and the command runs all the same. exit status: 0, or that of the command; 2
wrong usage."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = Parser(
        prog="python -m harness.mark",
        usage="python -m harness.mark NAME [-- COMMAND ...] | --end",
        description="Mark a phase of a script that harness.measure measures.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help="phase that begins")
    parser.add_argument("--end", action="store_true", help="end the phase that goes on")
    typed = list(sys.argv[1:] if words is None else words)
    at = typed.index("--") if "--" in typed else len(typed)
    return run_command(parser, typed[:at], lambda parsed: _mark(parsed, typed[at:]))


def _mark(parsed: Namespace, rest: Sequence[str]) -> int:
    if bool(parsed.name) == parsed.end:
        raise UsageError("give the name of a phase, or --end", "As in  python -m harness.mark load")
    if rest and (parsed.end or len(rest) < 2):
        raise UsageError("there is no command after --", "As in  python -m harness.mark load -- ls")
    marks = inherited()
    if rest:
        return _around(parsed.name, rest[1:], marks)
    if marks is not None:
        marks.step(parsed.name, os.getppid())
    return EXIT_DONE


def _around(name: str, command: Sequence[str], marks: MarkFile | None) -> int:
    """Run a command as a phase; its processor seconds are those of this process's children."""
    marks = None if marks is None else MarkFile(marks.descriptor, cpu_clock=_children_s)
    word = None if marks is None else marks.begin(name)
    try:
        inherits = () if marks is None else (marks.descriptor,)
        done = subprocess.run(command, check=False, pass_fds=inherits).returncode
    except OSError as error:
        print(f"error: {command[0]}: {os.strerror(error.errno or 0)}", file=sys.stderr)
        done = 127 if isinstance(error, FileNotFoundError) else 126
    if marks is not None and word is not None:
        marks.end(word)
    return 128 - done if done < 0 else done


def _children_s() -> float:
    times = os.times()
    return times.children_user + times.children_system
