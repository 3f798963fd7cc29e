"""Say what to type to finish a run."""

from __future__ import annotations

from pathlib import Path

from harness.core.shell_words import shell_word

MEASURED = "measure"
"""Workload of folders that `harness.measure` and `Measurement` write."""


def go_on_words(folder: Path, workload: str, command: str) -> str:
    """Return what to type; what was measured for somebody is measured again by their command."""
    if workload == MEASURED:
        return f"Measure again: {command or 'run the program that was measured'}"
    return f"To go on: python -m harness.run --resume {shell_word(folder)}"
