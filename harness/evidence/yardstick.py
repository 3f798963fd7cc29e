"""Say by what the methods of a run are judged, and which of them the others are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.core.errors import UsageError
from harness.evidence.going_on import MEASURED
from harness.workloads.registry import DEFAULT, find_workload

TURN = "turn"
LOSS = "total_loss"
"""The objective with a column of its own, which runs before schema 4 have alone."""


@dataclass(frozen=True)
class Yardstick:
    """Hold what methods are judged by; the objective is empty of a run that trains nothing.

    Attributes:
        objective: name of the value.
        better: lower or higher.
        reference: method that the others are compared with.
        unit: what figures of two methods are paired by: a seed; commands, which have none, take
            turns.
    """

    objective: str = ""
    better: str = "lower"
    reference: str = ""
    unit: str = "seed"

    @property
    def paired_by(self) -> str:
        """Return the column of cells.csv that numbers the pairs."""
        return "repeat" if self.unit == TURN else "seed"

    @property
    def noun(self) -> str:
        """Return what is compared: methods, or commands."""
        return "command" if self.unit == TURN else "method"

    @property
    def column(self) -> str:
        """Return the column of cells.csv with the value."""
        return LOSS if self.objective == LOSS else "objective_value"

    @property
    def words(self) -> str:
        """Return the name of the value in a sentence."""
        return self.objective.replace("_", " ")

    @property
    def quantity(self) -> str:
        """Return what tables of ratios call it."""
        return "loss" if self.objective == LOSS else self.words


def yardstick(manifest: Mapping[str, Any]) -> Yardstick:
    """Return what a manifest says; of a run that does not say it, what its workload says now."""
    if manifest.get("workload") == MEASURED:
        return of_commands(manifest)
    said = manifest.get("objective")
    if isinstance(said, Mapping):
        return Yardstick(*(str(said.get(key, "")) for key in ("name", "better", "reference")))
    try:
        return of_workload(str(manifest.get("workload", DEFAULT)))
    except UsageError:
        return Yardstick()


def of_commands(manifest: Mapping[str, Any]) -> Yardstick:
    """Return what commands are compared by: the first is the reference, turn by turn."""
    config = manifest.get("config")
    methods = config.get("methods") if isinstance(config, Mapping) else None
    first = str(methods[0]) if isinstance(methods, list) and methods else ""
    return Yardstick(reference=first, unit=TURN)


def of_workload(name: str) -> Yardstick:
    """Return what a workload says.

    Raises:
        UsageError: if there is none of that name here.
    """
    found = find_workload(name)
    return Yardstick(found.objective.name, found.objective.better, found.reference)
