"""Find whose run it is, and let its workload say what its models cost when they are used."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from harness.core.command_frame import framed
from harness.core.errors import UsageError
from harness.evidence.reading import find_run
from harness.run_folder.resume import read_manifest
from harness.workloads.base import Workload
from harness.workloads.registry import DEFAULT, find_workload


def main(words: Sequence[str] | None = None) -> int:
    """Run the command of the run's workload and return its exit status."""
    typed = list(sys.argv[1:] if words is None else words)
    return framed(lambda: _command(_workload(typed))(typed))


def _workload(words: Sequence[str]) -> Workload:
    """Return the workload of the first word that is a run; without one the default's.

    What else is wrong with a run is said by the command that reads it.
    """
    for word in words:
        folder = None if word.startswith("-") else _folder(word)
        if folder is not None and (folder / "manifest.json").is_file():
            return find_workload(str(read_manifest(folder).get("workload", DEFAULT)))
    return find_workload(DEFAULT)


def _folder(word: str) -> Path | None:
    with contextlib.suppress(UsageError):  # a value of an option
        return find_run(word)
    return None


def _command(workload: Workload) -> Callable[[Sequence[str]], int]:
    place = getattr(workload, "infer", None)
    if place is None:
        raise UsageError(
            f"models of the workload {workload.name} cannot be measured in use",
            "Give a run of another workload.",
        )
    module, _, attribute = str(place).partition(":")
    command: Callable[[Sequence[str]], int] = getattr(import_module(module), attribute)
    return command
