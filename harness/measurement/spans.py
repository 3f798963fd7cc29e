"""Keep named stretches of time that may nest and overlap, and join those of one name.

Unlike the phases of a run (`harness.measurement.phases`), which divide its time without overlap, a
program's own phases may lie inside each other and run in several threads at once. A phase covers
all that lies inside it, and what two threads do at the same moment is counted once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Window = tuple[float, float]
"""Start and end on the monotonic clock, in seconds."""


@dataclass(frozen=True, slots=True)
class Edge:
    """Hold one end of a span: the moment, and the processor seconds of its process so far."""

    time_s: float
    cpu_s: float | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """Hold one stretch of a phase.

    Attributes:
        name: the phase.
        start: its beginning.
        end: its end.
        process: the process whose processor seconds the edges hold.
        fields: what the program said of it, such as `round`.
        samples: how many samples it worked on; None if the program did not say.
        cut: True if the program ended before the phase did.
    """

    name: str
    start: Edge
    end: Edge
    process: int = 0
    fields: Mapping[str, Any] = field(default_factory=dict)
    samples: float | None = None
    cut: bool = False


def windows(spans: Iterable[Span]) -> list[Window]:
    """Return the stretches that the spans cover, joined where they touch or overlap."""
    return [(first.time_s, last.time_s) for first, last in _joined(spans)]


def cpu_s(spans: Sequence[Span]) -> float | None:
    """Return the processor seconds of the spans' processes within them; None if not known."""
    processes = dict.fromkeys(span.process for span in spans)
    pairs = [
        pair
        for process in processes
        for pair in _joined(span for span in spans if span.process == process)
    ]
    found = [
        last.cpu_s - first.cpu_s
        for first, last in pairs
        if first.cpu_s is not None and last.cpu_s is not None
    ]
    return math.fsum(found) if len(found) == len(pairs) else None


def _joined(spans: Iterable[Span]) -> list[tuple[Edge, Edge]]:
    found: list[tuple[Edge, Edge]] = []
    for span in sorted(spans, key=lambda s: s.start.time_s):
        if found and span.start.time_s <= found[-1][1].time_s:
            if span.end.time_s > found[-1][1].time_s:
                found[-1] = found[-1][0], span.end
        else:
            found.append((span.start, span.end))
    return found
