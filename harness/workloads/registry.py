"""Find workloads by name: those of this program, and those of installed packages.

A package offers one under the entry point group `edge_harness.workloads`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from harness.core.errors import unknown

if TYPE_CHECKING:
    from harness.workloads.base import Workload

DEFAULT = "multitask"
GROUP = "edge_harness.workloads"
OWN: Mapping[str, str] = {
    DEFAULT: "harness.workloads.multitask.workload:WORKLOAD",
    "unlearning": "harness.workloads.unlearning.workload:WORKLOAD",
    "lora": "harness.workloads.lora.workload:WORKLOAD",
    "personalized": "harness.workloads.personalized.workload:WORKLOAD",
}


def known_workloads() -> dict[str, str]:
    """Return where each workload is, by name; one of our own cannot be replaced."""
    from importlib import metadata  # noqa: PLC0415 - takes longer than all the rest

    found = {entry.name: entry.value for entry in metadata.entry_points(group=GROUP)}
    return {**found, **OWN}


def find_workload(name: str) -> Workload:
    """Return a workload.

    Raises:
        UsageError: if there is none of that name; names the nearest.
    """
    places: Mapping[str, str] = OWN if name in OWN else known_workloads()
    if name not in places:
        raise unknown("workload", name, places)
    module, _, attribute = places[name].partition(":")
    workload: Workload = getattr(import_module(module), attribute)
    return workload
