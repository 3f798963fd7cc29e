"""What every figure hands to the report: a name, words, the numbers drawn, and how to draw them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """Describe one figure that is ready to be drawn.

    Attributes:
        stem: name of its files without ending.
        title: a few words for the page; figures themselves carry no title.
        caption: how to read it, with n.
        note: what is printed inside the figure along its lower edge.
        aspect: height divided by width, without the note.
        drawn: exactly the numbers drawn.
        paint: puts the drawing on an empty figure of the given width in inches; a function of a
            module with its data bound, so that another process can call it.
        timed: whether it shows seconds, joules or watts, which a disturbed device changes.
    """

    stem: str
    title: str
    caption: str
    note: str
    aspect: float
    drawn: pd.DataFrame
    paint: Callable[[Figure, float], None]
    timed: bool = True


@dataclass(frozen=True)
class NotDrawn:
    """Say which figure is not made, and why."""

    title: str
    reason: str


Outcome = Drawing | NotDrawn


def file_stem(text: str) -> str:
    """Return a method or cell name as part of a file name."""
    return "".join(letter if letter.isalnum() else "-" for letter in text)
