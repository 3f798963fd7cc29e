"""Say where joules come from that no sensor gave."""

from __future__ import annotations

import re
from collections.abc import Iterable

PRETENDED = {"simulated": "made up", "replay": "replayed"}
"""Meters that play a made-up or a recorded stream instead of reading a sensor."""

NO_SENSOR = "is no sensor: its joules say nothing about this host"


def pretences(meters: Iterable[str]) -> str:
    """Return what joules of several meters are if one reads no sensor; empty if all do."""
    return next(filter(None, map(pretended, meters)), "")


def pretended(meter: str) -> str:
    """Return what joules are that a meter tells without reading a sensor; empty if it reads one.

    `meter` is its name, or those of several, joined by +, with their options.
    """
    names = re.split(r"[+, ]", meter)
    return next((PRETENDED[n] for text in names if (n := text.partition(":")[0]) in PRETENDED), "")
