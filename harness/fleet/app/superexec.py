"""Be Flower's SuperExec, but hand a program its token in a file that only it can open.

Flower gives the token of a task as an argument, which every user of the machine can read in the
list of processes; whoever has it can answer in the name of the task. The programs themselves take
a file too: here it is one without a name, which they inherit.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

TOKEN = "--token"


def without_token(words: Sequence[str]) -> tuple[list[str], int | None]:
    """Return a command that reads its token of a file, and the descriptor of that file."""
    found = list(words)
    if TOKEN not in found[:-1]:
        return found, None
    place = found.index(TOKEN)
    descriptor = os.memfd_create("token", 0)
    os.write(descriptor, found[place + 1].encode())
    found[place : place + 2] = ["--token-file", f"/proc/self/fd/{descriptor}"]
    return found, descriptor


class _Subprocess:
    """Stand in for the module `subprocess` in Flower's executor."""

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


def main() -> None:
    """Run Flower's program with that one change."""
    from flwr.supercore.cli import flower_superexec  # noqa: PLC0415 - the change needs no Flower
    from flwr.supercore.superexec.executor import subprocess_executor  # noqa: PLC0415

    subprocess_executor.subprocess = _Subprocess
    sys.argv[0] = "flower-superexec"
    flower_superexec()


if __name__ == "__main__":
    main()
