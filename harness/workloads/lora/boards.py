"""Know the boards that clients stand for: their memory, and the rank that it buys."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from devices.profile import Profile, load_profiles
from harness.core.errors import HarnessError, Problems, UsageError, unknown
from harness.workloads.lora.ranks import share_of

BOARDS = ("jetson-orin-nano", "raspberry-pi-4", "raspberry-pi-3")
"""A board of 8, one of 4 and one of 1 GB."""


def board(name: str) -> Profile:
    """Return a profile by its name or alias.

    Raises:
        UsageError: naming the nearest.
    """
    profiles = load_profiles()
    for profile in profiles:
        if name == profile.name or name in profile.aliases:
            return profile
    raise unknown("board", name, [profile.name for profile in profiles])


def board_problems(names: Sequence[str]) -> list[HarnessError]:
    """Return what is wrong with boards as typed."""
    if not names:
        return [UsageError("--boards is empty", "Name profiles: python -m harness.list devices")]
    problems = Problems()
    for name in names:
        problems.attempt(partial(board, name))
    return problems.found


def boards_of(names: Sequence[str], clients: int) -> list[Profile]:
    """Return the board of every client: the list is gone through again until all have one."""
    found = [board(name) for name in names]
    return [found[client % len(found)] for client in range(clients)]


def ranks_by_board(names: Sequence[str], clients: int, top: int) -> tuple[int, ...]:
    """Return the rank of every client by its board's share of the largest memory.

    Raises:
        UsageError: for an unknown board.
    """
    own = boards_of(names, clients)
    largest = max(profile.memory_bytes for profile in own)
    return tuple(share_of(profile.memory_bytes, largest, top) for profile in own)
