"""Read the power modes of the board at hand from its own nvpmodel.conf.

Numbers and names differ between modules and releases of one board (mode 2 of an Orin Nano is
MAXN_SUPER, 7W_CPU or nothing at all), so no other list can be trusted for either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from devices.text_files import read_text

CONFIGURATION = "etc/nvpmodel.conf"
UNLIMITED = -1
"""How the file writes that a clock is not capped."""


@dataclass(frozen=True)
class BoardMode:
    """Hold one mode of a board.

    Attributes:
        number: Its number, for `nvpmodel -m`.
        name: Its name, as `nvpmodel -q` prints it.
        cores: Cores that are switched on; 0 if the file does not say.
        cpu_khz: Lowest cap of a processor clock as the file writes it; infinite without a cap.
    """

    number: int
    name: str
    cores: int = 0
    cpu_khz: float = float("inf")

    @property
    def watts(self) -> int:
        """Return the watts in its name; 0 if there are none."""
        found = re.search(r"([0-9]{1,4})W", self.name)
        return int(found.group(1)) if found else 0


def read_modes(root: Path) -> tuple[BoardMode, ...]:
    """Return the modes of the board whose files lie under `root`; none if it does not tell."""
    return parse_modes(read_text(root / CONFIGURATION))


def parse_modes(text: str) -> tuple[BoardMode, ...]:
    """Return the modes that a configuration defines, in its order."""
    plain = re.sub(r"(?m)#.*$", "", text)
    sections = re.split(r"<([^<>]*)>", plain)
    return tuple(_modes(sections[1::2], sections[2::2]))


def _modes(heads: Sequence[str], bodies: Sequence[str]) -> Iterator[BoardMode]:
    for head, body in zip(heads, bodies, strict=True):
        words = head.split()
        settings = dict(word.split("=", 1) for word in words if "=" in word)
        number, name = settings.get("ID", ""), settings.get("NAME", "").strip("\"'")
        if words[:1] == ["POWER_MODEL"] and re.fullmatch(r"[0-9]{1,4}", number) and name:
            cores = len(re.findall(r"(?m)^\s*CPU_ONLINE\s+CORE_[0-9]+\s+1\s*$", body))
            yield BoardMode(int(number), name, cores, _lowest_cap(body))


def _lowest_cap(body: str) -> float:
    """Return the lowest cap of a processor clock; clocks of cores that are off may have none."""
    caps = re.findall(r"(?m)^\s*CPU_(?!ONLINE)\w+\s+MAX_FREQ\s+(-?[0-9]{1,9})\s*$", body)
    known = [int(cap) for cap in caps if int(cap) != UNLIMITED and int(cap) > 0]
    return float(min(known, default=float("inf")))


def best_mode(modes: Sequence[BoardMode], recommended: str, current: int | None) -> BoardMode:
    """Return the mode to measure in: that of the given name, else the board's most powerful one.

    Most powerful is one without limits (MAXN), else what runs the most cores, at the highest clock,
    at the most watts; among equals the current one.

    Args:
        modes: The board's modes, at least one.
        recommended: Name that is preferred, if the board has it.
        current: Number of the mode the board is in.
    """
    for name in (recommended, "MAXN_SUPER", "MAXN"):
        for mode in modes:
            if mode.name == name:
                return mode
    return max(modes, key=lambda m: (m.cores, m.cpu_khz, m.watts, m.number == current, -m.number))
