"""Read ranks as typed, and give every client its own."""

from __future__ import annotations

from collections.abc import Sequence

from harness.core.errors import UsageError

BY_DEVICE = "by-device"
TOP = 16
"""Largest rank of `by-device`, unless it is typed as `by-device:8`."""


def top_of(text: str) -> int | None:
    """Return the largest rank of `by-device` as typed; None if ranks are given one by one.

    Raises:
        UsageError: if what follows `by-device:` is no rank.
    """
    word, colon, rest = text.partition(":")
    if word != BY_DEVICE:
        return None
    if not colon:
        return TOP
    return _rank(rest, "--ranks by-device")


def read_ranks(text: str, clients: int) -> tuple[int, ...]:
    """Return the rank of every client: a list is gone through again until all have one.

    Raises:
        UsageError: naming the client whose rank is none, or if the list does not come out even.
    """
    pieces = [piece.strip() for piece in text.split(",")]
    found = [_rank(piece, f"client {k}") for k, piece in enumerate(pieces)]
    if len(found) > clients or clients % len(found):
        raise UsageError(
            f"--ranks {text} are {len(found)} ranks for {clients} clients",
            "Give one rank, one for each client, or a list that comes out even.",
        )
    return tuple(found * (clients // len(found)))


def _rank(text: str, whose: str) -> int:
    try:
        rank = int(text)
    except ValueError:
        raise UsageError(
            f"the rank '{text}' of {whose} is no whole number",
            f"As in --ranks 4, --ranks 16,8,4 or --ranks {BY_DEVICE}.",
        ) from None
    if rank < 1:
        raise UsageError(f"the rank of {whose} must be at least 1, got {rank}")
    return rank


def share_of(memory_bytes: int, largest_bytes: int, top: int) -> int:
    """Return a board's rank: the largest power of two below its share of the largest memory."""
    rank = 1
    while rank * 2 <= top * memory_bytes / largest_bytes:
        rank *= 2
    return rank


def in_words(ranks: Sequence[int]) -> str:
    """Return ranks as files hold them."""
    return "|".join(map(str, ranks))
