"""Be one of Flower's programs, but hand tokens on in a file that only the next program can open.

Flower gives the token of a task as an argument, which every user of the machine can read in the
list of processes; whoever has it can answer in the name of the task. Here the argument names a file
without a name, which the program inherits. Releases from 1.41 on read it themselves; for earlier
ones it is read here, before their own code looks at its arguments.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata, util
from pathlib import Path
from typing import Any

TOKEN, TOKEN_FILE = "--token", "--token-file"

SUPEREXEC = "flower-superexec"
TOLD = ("flwr-clientapp", "flwr-serverapp")
"""The programs that it starts with tokens."""

STARTERS = (
    "flwr.supercore.superexec.executor.subprocess_executor",
    "flwr.supercore.superexec.plugin.base_exec_plugin",
    "flwr.supercore.superexec.plugin.base_ephemeral_exec_plugin",
)
"""Modules of some release that start programs through their `subprocess`."""


def without_token(words: Sequence[str]) -> tuple[list[str], int | None]:
    """Return a command that reads its token of a file, and the descriptor of that file."""
    found = list(words)
    if TOKEN not in found[:-1]:
        return found, None
    place = found.index(TOKEN)
    descriptor = os.memfd_create("token", 0)
    os.write(descriptor, found[place + 1].encode())
    found[place : place + 2] = [TOKEN_FILE, f"/proc/self/fd/{descriptor}"]
    return found, descriptor


def with_token(words: Sequence[str]) -> list[str]:
    """Return a command that a program without `--token-file` understands; nobody sees it."""
    found = list(words)
    if TOKEN_FILE in found[:-1]:
        place = found.index(TOKEN_FILE)
        found[place : place + 2] = [TOKEN, Path(found[place + 1]).read_text()]
    return found


class _Subprocess:
    """Stand in for the module `subprocess` where Flower starts programs."""

    DEVNULL = subprocess.DEVNULL

    @staticmethod
    def Popen(words: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:  # noqa: ANN401, N802
        told, descriptor = without_token(words)
        inherited = () if descriptor is None else (descriptor,)
        try:
            return subprocess.Popen(told, pass_fds=inherited, **options)
        finally:
            if descriptor is not None:
                os.close(descriptor)

    @classmethod
    def run(cls, words: Sequence[str], **_: object) -> None:
        """Start a program and wait for it."""
        cls.Popen(words).wait()


def guarded_programs() -> tuple[str, ...]:
    """Return which of Flower's programs this one has to be, for the release that is installed."""
    release = tuple(int(part) for part in metadata.version("flwr").split(".")[:2])
    return (SUPEREXEC,) if release >= (1, 41) else (SUPEREXEC, *TOLD)


def _is_here(module: str) -> bool:
    try:
        return util.find_spec(module) is not None
    except ModuleNotFoundError:  # nor is its package
        return False


def main() -> None:
    """Run the program that the first argument names, with the arguments behind it."""
    name = Path(sys.argv[1]).name
    sys.argv = [name, *sys.argv[2:]]
    if name == SUPEREXEC:
        for module in filter(_is_here, STARTERS):
            importlib.import_module(module).subprocess = _Subprocess  # type: ignore[attr-defined]
    else:
        sys.argv = with_token(sys.argv)
    (entry,) = metadata.distribution("flwr").entry_points.select(group="console_scripts", name=name)
    entry.load()()


if __name__ == "__main__":
    main()
