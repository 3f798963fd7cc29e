"""Offer the nearest right name for one that stands for nothing; the harness uses it, too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

ALIKE = 0.5
"""Least likeness (difflib's ratio) at which a name is offered."""

ABOUT = 0.06
"""Names whose likeness to what was typed differs by less are offered together."""

MOST_LETTERS = 200
"""Longer words are no slips of the pen, and comparing them would take long."""


def nearest(word: str, names: Iterable[str], alike: float = ALIKE) -> list[str]:
    """Return the nearest name, and up to two more that are about as near; none if none is."""
    if len(word) > MOST_LETTERS:
        return []
    import difflib  # noqa: PLC0415 - needed only where a name is wrong

    near = difflib.get_close_matches(word, list(names), 3, alike)
    ratios = [difflib.SequenceMatcher(None, name, word).ratio() for name in near]
    return [name for name, ratio in zip(near, ratios, strict=True) if ratio > ratios[0] - ABOUT]


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Return the question with the nearest names and a space behind it; "" if none is near."""
    return offer(nearest(word, names))


def offer(names: Sequence[str]) -> str:
    """Return the question whether these were meant; "" without any."""
    return f"Did you mean {' or '.join(map(repr, names))}? " if names else ""
