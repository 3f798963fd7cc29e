"""List the commands of this program, and start one by its name."""

from __future__ import annotations

import runpy
import sys
import warnings
from collections.abc import Sequence

from harness.core.command_frame import asked_name, framed
from harness.core.errors import EXIT_DONE
from harness.core.launching import TITLES, module_of, typed_name
from harness.core.parser import PARSER_WORD, Parser, ParserAsked


def main(words: Sequence[str] | None = None) -> int:
    """Start the command that the first word names; without one, list them all."""
    words = list(sys.argv[1:] if words is None else words)
    return framed(lambda: _started(words))


def _started(words: Sequence[str]) -> int:
    asked = asked_name(words, TITLES, help_text())
    return start(asked, words[1:]) if isinstance(asked, str) else asked


def help_text() -> str:
    """Return the list of commands."""
    program = typed_name("COMMAND").removesuffix(".COMMAND").removesuffix(" COMMAND")
    width = max(map(len, TITLES))
    lines = [f"  {name:<{width}}  {title}" for name, title in TITLES.items()]
    return "\n".join(
        [f"usage: {program} COMMAND ...", "", *lines, "",
         f"Options of each:  {program} COMMAND --help",
         f"The release:      {program} --version"]
    )  # fmt: skip


def parser_of(command: str) -> Parser:
    """Return the parser of a command, or of one within a command as in `fleet server`."""
    first, *rest = command.split()
    try:
        with warnings.catch_warnings():  # a module that was imported before is run all the same
            warnings.filterwarnings("ignore", ".*found in sys.modules", RuntimeWarning)
            start(first, [*rest, PARSER_WORD])
    except ParserAsked as asked:
        return asked.parser
    raise AssertionError(f"{command} parses no options")


def start(command: str, words: Sequence[str]) -> int:
    """Do what `python -m` does with the module of a command, and return its exit status."""
    before = sys.argv
    sys.argv = [before[0], *words]
    try:
        runpy.run_module(module_of(command), run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or EXIT_DONE
        raise
    finally:
        sys.argv = before
    return EXIT_DONE
