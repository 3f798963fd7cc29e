"""Read numbers as programs write them: ASCII digits and nothing that Python alone takes for one.

`float` also takes `1_000`, digits of other scripts and blanks around them: in a file that some
program wrote they are damage, and the number they would stand for is made up.
"""

from __future__ import annotations

import re

_WHOLE = re.compile(r"[-+]?[0-9]{1,40}")
_NUMBER = re.compile(
    r"[-+]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][-+]?[0-9]{1,6})?"
    r"|[-+]?(?:nan|inf|infinity)",
    re.IGNORECASE | re.ASCII,
)


def plain_float(text: str) -> float:
    """Return a number, NaN and infinity included.

    Raises:
        ValueError: if it is none, or written as no program writes it.
    """
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"could not read {text[:40]!r} as a number")
    return float(text)


def plain_int(text: str) -> int:
    """Return a whole number.

    Raises:
        ValueError: if it is none, or written as no program writes it.
    """
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"could not read {text[:40]!r} as a whole number")
    return int(text)
