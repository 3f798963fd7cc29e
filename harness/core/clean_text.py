"""Clean text for where it goes: a terminal, whatever letters it has, and a spreadsheet.

Texts of a run folder may be a stranger's. Control characters move the cursor, rename the window or
answer in the user's place; a field that begins with = is a formula to a spreadsheet.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

INSTEAD = {
    "Δ": "delta ", "Σ": "sum ", "×": "x", "–": "-", "—": "-", "−": "-", "…": "...", "→": "->",
    "←": "<-", "≤": "<=", "≥": ">=", "±": "+/-", "·": "*", "µ": "u", "μ": "u", "°": " deg ",
    "²": "^2", "‘": "'", "’": "'", "“": '"', "”": '"', "↓": "v", "↑": "^", "∞": "inf", "√": "sqrt ",
    "α": "alpha", "λ": "lambda", "•": "*", "✓": "ok", "✗": "x",
}  # fmt: skip
"""What stands for a character that a terminal lacks."""

PLAIN = "plain-letters"
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's kinds of control, direction and format characters, half characters, line ends."""

_BYTES = re.compile("([\udc80-\udcff]+)")
"""What Python makes of bytes of a file's name that the locale has no letters for."""

STATUS_PIPE = 141
"""What shells give a program that wrote to a pipe which nobody reads any more: 128 + SIGPIPE."""


def clean(text: str, keep: str = "") -> str:
    """Return the text with every control and format character spelt out by its number.

    Names of files are read as UTF-8, whatever the locale; bytes that are none are spelt out.

    Args:
        text: what somebody wrote.
        keep: control characters that may stay, such as a line end.
    """
    if text.isprintable():
        return text
    return "".join(_shown(c) if c not in keep and _is_hidden(c) else c for c in readable(text))


def readable(text: str) -> str:
    """Return text in which names of files that are UTF-8 are letters, whatever the locale."""
    return _BYTES.sub(lambda found: _as_utf8(found[0]), text)


def _as_utf8(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def native(text: str) -> str:
    """Return text in which names of files are as this locale has them; undoes `readable`."""
    return os.fsdecode(text.encode("utf-8", "surrogateescape"))


def spreadsheet_safe(text: str) -> str:
    """Return text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(FORMULA) or text.lstrip().startswith(FORMULA) else text


def without_home(text: str) -> str:
    """Return a text with the home folder as `~`, where a path begins with it."""
    home = str(Path.home())
    if len(home) < 2:
        return text
    return re.sub(rf"(?<![\w./~-]){re.escape(home)}(?![\w.-])", "~", text)


def say(text: str, file: TextIO | None = None) -> None:
    """Print text that may hold a stranger's words: lines stay lines, all else is spelt out.

    Names of files are printed as the bytes that they are, so that they can be typed.
    """
    parts = enumerate(_BYTES.split(text))
    print("".join(native(clean(p)) if n % 2 else clean(p, "\n\t") for n, p in parts), file=file)


def prepare_terminal(streams: Iterable[TextIO | None] | None = None) -> None:
    """Let standard output and error write something readable for characters that they lack."""
    codecs.register_error(PLAIN, _plain)
    for stream in (sys.stdout, sys.stderr) if streams is None else streams:
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=PLAIN)


def leave_pipe() -> int:
    """Let nothing more be written to a pipe that nobody reads; return the exit status for it."""
    with contextlib.suppress(OSError, ValueError):
        handle = os.open(os.devnull, os.O_WRONLY)
        os.dup2(handle, sys.stdout.fileno())
        os.close(handle)
    return STATUS_PIPE


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return what stands for the characters up to where bytes of a name begin, or for these."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    letters, *names = _BYTES.split(text)
    if letters:
        shown = "".join(_letters(character, error.encoding) for character in letters)
        return shown, error.start + len(letters)
    visible = (b"?" if _is_hidden(c) else c.encode() for c in readable(names[0]))
    return b"".join(visible), error.start + len(names[0])


def _letters(character: str, encoding: str) -> str:
    """Return letters of the encoding for one that it lacks: its name, its base letter, or ?."""
    base = unicodedata.normalize("NFKD", character)
    choices: list[str] = [INSTEAD.get(character, ""), base, *base[:1]]
    for words in choices:
        if words:
            with contextlib.suppress(UnicodeEncodeError):
                words.encode(encoding)
                return words
    return "?"


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in INVISIBLE


def _shown(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
