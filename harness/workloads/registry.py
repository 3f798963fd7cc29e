"""Find workloads by name: those of this program, and those that come from outside.

A package offers one under the entry point group `edge_harness.workloads`, a file as `WORKLOAD`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, cast

from devices import extensions
from harness.core.errors import unknown

if TYPE_CHECKING:
    from harness.workloads.base import Workload

DEFAULT = "multitask"
KIND = "workloads"
OWN: Mapping[str, str] = {
    DEFAULT: "harness.workloads.multitask.workload:WORKLOAD",
    "unlearning": "harness.workloads.unlearning.workload:WORKLOAD",
    "lora": "harness.workloads.lora.workload:WORKLOAD",
    "personalized": "harness.workloads.personalized.workload:WORKLOAD",
}


NEEDED = (
    "name", "title", "objective", "reference", "config_class", "listing", "legend", "parse",
    "plan_lines", "progress_steps", "columns_page", "findings", "contradictions", "owns_cache",
    "draft",
)  # fmt: skip
"""What every workload has; `harness.workloads.base.Workload` says what each is for."""


def known_workloads() -> dict[str, str]:
    """Return where each workload is, by name; one of our own cannot be replaced."""
    found = {offered.name: offered.origin for offered in extensions.offers(KIND)}
    return {**found, **OWN}


def find_workload(name: str) -> Workload:
    """Return a workload.

    Raises:
        UsageError: if there is none of that name; names the nearest. One from outside that is
            faulty is none, and `devices.extensions.skipped` has its faults.
    """
    if name in OWN:
        module, _, attribute = OWN[name].partition(":")
        workload: Workload = getattr(import_module(module), attribute)
        return workload
    outside = extensions.sound(KIND, _faults, tuple(OWN))
    if name not in outside:
        raise unknown("workload", name, [*OWN, *outside])
    return cast("Workload", outside[name][0])


def _faults(thing: object, offered: extensions.Offered) -> list[str]:
    """Return everything that is wrong with a workload from outside."""
    missing = [f"it lacks {word}" for word in NEEDED if not hasattr(thing, word)]
    name = getattr(thing, "name", offered.name)
    if name != offered.name:
        missing.append(f"it calls itself {name!r}, but its entry point is {offered.name!r}")
    return missing
