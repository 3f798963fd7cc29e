"""Break lines for a screen between words, and never between a number and its unit."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from typing import TextIO

NARROWEST = 40
WIDEST = 100
UNITS = "%|s|ms|min|h|J|mJ|kJ|MJ|Wh|W|mW|kW|Hz|B|kB|MB|GB|°C|V|A|×"
_BEFORE_UNIT = re.compile(rf"(?<=\d) (?=(?:{UNITS})(?![\w]))")
_QUOTED = re.compile(r"""(?<!\S)'[^'\n]*'(?:"'"'[^'\n]*')*""")
"""A word as a shell has it quoted, which a line's end would change."""

_FAST = "\N{NO-BREAK SPACE}"


def screen_width(stream: TextIO | None = None) -> int:
    """Return the columns to fill: those of the terminal, up to 100; 80 where there is none."""
    stream = sys.stdout if stream is None else stream
    columns = shutil.get_terminal_size((80, 24)).columns if stream.isatty() else 80
    return min(max(columns, NARROWEST), WIDEST)


def wrapped(text: str, width: int, later: int = 0) -> str:
    """Return a text in lines of at most `width`, those after the first indented by `later`.

    A word that is longer than a line, such as a path, is not broken; nor is a hyphenated name, or
    what is quoted for a shell.
    """
    return filled(_BEFORE_UNIT.sub(_FAST, text), width, "", " " * later)


def filled(text: str, width: int, first: str, later: str) -> str:
    """Return a text in lines of at most `width` that begin so, broken between words only."""
    whole = _QUOTED.sub(lambda found: found.group().replace(" ", _FAST), text)
    lines = textwrap.fill(
        whole, width, initial_indent=first, subsequent_indent=later,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return lines.replace(_FAST, " ")
