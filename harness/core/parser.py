"""Read the words of a command line: wrong ones are raised, with the nearest right option."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from devices import extensions
from devices.errors import DeviceError
from devices.names import did_you_mean
from harness.core.clean_text import say
from harness.core.errors import UnknownNameError, UsageError, raise_all
from harness.core.launching import TITLES, module_of, typed_name
from harness.core.version import version_text

PARSER_WORD = "--hand-out-parser"


class ParserAsked(BaseException):
    """Carry the parser of a command to who asks for it: for completion and for the manual."""

    def __init__(self, parser: Parser) -> None:
        super().__init__(parser.prog)
        self.parser = parser


class _Hand(argparse.Action):
    """Hand out the parser, in place of parsing."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Raise with the parser of the command.

        Raises:
            ParserAsked: always.
        """
        assert isinstance(parser, Parser)
        raise ParserAsked(parser)


class Formatter(argparse.HelpFormatter):
    """Wrap help between words alone: a name such as `all-in-one` or a range is never broken."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        words = " ".join(text.split())
        return textwrap.fill(
            words, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
        )


class Parser(argparse.ArgumentParser):
    """Parse without exiting: what is wrong is raised, with the nearest right option."""

    def __init__(self, *, prog: str | None = None, **settings: Any) -> None:  # noqa: ANN401
        settings.setdefault("formatter_class", Formatter)
        super().__init__(prog=prog and as_typed(prog), **settings)
        if settings.get("add_help", True):
            self.add_argument(
                "--version", action="version", version=version_text(), help="show the release"
            )
            self.add_argument(PARSER_WORD, action=_Hand, nargs=0, help=argparse.SUPPRESS)

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting."""
        raise UsageError(message, f"See {self.prog} --help.")


def as_typed(prog: str) -> str:
    """Return how a command named `python -m harness.NAME` was typed, if otherwise."""
    words = prog.removeprefix("python -m ").split()
    command = next((name for name in TITLES if module_of(name) == words[0]), None)
    return prog if command is None else typed_name(" ".join([command, *words[1:]]))


class _Include(argparse.Action):
    """Take a file or folder in at once, as later options may name what is in it."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002 - as argparse calls it
        namespace: argparse.Namespace,
        values: Any,  # noqa: ANN401
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        """Keep the path and take it in.

        Raises:
            UsageError: if there is no such file or folder.
        """
        try:
            extensions.include([Path(values)])
        except DeviceError as error:
            raise UsageError(error.message, error.remedy) from None
        setattr(namespace, self.dest, [*(getattr(namespace, self.dest) or []), values])


def add_include_options(parser: argparse.ArgumentParser, *, shown: bool = True) -> None:
    """Add the options that name boards, meters, methods and the like from outside."""
    group = parser.add_argument_group("from outside (docs/extending)") if shown else parser
    group.add_argument(
        "--include", metavar="FOLDER", action=_Include, default=None,
        help="folder of boards (.toml) and of meters, workloads, methods, data sets and figures"
        " (.py); may be repeated",
    )  # fmt: skip
    group.add_argument(
        "--profile", metavar="FILE.toml", action=_Include, default=None,
        help="file of one board; may be repeated",
    )  # fmt: skip


def take_in_early(words: Sequence[str]) -> list[str]:
    """Take in what options name, where the parser itself depends on it; return the other words.

    Raises:
        UsageError: if there is no such file or folder.
    """
    parser = Parser(add_help=False, allow_abbrev=False)
    add_include_options(parser, shown=False)
    return parser.parse_known_args(list(words))[1]


def say_skipped() -> None:
    """Print on standard error what of outside was skipped, with all its faults."""
    for one in extensions.skipped():
        say(str(one), sys.stderr)


def read_options(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """Parse the words.

    Raises:
        UsageError: for an unknown option, naming the nearest right one, or one without a value.
    """
    try:
        parsed, rest = parser.parse_known_args(list(words))
    except UsageError as error:  # a misspelt option is often why another seems to be missing
        misspelt = [word for word in _options(words) if word not in parser._option_string_actions]
        if parser._subparsers is None and misspelt:
            raise_all([*(unknown_option(parser, word) for word in misspelt), error])
        raise
    if rest:
        words = [word.split("=")[0] for word in rest if word.startswith("-")] or rest[:1]
        raise_all([unknown_option(parser, word) for word in words])
    return parsed


def _options(words: Sequence[str]) -> list[str]:
    return [word.split("=")[0] for word in words if word.startswith("--") and len(word) > 2]


def unknown_option(parser: argparse.ArgumentParser, word: str) -> UnknownNameError:
    """Return the error for an unknown option: it names the nearest ones, as all are too many."""
    known = [
        name
        for action in parser._actions
        for name in action.option_strings
        if name != "-h" and action.help != argparse.SUPPRESS
    ]
    kind = "option" if word.startswith("-") else "argument"
    hint = did_you_mean(word, known)
    return UnknownNameError(f"unknown {kind} '{word}'", f"{hint}All of them: {parser.prog} --help")
