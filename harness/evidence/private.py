"""Take names of people and machines out of text that leaves the house.

Run folders are written without them as far as the writer knows; a path that somebody typed, or an
error that repeats one, may still hold a name.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TOO_COMMON = ("localhost", "localhost.localdomain", "x86", "jetson", "raspberrypi", "ubuntu")
"""Host names that name nobody and that results may hold for other reasons."""

SERIAL_FILES = (
    "sys/firmware/devicetree/base/serial-number", "sys/class/dmi/id/product_serial",
    "sys/class/dmi/id/board_serial", "sys/class/dmi/id/product_uuid", "etc/machine-id",
)  # fmt: skip

SHORTEST_NAME = 4
"""A shorter name would be found within ordinary words and numbers."""


@dataclass(frozen=True)
class Rule:
    """Hold what is looked for, what stands in its place, and what it is called."""

    pattern: re.Pattern[str]
    instead: str
    what: str


def rules(home: Path, host_name: str | None = None, root: Path = Path("/")) -> tuple[Rule, ...]:
    """Return the rules for the host at hand.

    Args:
        home: Home folder of the user.
        host_name: Name of the host; by default asked of the system.
        root: Where serial numbers of the host are looked for.
    """
    name = socket.gethostname() if host_name is None else host_name
    words = [] if name in TOO_COMMON else [(name, "(host)", "host name")]
    words += [(serial, "(serial)", "serial number") for serial in _serials(root)]
    own = [Rule(_word(w), i, what) for w, i, what in words if len(w) >= SHORTEST_NAME]
    homes = [Rule(re.compile(re.escape(str(home)) + r"(?![\w.-])"), "~", "home folder")]
    return (*(homes if len(home.parts) > 1 else []), *COMMON, *own)


COMMON = (
    Rule(re.compile(r"/(?:home|Users)/[^/\s\"',;:\\]+"), "~", "home folder"),
    Rule(re.compile(r"(?<![\w.~-])/root(?![\w.-])"), "~", "home folder"),
    Rule(re.compile(r"\b[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}\b"), "(address)", "hardware address"),
    Rule(re.compile(r"\bhost=[^,\s\"'+}]+"), "host=(withheld)", "address of a meter"),
    Rule(re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"), "(mail)", "mail address"),
)


def veil(text: str, known: Iterable[Rule]) -> tuple[str, list[str]]:
    """Return the text without what the rules find, and the names of what was found."""
    found = []
    for rule in known:
        text, count = rule.pattern.subn(rule.instead, text)
        if count:
            found.append(rule.what)
    return text, list(dict.fromkeys(found))


def _word(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])")


def _serials(root: Path) -> list[str]:
    found = []
    for name in SERIAL_FILES:
        text = _read(root / name).strip("\0\n ")
        if len(set(text)) > 3:  # boards without one say 0000 or 'None'
            found.append(text)
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
