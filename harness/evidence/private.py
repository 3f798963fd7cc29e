"""Take names of people and machines out of text that leaves the house.

Run folders are written without them as far as the writer knows; a path that somebody typed, or an
error that repeats one, may still hold a name.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from devices.host import SERIAL_FILES

TOO_COMMON = ("localhost", "localhost.localdomain", "x86", "jetson", "raspberrypi", "ubuntu")
"""Host names that name nobody and that results may hold for other reasons."""

SHORTEST_NAME = 4
"""A shorter name would be found within ordinary words and numbers."""


@dataclass(frozen=True)
class Rule:
    """Hold what is looked for, what stands in its place, and what it is called.

    `means` says whether text that looks like it is it.
    """

    pattern: re.Pattern[str]
    instead: str
    what: str
    means: Callable[[str], bool] = bool


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
    names = (
        []
        if home.name in TOO_COMMON or len(home.parts) < 2
        else [
            Rule(re.compile(rf"(?<=[/\\]){re.escape(home.name)}(?![\w.-])"), "(user)", "user name")
        ]
    )
    homes = [Rule(re.compile(re.escape(str(home)) + r"(?![\w.-])"), "~", "home folder")]
    return (*(homes if len(home.parts) > 1 else []), *COMMON, *names, *own)


def _is_address(text: str) -> bool:
    """Say whether text is an address on a network that is not this machine's own."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (found.is_loopback or found.is_unspecified)


COMMON = (
    Rule(re.compile(r"/(?:home|Users)/[^/\s\"',;:\\]+"), "~", "home folder"),
    Rule(re.compile(r"(?<![\w.~-])/root(?![\w.-])"), "~", "home folder"),
    Rule(re.compile(r"\b[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}\b"), "(address)", "hardware address"),
    Rule(re.compile(r"\bhost=[^,\s\"'+}]+"), "host=(withheld)", "address of a meter"),
    Rule(
        re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)"),
        "(address)", "network address", _is_address,
    ),
    Rule(
        re.compile(r"(?<![\w:.])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F.]{0,15}(?![\w:])"),
        "(address)", "network address", _is_address,
    ),
    Rule(
        re.compile(r"\b(?:GPU|MIG)-[0-9a-fA-F][0-9a-fA-F/-]{5,}"), "GPU-(withheld)", "name of a GPU"
    ),
    Rule(re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"), "(mail)", "mail address"),
)  # fmt: skip


def veil(text: str, known: Iterable[Rule]) -> tuple[str, list[str]]:
    """Return the text without what the rules find, and the names of what was found."""
    found = []
    for rule in known:
        told = [m for m in rule.pattern.finditer(text) if rule.means(m[0])]
        for match in reversed(told):
            text = text[: match.start()] + rule.instead + text[match.end() :]
        found += [rule.what] if told else []
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
