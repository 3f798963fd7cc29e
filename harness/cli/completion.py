"""Print what a shell needs to complete the commands of the console script."""

from __future__ import annotations

import argparse
import sys
from argparse import SUPPRESS, Namespace
from collections.abc import Sequence

from harness.cli.list import LISTS, OF_WORKLOAD
from harness.cli.program import parser_of
from harness.core.command_frame import run_command
from harness.core.errors import EXIT_DONE, MissingPackageError, unknown
from harness.core.launching import PARTS, TITLES
from harness.core.own_packages import SCRIPT
from harness.core.parser import Parser

SHELLS = ("bash", "zsh", "tcsh")
FOLDERS = ("DIR", "RUN", "BUNDLE", "FOLDER", "A", "B")
FILES = ("FILE", "FILE.toml", "MATRIX.csv", "PAIRS.csv")

EPILOG = f"""bash: {SCRIPT} completion bash > ~/.local/share/bash-completion/completions/{SCRIPT}
zsh: {SCRIPT} completion zsh > a folder of $fpath, as _{SCRIPT}
tcsh: {SCRIPT} completion tcsh, evaluated at the start.
The script names devices, meters and methods as they are now; make it again after an extension was
installed. exit status: 0 done, 2 wrong usage, 3 the package shtab is not installed."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = Parser(
        prog="python -m harness.completion",
        description=f"Print a completion script for the commands of {SCRIPT}.",
        epilog=EPILOG,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", metavar="SHELL", help=", ".join(SHELLS))
    return run_command(parser, words, _print)


def _print(parsed: Namespace) -> int:
    if parsed.shell not in SHELLS:
        raise unknown("shell", parsed.shell, SHELLS)
    try:
        import shtab  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise MissingPackageError(
            "the package shtab is not installed", 'pip install "mas-edge-harness[completion]"'
        ) from None
    sys.stdout.write(shtab.complete(whole_parser(), parsed.shell) + "\n")
    return EXIT_DONE


def whole_parser() -> argparse.ArgumentParser:
    """Return one parser of all commands, whose options know what may stand behind them."""
    whole = argparse.ArgumentParser(prog=SCRIPT)
    commands = whole.add_subparsers(dest="command")
    names = known_names()
    for command, title in TITLES.items():
        if command not in PARTS:
            _add(commands, command, title, names)
            continue
        parts = commands.add_parser(command, help=title).add_subparsers(dest="part")
        for part, meaning in PARTS[command].items():
            _add(parts, f"{command} {part}", meaning, names)
    return whole


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    command: str,
    title: str,
    names: dict[str, tuple[str, ...]],
) -> None:
    own = parser_of(command)
    added = commands.add_parser(
        command.rsplit(maxsplit=1)[-1],
        parents=[own],
        add_help=False,
        help=title,
        description=own.description,
    )
    for action in added._actions:
        _tell(action, names)


def _tell(action: argparse.Action, names: dict[str, tuple[str, ...]]) -> None:
    """Say what may stand behind an option: one of some names, a folder or a file."""
    import shtab  # noqa: PLC0415 - an extra

    word = action.metavar if isinstance(action.metavar, str) else ""
    if action.help == SUPPRESS or action.choices is not None:
        return
    if action.dest in names:
        action.choices = names[action.dest]
    elif word in FOLDERS:
        action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    elif word in FILES:
        action.complete = shtab.FILE  # type: ignore[attr-defined]


def known_names() -> dict[str, tuple[str, ...]]:
    """Return the names that options and words can have, by where the parser keeps them."""
    from devices.meters.registry import METERS  # noqa: PLC0415 - --help answers without
    from devices.profile import load_profiles  # noqa: PLC0415
    from harness.workloads.registry import DEFAULT, find_workload, known_workloads  # noqa: PLC0415

    methods = tuple(item.name for item in find_workload(DEFAULT).listing("methods", ""))
    meters = tuple(METERS)
    return {
        "device": ("auto", *(profile.name for profile in load_profiles())),
        "meter": ("auto", "none", *meters),
        "witness": meters,
        "workload": tuple(known_workloads()),
        "methods": methods,
        "kind": (*LISTS, *OF_WORKLOAD),
        "shell": SHELLS,
    }
