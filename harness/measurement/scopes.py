"""Say which meters may be added up: those that cover different parts of a computer.

Scopes are what meters say of themselves: a processor's `package`, `package+dram`, a `gpu`, a whole
`board`, a plug at the `wall`. What covers everything contains what covers a part of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from devices.meters.registry import METERS, MeterSpec
from harness.core.errors import UsageError, unknown

PARTS = {
    "package": "processor",
    "core": "processor",
    "processor": "processor",
    "cpu": "processor",
    "psys": "board",
    "dram": "memory",
    "memory": "memory",
    "gpu": "gpu",
    "soc": "soc",
    "module": "module",
    "board": "board",
    "battery": "board",
    "system": "board",
    "wall": "wall",
}
"""Words of scopes → component of the computer."""

RAIL_WORDS = {"uncore": "processor", "ddr": "memory", "mem": "memory"}
"""Further words in names of rails."""

SEPARATE = frozenset({"processor", "memory", "gpu"})
"""Components that lie beside each other; every other one contains some of these."""


def components(scope: str) -> frozenset[str]:
    """Return the components that a scope names; `other` for a word that stands for none."""
    return frozenset(
        PARTS.get(word, "other") for word in re.split(r"[+\s]+", scope.lower()) if word
    )


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


@dataclass(frozen=True)
class Covered:
    """Hold what one meter covers."""

    meter: str
    scope: str


def overlap(covered: Sequence[Covered]) -> str:
    """Return why the meters must not be added up; empty if they cover different parts."""
    for index, first in enumerate(covered):
        for second in covered[index + 1 :]:
            both = components(first.scope), components(second.scope)
            if both[0] & both[1] or not (both[0] | both[1]) <= SEPARATE:
                return (
                    f"{first.meter} covers {first.scope} and {second.meter} covers {second.scope}:"
                    " one may contain the other, and their sum would count joules twice"
                )
    return ""


def split_meters(text: str) -> list[str]:
    """Return the meters of a sum as typed: `rapl+nvml` are two.

    A + inside an option, as in `replay:scope=package+dram`, is no sum.

    Raises:
        UsageError: if a name is missing.
    """
    found: list[str] = []
    for part in text.split("+"):
        if found and ":" in found[-1] and part.partition(":")[0] not in METERS:
            found[-1] += f"+{part}"
        else:
            found.append(part)
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
