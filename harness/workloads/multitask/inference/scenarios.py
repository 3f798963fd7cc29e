"""Ask queries as MLPerf Inference does, for a time and not for a number.

Single-stream: one query of one image; the next is sent as soon as the answer is there. What counts
is the latency. Offline: all images are there at once and go through in batches of one size, as fast
as they can. What counts is the throughput. (Reddi et al., MLPerf Inference Benchmark, ISCA 2020,
section III; its windows of 600 s and its random order of images are not kept here.)
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class StopRule:
    """Say when a window may end: when it is long enough and holds enough queries."""

    time_s: float
    queries: int = 1


def single_stream(
    query: Callable[[int], object], stop: StopRule, clock: Callable[[], float]
) -> list[float]:
    """Ask one query after another and return the latency of each in seconds.

    Args:
        query: Answers the query of that number.
        stop: When to end.
        clock: Monotonic clock.
    """
    latencies: list[float] = []
    with _no_collection():
        begin_s = clock()
        while True:
            sent_s = clock()
            query(len(latencies))
            now_s = clock()
            latencies.append(now_s - sent_s)
            if now_s - begin_s >= stop.time_s and len(latencies) >= stop.queries:
                return latencies


def offline(query: Callable[[int], object], stop: StopRule, clock: Callable[[], float]) -> int:
    """Put one batch after another through and return how many there were."""
    done = 0
    with _no_collection():
        begin_s = clock()
        while True:
            query(done)
            done += 1
            if clock() - begin_s >= stop.time_s and done >= stop.queries:
                return done


FEWEST_FOR = {50: 2, 90: 10, 95: 20, 99: 100}
"""Percent → queries below which that percentile would only be the largest latency."""


def percentile(latencies: Sequence[float], percent: int) -> float | None:
    """Return the smallest latency that `percent` of all do not exceed (nearest rank).

    Returns:
        None if there are too few to speak of it (`FEWEST_FOR`).
    """
    if len(latencies) < FEWEST_FOR[percent]:
        return None
    rank = math.ceil(percent * len(latencies) / 100)
    return sorted(latencies)[rank - 1]


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep Python's garbage collector out of the latencies."""
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
