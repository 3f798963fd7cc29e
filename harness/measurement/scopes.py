"""Say which meters may be added up, and what their rails stand for."""

from __future__ import annotations

import re

from devices.meters.registry import METERS, MeterSpec, split_sum
from devices.meters.scopes import PARTS, SEPARATE, Covered, components, overlap
from harness.core.errors import UsageError, unknown

__all__ = ["Covered", "check_name", "component", "components", "overlap", "split_meters"]

RAIL_WORDS = {"uncore": "processor", "ddr": "memory", "mem": "memory"}
"""Further words in names of rails."""


def component(scope: str) -> str:
    """Return a scope's components as one word, joined by +."""
    return "+".join(sorted(components(scope))) or "other"


def rail_component(rail: str) -> str:
    """Return what a rail covers by its name, as dram or VDD_GPU; empty if that says nothing."""
    words = re.split(r"[^a-z]+", rail.lower())
    named = {PARTS[word] for word in words if word in PARTS} | {
        RAIL_WORDS[word] for word in words if word in RAIL_WORDS
    }
    return "+".join(sorted(named))


def rail_role(rail: str, scope: str, role: str) -> str:
    """Return what a rail of a total's meter is to it: total, part, or witness if it contains it."""
    if role == "total":
        return "total"
    named = rail_component(rail)
    contains = bool(named) and not set(named.split("+")) <= SEPARATE
    return "witness" if contains and components(scope) <= SEPARATE else "part"


def split_meters(text: str) -> list[str]:
    """Return the meters of a sum as typed: `rapl+nvml` are two.

    A + inside an option, as in `replay:scope=package+dram`, is no sum.

    Raises:
        UsageError: if a name is missing.
    """
    found = split_sum(text)
    if not all(found):
        raise UsageError(f"--meter {text}: a name is missing", "Write it as in rapl+nvml.")
    return found


def check_name(text: str) -> MeterSpec:
    """Return a meter as typed, taken apart.

    Raises:
        UnknownNameError: with the nearest name.
        DeviceError: if an option makes no sense.
    """
    spec = MeterSpec.parse(text)
    if spec.name not in METERS:
        raise unknown("meter", spec.name, ["auto", "none", *METERS])
    return spec
