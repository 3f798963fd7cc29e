"""Hold what is fuzzed: a parser, sound inputs, how it may refuse, what must hold of answers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Parse = Callable[[bytes], Any]
Judge = Callable[[bytes, Any], str]

TOLD = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
CLOSE = 1e-9


def anything(_: bytes, __: object) -> str:
    """Find nothing wrong: not crashing is all that is asked."""
    return ""


@dataclass(frozen=True)
class Target:
    """Describe one parser.

    Attributes:
        name: what it parses.
        seeds: sound inputs, at least one of which it takes.
        parse: the parser.
        refuses: errors by which it says that an input is none; any other is a crash.
        judge: returns in words what is wrong with an answer, "" for nothing.
        weight: how many inputs it gets, relative to the others; slow parsers get few.
    """

    name: str
    seeds: Sequence[bytes]
    parse: Parse
    refuses: tuple[type[Exception], ...] = ()
    judge: Judge = anything
    weight: float = 1.0

    def trouble(self, content: bytes) -> str:
        """Return in words what is wrong with how an input is taken, "" if nothing is."""
        try:
            found = self.parse(content)
        except self.refuses:
            return ""
        except Exception as error:
            return f"crashed with {type(error).__name__}: {str(error)[:200]}"
        return self.judge(content, found)


def invented(content: bytes, found: Iterable[float], scales: Sequence[float] = (1.0,)) -> str:
    """Return which number is in no way in the input, "" if all are.

    Args:
        content: the input.
        found: what the parser made of it.
        scales: what a number of the input may be multiplied by, as 1e-3 for milliwatts.
    """
    known: list[float] | None = None
    for value in found:
        if not math.isfinite(value):
            return f"{value} is no number"
        if known is None:
            known = told(content)
        if not any(math.isclose(value, k * s, rel_tol=CLOSE) for k in known for s in scales):
            return f"{value!r} is not in the input"
    return ""


def told(content: bytes) -> list[float]:
    """Return every number that stands in an input."""
    text = content.decode("utf-8", "replace")
    return [float(match[0]) for match in TOLD.finditer(text) if len(match[0]) < 400]
