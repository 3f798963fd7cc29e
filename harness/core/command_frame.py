"""Frame a command: read its words, do it, and say on stderr what went wrong and what helps."""

from __future__ import annotations

import contextlib
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Collection, Sequence

from devices.errors import DeviceError
from harness.core.clean_text import leave_pipe, prepare_terminal, say
from harness.core.errors import (
    EXIT_DONE,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    HarnessError,
    MissingPackageError,
    trouble_with_files,
    unknown,
)
from harness.core.own_packages import OWN
from harness.core.parser import read_options, say_skipped
from harness.core.version import version_text


def run_command(
    parser: ArgumentParser,
    words: Sequence[str] | None,
    action: Callable[[Namespace], int],
    interrupted: str = "interrupted",
) -> int:
    """Parse the words (default: those of the command line) and do what they ask.

    Returns the exit status; what went wrong is said on stderr and decides it.
    """
    try:
        return framed(
            lambda: action(read_options(parser, sys.argv[1:] if words is None else words)),
            interrupted,
        )
    finally:
        say_skipped()


def framed(action: Callable[[], int], interrupted: str = "interrupted") -> int:
    """Return the exit status of an action, that of its error if it ends in one.

    What is no fault of user, host or files is raised, as a program's own fault.
    """
    prepare_terminal()
    try:
        status = action()
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # as in `| head -1`
        return leave_pipe()
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return EXIT_INTERRUPTED
    except (HarnessError, ModuleNotFoundError, OSError) as error:
        told = _told(error)
        if told is None:
            raise
        return report(told)


def asked_name(words: Sequence[str], known: Collection[str], help_text: str) -> str | int:
    """Return the name that stands first; the exit status where help or the release was asked for.

    Raises:
        UnknownNameError: if it is none of the known ones.
    """
    if not words or words[0] in ("-h", "--help"):
        print(help_text)
        return EXIT_DONE if words else EXIT_USAGE
    if words[0] == "--version":
        print(version_text())
        return EXIT_DONE
    if words[0] not in known:
        raise unknown("command", words[0], known)
    return words[0]


def report(error: HarnessError) -> int:
    """Say on stderr what went wrong and what helps; return the exit status."""
    say(f"error: {error.shown()}", file=sys.stderr)
    return error.exit_status


def _told(error: HarnessError | ModuleNotFoundError | OSError) -> HarnessError | None:
    if isinstance(error, HarnessError):
        return error
    if isinstance(error, ModuleNotFoundError):
        return missing_package(error)
    return trouble_with_files(error)


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
