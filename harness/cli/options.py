"""Read command-line options into a configuration; every field of it is an option."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, fields
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from devices.errors import DeviceError
from harness.config import RunConfig, make_config, parse_option, read_file
from harness.core.clean_text import leave_pipe, prepare_terminal, say
from harness.core.errors import (
    EXIT_INTERRUPTED,
    HarnessError,
    MissingPackageError,
    Problems,
    UsageError,
    raise_all,
    unknown,
)

OWN = ("harness", "devices", "models", "analysis")
"""The packages of this program: one of their modules missing is a fault of it."""


class Parser(argparse.ArgumentParser):
    """Parse without exiting: what is wrong is raised, with the nearest right option."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting."""
        raise UsageError(message, f"See {self.prog} --help.")


def option_name(field: Field[Any]) -> str:
    """Return the option of a field."""
    return "--" + field.name.replace("_", "-")


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add one option for every field of the configuration, and --config."""
    for field in fields(RunConfig):
        text = field.metadata["help"]
        if isinstance(field.default, bool):
            parser.add_argument(
                option_name(field), action="store_true", default=None, help=text, dest=field.name
            )
            continue
        default = _default_text(field.default)
        if default:
            text += f" [{default}]"
        names = [option_name(field)]
        if field.name == "methods":
            names.append("--method")
        if field.name == "data":
            names.append("--dataset")
        parser.add_argument(
            *names, dest=field.name, metavar=field.metadata["metavar"], help=text.replace("%", "%%")
        )
    parser.add_argument("--config", metavar="FILE", help="TOML file of the same names")


def _default_text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)


def read_options(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """Parse the words.

    Raises:
        UsageError: for an unknown option, naming the nearest right one, or one without a value.
    """
    parsed, rest = parser.parse_known_args(list(words))
    if rest:
        known = [s for action in parser._actions for s in action.option_strings if s != "-h"]
        words = [word.split("=")[0] for word in rest if word.startswith("-")] or rest[:1]
        raise_all([unknown("option", word, known) for word in words])
    return parsed


def run_command(
    parser: argparse.ArgumentParser,
    words: Sequence[str] | None,
    action: Callable[[argparse.Namespace], int],
) -> int:
    """Parse the words (default: those of the command line) and do what they ask.

    Returns the exit status; what went wrong is said on stderr and decides it.
    """
    prepare_terminal()
    try:
        status = action(read_options(parser, sys.argv[1:] if words is None else words))
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # as in `| head -1`
        return leave_pipe()
    except HarnessError as error:
        return report(error)
    except ModuleNotFoundError as error:
        missing = missing_package(error)
        if missing is None:
            raise
        return report(missing)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def report(error: HarnessError) -> int:
    """Say on stderr what went wrong and what helps; return the exit status."""
    say(f"error: {error.shown()}", file=sys.stderr)
    return error.exit_status


def missing_package(error: ModuleNotFoundError) -> MissingPackageError | None:
    """Return the error for a package that is not installed; None if it is a part of this program.

    For PyTorch the remedy names the build that suits this host.
    """
    name = str(error.name).partition(".")[0]
    if name in OWN:
        return None
    remedy = "make run installs what is needed: see README.md."
    if name == "torch":
        from devices.host import detect  # noqa: PLC0415 - commands load without it
        from devices.profile import find_profile  # noqa: PLC0415

        with contextlib.suppress(DeviceError):
            how = find_profile("auto", detect()).torch_install
            remedy = f"Install {how}" if how else remedy
    return MissingPackageError(f"the package {name} is not installed", remedy)


def config_from(parsed: argparse.Namespace, base: Mapping[str, Any] | None = None) -> RunConfig:
    """Put together what the options and the file say, over the values of `base` if there are any.

    Raises:
        HarnessError: for every value or combination that is impossible.
    """
    given: dict[str, Any] = {}
    problems = Problems()
    for field in fields(RunConfig):
        value = getattr(parsed, field.name)
        if isinstance(value, str):
            value = problems.attempt(partial(parse_option, field, value))
        if value is not None:
            given[field.name] = value
    path = parsed.config
    from_file = {} if path is None else problems.attempt(lambda: read_file(Path(path))) or {}
    config = problems.attempt(lambda: make_config(given, {**(base or {}), **from_file}))
    raise_all(problems.found)
    assert config is not None  # as there was no problem
    return config
