"""Hold what judging a run finds, and what it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.core.errors import EXIT_DONE, EXIT_UNREADABLE, EXIT_UNSTABLE

Level = Literal["damaged", "incomplete", "unstable", "limit", "note"]

LEVELS: tuple[Level, ...] = ("damaged", "incomplete", "unstable", "limit", "note")
"""The worst first. A limit is a claim the run cannot carry; a note is only for reading."""

MOST_NAMED = 3


@dataclass(frozen=True)
class Finding:
    """Say one thing found: how bad, a word for programs, what it is, what to do about it."""

    level: Level
    code: str
    text: str
    remedy: str = ""


def exit_status(findings: Sequence[Finding], *, strict: bool = False) -> int:
    """Return 7 for damage, 4 if incomplete or unstable (strict: or limited), else 0."""
    levels = {finding.level for finding in findings}
    if "damaged" in levels:
        return EXIT_UNREADABLE
    if levels & {"incomplete", "unstable"} or (strict and "limit" in levels):
        return EXIT_UNSTABLE
    return EXIT_DONE


def verdict(findings: Sequence[Finding]) -> str:
    """Return what all findings come to, in a few words."""
    counts = {level: sum(f.level == level for f in findings) for level in LEVELS}
    bad = [level for level in ("damaged", "incomplete", "unstable") if counts[level]]
    limits = counts["limit"]
    words = " and ".join(bad) if bad else "complete and stable"
    if not limits:
        return words
    return f"{words}, with {limits} limit{'s' if limits > 1 else ''} on what may be claimed"


def named(names: Sequence[str]) -> str:
    """Return some names in words; of many only the first ones."""
    shown = ", ".join(names[:MOST_NAMED])
    return shown + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")
