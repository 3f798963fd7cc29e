"""Make text safe for LaTeX; `harness.core` has the like for Markdown and spreadsheets."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import reduce

from harness.core.markdown import one_line

LATEX_CHARACTERS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "Δ": r"$\Delta$",
    "Σ": r"$\Sigma$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "²": r"$^2$",
    "³": r"$^3$",
    "⁻": r"$^-$",
    "¹": r"$^1$",
    "‘": "`",
    "“": "``",
    "”": "''",
    "—": "---",
    "∞": r"$\infty$",
    "√": r"$\surd$",
    "ß": r"\ss{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "ı": r"\i{}",
    "€": "EUR",
    "°": r"$^\circ$",
    "µ": r"$\mu$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "→": r"$\rightarrow$",
    "’": "'",
    "…": r"\ldots{}",
}

LIGATURES = ("--", "``", "''", ",,", "?`", "!`")
"""Pairs that a font of LaTeX sets as one other character: `--fast` would begin with an en dash."""

ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u",
    "\u0307": ".", "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c",
    "\u0328": "c",
}  # fmt: skip
"""Combining accent → the command that sets it in every font encoding."""

LATIN_LIKE = dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΧο", "ABEZHIKMNOPTXo", strict=True))
"""Greek letters that look like Latin ones, for which LaTeX has no command."""


def latex_escape(text: str) -> str:
    """Return text that pdfLaTeX prints as it stands, whatever alphabet it is of.

    Greek is set by commands, accents over their letters; a letter of which LaTeX's usual fonts
    have no picture is named by its number, as in [U+4E2D]. Where a row of a table begins it needs
    `row_start`, too.
    """
    return _unligated(map(_latex_character, one_line(text)))


def row_start(latex: str) -> str:
    r"""Return a row in such a way that no `\\` or rule before it takes its head for an option."""
    return f"{{}}{latex}" if latex.startswith(("[", "*")) else latex


def _unligated(pieces: Iterable[str]) -> str:
    """Return the pieces as one text, with nothing between two that would become one character."""
    text = ""
    for piece in pieces:
        text += f"{{}}{piece}" if text[-1:] + piece[:1] in LIGATURES else piece
    return text


def _latex_character(character: str) -> str:
    if character in LATEX_CHARACTERS or (character.isascii() and character.isprintable()):
        return LATEX_CHARACTERS.get(character, character)
    base, *marks = list(unicodedata.normalize("NFKD", character))
    if marks and base.isascii() and all(mark in ACCENTS for mark in marks):
        return reduce(lambda letter, mark: rf"\{ACCENTS[mark]}{{{letter}}}", marks, base)
    return _greek(base) or LATEX_CHARACTERS.get(base) or f"[U+{ord(character):04X}]"


def _greek(letter: str) -> str:
    """Return a Greek letter as a command, or as the Latin one that looks the same; else nothing."""
    if letter in LATIN_LIKE:
        return LATIN_LIKE[letter]
    name = unicodedata.name(letter, "").replace("LAMDA", "LAMBDA")
    found = re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (?:FINAL )?([A-Z]+)", name)
    if not found:
        return ""
    word = found[2].lower() if found[1] == "SMALL" else found[2].capitalize()
    return rf"$\{word}$"
