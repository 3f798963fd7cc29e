"""Tell by all numbers of a log whether a comma or a point begins their decimals, and read them.

`1,234` is a thousand and more where commas group digits, and little more than one where they begin
decimals. One number does not tell which, so those of the whole log do; where none of them tells,
the log is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from devices.errors import DeviceError
from devices.plain_numbers import plain_float

POINT, COMMA = ".", ","
DECIMALS = {"point": POINT, "comma": COMMA}
"""What may be typed for the option `decimal`."""

WRITE_WHICH = "add decimal=comma or decimal=point"

_MANTISSA = re.compile(r"[-+]?([0-9.,]+)(?:[eE][-+]?[0-9]+)?")
_ONE_GROUP = re.compile(r"[1-9][0-9]{0,2}[.,][0-9]{3}")
"""What may as well be thousands as decimals."""


@dataclass(frozen=True)
class NumberStyle:
    """Hold which sign begins decimals; the other one groups digits by thousands."""

    decimal: str = POINT

    def read(self, text: str) -> float:
        """Return a number, NaN and infinity included.

        Raises:
            ValueError: if it is none in this style.
        """
        mantissa = _MANTISSA.fullmatch(text)
        if mantissa is None:
            return plain_float(text)
        group = COMMA if self.decimal == POINT else POINT
        whole, _, part = mantissa[1].partition(self.decimal)
        grouped = re.fullmatch(rf"[0-9]{{1,3}}(?:\{group}[0-9]{{3}})+", whole)
        if group in part or (group in whole and not grouped):
            raise ValueError(f"could not read {text[:40]!r} as a number")
        return plain_float(text.replace(group, "").replace(self.decimal, POINT))


def find_style(numbers: Iterable[str]) -> NumberStyle:
    """Return the style in which numbers are written.

    Raises:
        DeviceError: They are written in both styles, or could be in either.
    """
    shown: dict[str, str] = {}
    doubtful = ""
    for text in numbers:
        mantissa = _MANTISSA.fullmatch(text)
        if mantissa is None:
            continue
        if _ONE_GROUP.fullmatch(mantissa[1]):
            doubtful = doubtful or (text if COMMA in text else "")
        elif sign := _decimal_sign(mantissa[1]):
            shown.setdefault(sign, text)
    if len(shown) > 1:
        raise DeviceError(
            f"{shown[POINT]!r} and {shown[COMMA]!r} do not begin their decimals with the same sign",
            "write all numbers of the log one way",
        )
    if shown or not doubtful:
        return NumberStyle(next(iter(shown), POINT))
    thousand = doubtful.replace(COMMA, "")
    text = f"{doubtful!r} may be {doubtful.replace(COMMA, POINT)} or {thousand}"
    raise DeviceError(f"{text}, and no other number of the log tells which", WRITE_WHICH)


def _decimal_sign(mantissa: str) -> str:
    """Return the sign that must begin decimals in this number; empty if it has none."""
    signs = [letter for letter in mantissa if letter in (POINT, COMMA)]
    if not signs:
        return ""
    repeated = len(signs) > 1 and len(set(signs)) == 1
    if repeated:  # groups of digits, and no decimals
        return COMMA if signs[0] == POINT else POINT
    return signs[-1]
