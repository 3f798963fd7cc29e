"""Say by what the methods of a run are judged, and which of them the others are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.core.errors import UsageError
from harness.workloads.registry import DEFAULT, find_workload

LOSS = "total_loss"
"""The objective with a column of its own, which runs before schema 4 have alone."""


@dataclass(frozen=True)
class Yardstick:
    """Hold what methods are judged by; all empty of a run that trains nothing.

    Attributes:
        objective: name of the value.
        better: lower or higher.
        reference: method that the others are compared with.
    """

    objective: str = ""
    better: str = "lower"
    reference: str = ""

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
    said = manifest.get("objective")
    if isinstance(said, Mapping):
        return Yardstick(*(str(said.get(key, "")) for key in ("name", "better", "reference")))
    try:
        return of_workload(str(manifest.get("workload", DEFAULT)))
    except UsageError:
        return Yardstick()


def of_workload(name: str) -> Yardstick:
    """Return what a workload says.

    Raises:
        UsageError: if there is none of that name here.
    """
    found = find_workload(name)
    return Yardstick(found.objective.name, found.objective.better, found.reference)
