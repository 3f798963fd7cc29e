"""Say in captions, and on the page, that seconds and joules rest on cells that were disturbed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from analysis.core.damage import Captioned, captioned
from analysis.core.figures.drawing import Drawing
from analysis.core.loading import Run
from harness.evidence.disturbed import disturbed_words


def run_words(run: Run, cells: Collection[str] | None = None) -> str:
    """Return how many finished cells of a run, or of some of them, were disturbed, and by what."""
    if "flags" not in run.done:
        return ""
    own = run.done if cells is None else run.done[run.done["cell"].isin(cells)]
    return disturbed_words({"flags": flags} for flags in own["flags"].tolist())


def marked(item: Captioned, runs: Sequence[Run]) -> Captioned:
    """Return a table or figure whose caption tells of disturbed cells that it rests on.

    A figure that names its cells rests on those alone, any other on all of its runs.
    """
    if not item.timed:
        return item
    cells = None
    if isinstance(item, Drawing) and "cell" in item.drawn:
        cells = set(item.drawn["cell"].astype(str))
    found = [(run.run_id, words) for run in runs if (words := run_words(run, cells))]
    told = [f"{words} in {name}" if len(runs) > 1 else words for name, words in found]
    return captioned(item, f"DISTURBED: {'; '.join(told)}." if told else "")
