"""Find runs that are not as they were written, so that no table or figure rests on them unsaid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from analysis.core.figures.drawing import Drawing
from analysis.core.tables.table import Table
from harness.core.errors import DamagedRunError, SeveralProblems
from harness.evidence.reading import read_run
from harness.evidence.untrue import untrue

MOST_NAMED = 3

Captioned = TypeVar("Captioned", Table, Drawing)


def contradictions(folders: Sequence[Path]) -> dict[Path, list[str]]:
    """Return what speaks against a run's own files, of those runs that have any.

    A file that cannot be read at all is named by whatever loads it.
    """
    found: dict[Path, list[str]] = {}
    for folder in folders:
        try:
            texts = [finding.text for finding in untrue(read_run(folder))]
        except (DamagedRunError, SeveralProblems):
            continue
        if texts:
            found[folder] = texts
    return found


def refuse(found: Mapping[Path, Sequence[str]]) -> None:
    """Raise nothing if no run contradicts itself.

    Raises:
        DamagedRunError: naming every run that does, and what does not agree.
    """
    if found:
        pairs = [(folder, text) for folder, texts in found.items() for text in texts]
        listed = "\n".join(f"  {folder}: {text}" for folder, text in pairs)
        raise DamagedRunError(
            f"A run is not as it was written, or contradicts itself:\n{listed}",
            "Restore the files from a copy. --allow-damaged reports them all the same, and says so "
            "in every caption.",
        )


def damage_words(found: Mapping[Path, Sequence[str]]) -> str:
    """Return the sentence that every caption ends with; "" if nothing is found."""
    runs = []
    for folder, texts in found.items():
        more = f"; and {len(texts) - MOST_NAMED} more" if len(texts) > MOST_NAMED else ""
        runs.append(f"{folder.name} ({'; '.join(texts[:MOST_NAMED])}{more})")
    return f"DAMAGED, not as written or contradicting itself: {', '.join(runs)}." if runs else ""


def captioned(item: Captioned, words: str) -> Captioned:
    """Return a table or figure with words at the end of its caption."""
    return replace(item, caption=f"{item.caption} {words}") if words else item
