"""Say what scopes of meters stand for, and which lie beside each other.

Scopes are what meters say of themselves: a processor's `package`, `package+dram`, a `gpu`, a whole
`board`, a plug at the `wall`. What covers everything contains what covers a part of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

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

SEPARATE = frozenset({"processor", "memory", "gpu"})
"""Components that lie beside each other; every other one contains some of these."""


def components(scope: str) -> frozenset[str]:
    """Return the components that a scope names; `other` for a word that stands for none."""
    return frozenset(
        PARTS.get(word, "other") for word in re.split(r"[+\s]+", scope.lower()) if word
    )


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
