"""Write a command as one line that a shell takes for the same words."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.core.clean_text import native, readable, without_home

HOME = "~/"


def shell_line(words: Sequence[str]) -> str:
    """Return words quoted where a shell needs it; bytes that are no UTF-8 are spelt out."""
    return written(shlex.join(words))


def shell_word(path: str | os.PathLike[str]) -> str:
    """Return a path or name as it stands in a command that people are told to type."""
    return shlex.quote(os.fspath(path))


def typed_line(module: str, words: Sequence[str] | None = None) -> str:
    """Return how a command of this program, by default this one, was typed; `~` is the home."""
    given = sys.argv[1:] if words is None else words
    return written(" ".join([f"python -m {module}", *map(_quoted, given)]))


def typed_words(line: str, module: str) -> list[str]:
    """Return the words behind the name of a module in what `typed_line` wrote; none without it."""
    words = line.partition(f"-m {module}")[2]
    try:
        split = shlex.split(words)
    except ValueError:  # of a release that did not quote
        split = words.split()
    at_home = (str(Path.home() / w.removeprefix(HOME)) if w.startswith(HOME) else w for w in split)
    return list(map(native, at_home))


def own_path(told: object) -> str:
    """Return a path that a manifest tells as it is on this host."""
    return str(Path(native(str(told))).expanduser())


def written(text: str) -> str:
    """Return text that can be written as UTF-8: what a file name has beside it is spelt out."""
    return readable(text).encode("utf-8", "backslashreplace").decode()


def _quoted(word: str) -> str:
    """Return a word quoted, but for a `~` at its head, which a shell has to see."""
    short = without_home(word)
    if short.startswith(HOME):
        return HOME + shlex.quote(short.removeprefix(HOME)) if short != HOME else HOME
    return short if short == "~" else shlex.quote(short)
