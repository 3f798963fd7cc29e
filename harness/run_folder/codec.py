"""Turn what a cell has come to into plain values for JSON, and back to the last bit.

JSON keeps every float exactly (Python writes the shortest text that reads back as the same number);
NaN, which it cannot hold, stands as null inside matrices. Nothing here can make an object other
than those named, so a file from a stranger runs no code.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from harness.records.phases import Label, Segment
from harness.records.values import Value
from harness.records.work import Work

Plain = Any
"""What `json` reads and writes."""


def encode_segment(segment: Segment) -> dict[str, Plain]:
    """Return a segment; its times are of the session's own clock."""
    return {
        "label": asdict(segment.label),
        "start_s": segment.start_s,
        "end_s": segment.end_s,
        "cpu_s": segment.cpu_s,
        "work": asdict(segment.work),
    }


def decode_segment(plain: Plain) -> Segment:
    """Return the segment that `encode_segment` wrote."""
    return Segment(
        Label(**plain["label"]),
        float(plain["start_s"]),
        float(plain["end_s"]),
        float(plain["cpu_s"]),
        Work(**plain["work"]),
    )


def encode_value(value: Value) -> list[Plain]:
    """Return a value as a list in the order of its fields."""
    return list(asdict(value).values())


def decode_value(plain: Plain) -> Value:
    """Return the value that `encode_value` wrote."""
    rounds_done, job, task, phase, metric, number = plain
    return Value(int(rounds_done), str(job), str(task), str(phase), str(metric), number)
