"""Describe what people may type for a method, and read it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.core.errors import UsageError, unknown


@dataclass(frozen=True)
class MethodOption:
    """Describe one parameter: a number within [least, most], above `above`, yes|no, or a word.

    `field` is the rule's name for it; a default of None leaves it to the rule.
    """

    name: str
    field: str
    default: float | bool | str | None
    meaning: str
    least: float | None = None
    above: float | None = None
    whole: bool = False
    words: tuple[str, ...] = ()

    def read(self, text: str, method: str) -> float | bool | str:
        """Read a value.

        Raises:
            UsageError: with the values that are allowed.
        """
        where = f"{method}: {self.name}"
        if isinstance(self.default, bool):
            if text not in ("yes", "no"):
                raise UsageError(f"{where} is yes or no, not '{text}'")
            return text == "yes"
        if self.words:
            if text not in self.words:
                raise unknown(f"{self.name} of {method}:", text, self.words)
            return text
        try:
            value: float = int(text) if self.whole else float(text)
        except ValueError:
            kind = "whole number" if self.whole else "number"
            raise UsageError(f"{where} is a {kind} {self.range}, not '{text}'") from None
        too_low = self.least is not None and value < self.least
        if too_low or (self.above is not None and value <= self.above) or not math.isfinite(value):
            raise UsageError(f"{where} must be {self.range}, not {text}")
        return value

    @property
    def range(self) -> str:
        """Return the allowed range in words."""
        return f"above {self.above:g}" if self.above is not None else f"{self.least:g} or more"

    @property
    def help(self) -> str:
        """Return its line of help."""
        if isinstance(self.default, bool):
            kind, shown = "yes|no", "yes" if self.default else "no"
        else:
            kind = "|".join(self.words) or ("N" if self.whole else "X")
            shown = (
                ""
                if self.default is None
                else f"{self.default:g}"
                if not isinstance(self.default, str)
                else self.default
            )
        return f"{self.name}={kind}  {self.meaning}" + (f" [{shown}]" if shown else "")
