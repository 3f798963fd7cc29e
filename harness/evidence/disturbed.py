"""Name the cells whose seconds and joules are not those of an undisturbed device.

One list decides it for the screen, the verdict, comparisons, captions and the page: a flag of a
cell counts that `harness.evidence.cell_flags` calls unstable and that is about the conditions of
the measurement, not about an answer that a fleet refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from harness.evidence.cell_flags import OF_A_FLEET, flag_meaning

Row = Mapping[str, object]


def disturbing(flags: object) -> list[str]:
    """Return those of the flags, joined by + as in cells.csv, that make times and joules doubtful.

    None, NaN and an empty text are no flags.
    """
    words = flags.split("+") if isinstance(flags, str) else []
    return [
        word
        for word in words
        if word and word not in OF_A_FLEET and flag_meaning(word)[0] == "unstable"
    ]


def disturbed_words(rows: Iterable[Row], noun: str = "cell") -> str:
    """Return how many of some finished rows were disturbed, and by what; "" if none was."""
    found = [list(dict.fromkeys(disturbing(row.get("flags")))) for row in rows]
    spoilt = [words for words in found if words]
    if not spoilt:
        return ""
    counts = Counter(word for words in spoilt for word in words)
    causes = ", ".join(
        word if count == len(spoilt) else f"{word} in {count}"
        for word, count in counts.most_common()
    )
    plural = "" if len(found) == 1 else "s"
    was = "was" if len(spoilt) == 1 else "were"
    return f"{len(spoilt)} of {len(found)} {noun}{plural} {was} disturbed ({causes})"
