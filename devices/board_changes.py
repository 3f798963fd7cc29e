"""Say what happened to a board between two moments that makes the window between them different."""

from __future__ import annotations

from collections.abc import Iterator

from devices.board_counters import Counters
from devices.board_state import BoardState

SWAPPED_PAGES = 256
"""1 MiB of 4 KiB pages: less than this comes back now and then on any host that has swapped."""

FOREIGN_CORES = 0.1
"""Others' work beyond this share of one core is more than a system does by itself."""

STOLEN_SHARE = 0.01
EVENTS = {
    "oc1_event_cnt": "under-voltage", "oc2_event_cnt": "over-current",
    "oc3_event_cnt": "over-current",
}  # fmt: skip
"""What Jetson's over-current events stand for; the third is too short for its power monitor."""

LEAST_WINDOW_S = 1.0
"""Processor time is counted in ticks of 10 ms, which say nothing about shorter windows."""


def changes(before: BoardState, after: BoardState) -> list[str]:
    """Name what happened between two moments that makes the window a different measurement.

    Returns:
        Flags, each once: what throttled the board (the words of `throttled_now` with dashes, or
        `throttled` where only a counter tells); `maybe-` before such a word if its bit was set
        already, so that a new event would not show; `power-mode-changed`, `governor-changed`,
        `clocks-changed`, `clock-limit-lowered`, `swapped`, `foreign-load`, `stolen-time`. Empty
        if nothing happened that this board can tell.
    """
    found = [*_throttle_flags(before, after), *_set_up_flags(before, after)]
    return list(dict.fromkeys([*found, *_load_flags(before.counters, after.counters)]))


def _throttle_flags(before: BoardState, after: BoardState) -> Iterator[str]:
    fresh = set(after.throttled_before) - set(before.throttled_before)
    acting = {*before.throttled_now, *after.throttled_now, *fresh}
    yield from sorted(map(_flag, acting))
    yield from sorted(f"maybe-{_flag(word)}" for word in {*before.throttled_before} - acting)
    # The Pi's bits stand in both places; they are told above and do not count up.
    old, new = before.counters, after.counters
    names = (old.throttle.keys() & new.throttle.keys()) - {"get_throttled"}
    events = {name for name in names if new.throttle[name] > old.throttle[name]}
    yield from sorted({EVENTS.get(name, "throttled") for name in events})
    if max(old.cooling_steps or 0, new.cooling_steps or 0) > 0:
        yield "throttled"


def _flag(word: str) -> str:
    """Turn words into a flag; which rail an alarm stands on is not part of it."""
    return "over-current" if word.startswith("over-current") else word.replace(" ", "-")


def _set_up_flags(before: BoardState, after: BoardState) -> Iterator[str]:
    pairs = {
        "power-mode-changed": (before.power_mode, after.power_mode),
        "governor-changed": (before.host.governor, after.host.governor),
        "clocks-changed": (before.clocks, after.clocks),
    }
    for flag, (old, new) in pairs.items():
        if old and new and old != new:  # a program that did not answer changed nothing
            yield flag
    if _growth(after.counters.clock_limit_khz, before.counters.clock_limit_khz) > 0:
        yield "clock-limit-lowered"


def _load_flags(before: Counters, after: Counters) -> Iterator[str]:
    passed_s = after.time_s - before.time_s
    if _growth(before.swapped_pages, after.swapped_pages) > SWAPPED_PAGES:
        yield "swapped"
    if passed_s < LEAST_WINDOW_S:
        return
    if (after.foreign_cores(before) or 0.0) > FOREIGN_CORES:
        yield "foreign-load"
    if _growth(before.stolen_s, after.stolen_s) / passed_s > STOLEN_SHARE:
        yield "stolen-time"


def _growth(old: float | None, new: float | None) -> float:
    """Return by how much a counter grew; 0 if it is not known."""
    return 0.0 if old is None or new is None else new - old
