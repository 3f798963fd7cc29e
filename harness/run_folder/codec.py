"""Turn what a cell has come to into plain values for JSON, and back to the last bit.

JSON keeps every float exactly (Python writes the shortest text that reads back as the same number);
NaN, which it cannot hold, stands as null inside matrices. Nothing here can make an object other
than those named, so a file from a stranger runs no code.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from harness.federated.job import Job
from harness.federated.work import Work
from harness.measurement.phases import Label, Segment
from harness.running.recorder import Value
from harness.workloads.multitask.affinity.matrix import ClientAffinity, Matrix, RoundAffinity

Plain = Any
"""What `json` reads and writes."""


def plain_job(job: Job) -> dict[str, Plain]:
    """Return what makes a job the job it is; its start follows from the jobs before it."""
    return {
        "name": job.name,
        "first_round": job.first_round,
        "last_round": job.last_round,
        "horizon": job.horizon,
        "rate_start": job.rate_start,
        "measured_rounds": job.measured_rounds,
        "local": None if job.local is None else [type(job.local).__name__, asdict(job.local)],
        "affinity": asdict(job.affinity),
    }


def plain_segment(segment: Segment) -> dict[str, Plain]:
    """Return a segment; its times are of the session's own clock."""
    return {
        "label": asdict(segment.label),
        "start_s": segment.start_s,
        "end_s": segment.end_s,
        "cpu_s": segment.cpu_s,
        "work": {**asdict(segment.work), "forwards": dict(segment.work.forwards)},
    }


def read_segment(plain: Plain) -> Segment:
    """Return the segment that `plain_segment` wrote."""
    return Segment(
        Label(**plain["label"]),
        float(plain["start_s"]),
        float(plain["end_s"]),
        float(plain["cpu_s"]),
        Work(**plain["work"]),
    )


def plain_value(value: Value) -> list[Plain]:
    """Return a value as a list in the order of its fields."""
    return list(asdict(value).values())


def read_value(plain: Plain) -> Value:
    """Return the value that `plain_value` wrote."""
    rounds_done, job, task, phase, metric, number = plain
    return Value(int(rounds_done), str(job), str(task), str(phase), str(metric), number)


def plain_affinity(measured: RoundAffinity) -> dict[str, Plain]:
    """Return the affinity of one round."""
    return {
        "round": measured.round,
        "mean": _plain_matrix(measured.mean),
        "std": _plain_matrix(measured.std),
        "count": measured.count,
        "clients": [[c.client, _plain_matrix(c.mean), c.count] for c in measured.clients],
    }


def read_affinity(plain: Plain) -> RoundAffinity:
    """Return the affinity that `plain_affinity` wrote."""
    clients = (
        ClientAffinity(int(client), _read_matrix(mean), int(count))
        for client, mean, count in plain["clients"]
    )
    return RoundAffinity(
        int(plain["round"]),
        _read_matrix(plain["mean"]),
        _read_matrix(plain["std"]),
        int(plain["count"]),
        tuple(clients),
    )


def _plain_matrix(matrix: Matrix) -> list[list[float | None]]:
    return [[None if np.isnan(x) else float(x) for x in row] for row in matrix]


def _read_matrix(plain: Plain) -> Matrix:
    return np.array([[np.nan if x is None else x for x in row] for row in plain], dtype=np.float64)
