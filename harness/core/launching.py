"""Name a command as it was typed, and start modules of this program in other processes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from harness.core.own_packages import SCRIPT, started_module

TITLES = {
    "run": "train here, measure what each method costs and compare them",
    "measure": "joules, seconds and memory of any command",
    "watch": "what every meter of this host reads now",
    "doctor": "what this host is, what can measure it, and how to mend the rest",
    "list": "devices, meters, workloads, methods, models, datasets, runs …",
    "check": "is a run complete, valid and stable enough for a paper",
    "compare": "ratio of two runs with its interval, or why there is none",
    "report": "tables, figures and one page of one or more runs",
    "pack": "an archive of runs that a reviewer can check",
    "infer": "what the models of a run cost when they are used",
    "split": "divide tasks into groups by an affinity matrix",
    "data": "make, import, describe and show data sets",
    "fleet": "the same methods over many boards",
    "mark": "mark a phase of a script that is measured",
    "completion": "what a shell needs to complete these commands",
}
"""Every command, in the order people meet them, and what it does."""

PARTS = {
    "fleet": {
        "server": "run the matrix of methods over devices; on the machine that keeps the results",
        "node": "be one device; on every board",
        "demo": "a server and three nodes on this machine, to see how it works",
        "status": "where the run of a server on this machine stands",
        "keys": "make the keys and certificates of a fleet",
    },
}
"""Commands within a command, each with options of its own."""


def module_of(command: str) -> str:
    """Return the module that `python -m` starts for a command."""
    return f"harness.{command}"


def typed_name(command: str, words: Sequence[str] | None = None) -> str:
    """Return how a command is typed: as the console script if that was, else with `python -m`.

    Args:
        command: The command, with what it needs behind it, as in `fleet server`.
        words: The words of the interpreter; those of this process by default.
    """
    words = sys.orig_argv if words is None else words
    first, _, rest = command.partition(" ")
    if any(Path(word).name == SCRIPT for word in words[:2]):
        return f"{SCRIPT} {command}"
    if started_module(words) == "harness":
        return f"python -m harness {command}"
    return " ".join(filter(None, [f"python -m {module_of(first)}", rest]))
