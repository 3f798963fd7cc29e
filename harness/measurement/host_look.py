"""Look at the host before anything is measured: would figures of now be those of a quiet device?

Each trouble is one line with what to do. Only files are read, twice, and the programs that a board
has for its throttling state; nothing is computed meanwhile that would be taken for a load.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from devices.board_changes import STOLEN_SHARE
from devices.board_counters import Counters, parse_process_s, read_counters
from devices.board_state import BoardState, read_board_state
from devices.card_state import CardState
from devices.host import usable_cores
from devices.meters.battery import find_batteries, find_external_power, read_battery
from devices.programs import Programs
from devices.text_files import read_integer, read_text

LOOK_S = 0.6
"""Ticks of 10 ms: what is seen in this time is good to some hundredths of a core."""

BUSY_CORES = 0.2
"""Others' work worth a word: what a system does by itself comes in bursts."""

MOST_NAMED = 3
LEAST_SHARE = 0.1

AGAIN = "Figures of now are marked."


@dataclass(frozen=True)
class Trouble:
    """Say what would spoil a measurement now, in one line, and what to do."""

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}. {self.remedy}"


class HostLook:
    """Hold the first of two looks at the host; a while passes between them."""

    def __init__(
        self,
        root: Path = Path("/"),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        cards: Callable[[], Sequence[CardState]] = tuple,
    ) -> None:
        """Take the first look; `cards` looks at the NVIDIA cards that will work, if any will."""
        self._root = root
        self._clock = clock
        self._sleep = sleep
        self._cards = cards
        self._processes_s = _processes_s(root)
        self._counters = read_counters(root, clock=clock)

    def troubles(self) -> list[Trouble]:
        """Take the second look, at least 0.6 s after the first, and return what it shows."""
        passed_s = self._clock() - self._counters.time_s
        if passed_s < LOOK_S:
            self._sleep(LOOK_S - passed_s)
        now = read_counters(self._root, clock=self._clock)
        board = read_board_state(self._root, Programs(self._root))
        found = [
            self._load(now),
            _stolen(self._counters, now),
            *_throttled(board),
            *(trouble for card in self._cards() for trouble in _slowed_card(card)),
            _battery(self._root),
            _clock_limit(self._root),
        ]
        return [trouble for trouble in found if trouble is not None]

    def _load(self, now: Counters) -> Trouble | None:
        foreign = now.foreign_cores(self._counters)
        if foreign is None or foreign <= BUSY_CORES:
            return None
        passed_s = now.time_s - self._counters.time_s
        names = self._busiest(passed_s)
        cores = usable_cores(self._root)
        return Trouble(
            f"Other programs keep {foreign:.1f} of {cores} core{'' if cores == 1 else 's'} busy"
            + (f" ({', '.join(names)})" if names else ""),
            f"Stop them or wait until they are done; `top` shows them. {AGAIN}",
        )

    def _busiest(self, passed_s: float) -> list[str]:
        """Name the programs that have worked most since the first look, with their cores."""
        shares = [
            ((used_s - self._processes_s[number][1]) / passed_s, name)
            for number, (name, used_s) in _processes_s(self._root).items()
            if number in self._processes_s
        ]
        busy = sorted((s for s in shares if s[0] >= LEAST_SHARE), reverse=True)
        return [f"{name} {share:.1f}" for share, name in busy[:MOST_NAMED]]


def _processes_s(root: Path) -> dict[str, tuple[str, float]]:
    """Return number → name and processor seconds of every process but this one."""
    own = read_text(root / "proc/self/stat").partition(" ")[0]
    found = {}
    for path in (root / "proc").glob("[0-9]*"):
        text = read_text(path / "stat")
        used_s = parse_process_s(text)
        if used_s is not None and path.name != own:
            name = text[text.find("(") + 1 : text.rfind(")")]
            found[path.name] = ("".join(c for c in name if c.isprintable()), used_s)
    return found


def _stolen(before: Counters, now: Counters) -> Trouble | None:
    passed_s = now.time_s - before.time_s
    if before.stolen_s is None or now.stolen_s is None or passed_s <= 0.0:
        return None
    share = (now.stolen_s - before.stolen_s) / passed_s
    if share <= STOLEN_SHARE:
        return None
    return Trouble(
        f"The hypervisor gives {100 * share:.0f} % of a core to other machines",
        f"Use a host of your own, or another hour. {AGAIN}",
    )


def _throttled(board: BoardState) -> list[Trouble]:
    """Name what slows the board down at this moment, each with its own way out."""
    ways = {
        "under-voltage": "Use a stronger supply and cable.",
        "over-current": "Use a stronger supply.",
        "clock": "Cool the board, and wait until it is cool.",
    }
    found = []
    for word in board.throttled_now:
        way = next((ways[key] for key in ways if word.startswith(key)), ways["clock"])
        found.append(Trouble(f"The board slows itself down: {word}", f"{way} {AGAIN}"))
    if (board.counters.cooling_steps or 0) > 0 and not found:
        found.append(
            Trouble("The board slows itself down: it is too warm", f"{ways['clock']} {AGAIN}")
        )
    return found


def _slowed_card(card: CardState) -> Iterator[Trouble]:
    """Name what slows a card down at this moment, or keeps what it computes from being trusted."""
    hot = [word for word in card.reasons or () if word != "power-cap"]
    if hot:
        way = "Use a stronger supply." if hot == ["power-brake"] else "Let the card cool down."
        words = ", ".join(word.replace("-", " ") for word in hot)
        yield Trouble(f"{card.model} slows itself down: {words}", f"{way} {AGAIN}")
    if card.memory_errors:
        yield Trouble(
            f"{card.model} has had {card.memory_errors} memory error"
            f"{'' if card.memory_errors == 1 else 's'} that could not be corrected",
            "Reset it: sudo nvidia-smi -r, or restart the computer.",
        )
    if card.remap_failed:
        yield Trouble(
            f"{card.model} has faulty memory that could not be taken out of use",
            "Have the card replaced; do not trust what it computes.",
        )


def _battery(root: Path) -> Trouble | None:
    """Say that a battery feeds the host, which then saves where it can."""
    states = [read_battery(path).status for path in find_batteries(root)]
    if "Discharging" not in states or find_external_power(root):
        return None
    return Trouble(
        "The host runs on its battery, and may slow down to save it",
        "Plug it in, unless that is what is to be measured.",
    )


def _clock_limit(root: Path) -> Trouble | None:
    """Say that cores may not run as fast as they can; a power mode of the board is not meant."""
    limited = []
    for folder in sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq")):
        allowed, able = (
            read_integer(folder / name) for name in ("scaling_max_freq", "cpuinfo_max_freq")
        )
        if allowed and able and allowed < able:
            limited.append((allowed, able))
    if not limited or (root / "etc/nvpmodel.conf").exists():
        return None
    allowed, able = min(limited)
    plural = "" if len(limited) == 1 else "s"
    return Trouble(
        f"The clock of {len(limited)} core{plural} is limited to {allowed / 1e6:.2f} of"
        f" {able / 1e6:.2f} GHz",
        "If nobody wants that: sudo cpupower frequency-set -u"
        f" {able // 1000}MHz (heat may have lowered it: cool the board).",
    )
