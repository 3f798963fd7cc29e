"""Turn jobs and affinities into plain values for JSON, and back to the last bit.

JSON keeps every float exactly; NaN, which it cannot hold, stands as null inside matrices.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import numpy as np

from harness.workloads.multitask.affinity.matrix import (
    CheckedLooks,
    ClientAffinity,
    Matrix,
    RoundAffinity,
)
from harness.workloads.multitask.job import Job
from harness.workloads.multitask.training.local_rule import LocalRule

Plain = Any
"""What `json` reads and writes."""


class MultitaskCodec:
    """Keep jobs and affinities; implements `harness.workloads.base.Codec`."""

    @staticmethod
    def job(job: Job) -> dict[str, Plain]:
        """Return what makes a job the job it is; its start follows from the jobs before it."""
        return {
            "name": job.name,
            "first_round": job.first_round,
            "last_round": job.last_round,
            "horizon": job.horizon,
            "rate_start": job.rate_start,
            "measured_rounds": job.measured_rounds,
            "local": None if job.local is None else [type(job.local).__name__, _said(job.local)],
            "affinity": asdict(job.affinity),
        } | _unusual(job)

    @staticmethod
    def measured(found: RoundAffinity) -> dict[str, Plain]:
        """Return the affinity of one round."""
        return {
            "round": found.round,
            "mean": _plain_matrix(found.mean),
            "std": _plain_matrix(found.std),
            "count": found.count,
            "clients": [
                [c.client, _plain_matrix(c.mean), c.count, *_plain_check(c)] for c in found.clients
            ],
        }

    @staticmethod
    def read_measured(plain: Plain) -> RoundAffinity:
        """Return the affinity that `measured` wrote."""
        clients = (
            ClientAffinity(int(client), _read_matrix(mean), int(count), _read_check(both))
            for client, mean, count, *both in plain["clients"]
        )
        return RoundAffinity(
            int(plain["round"]),
            _read_matrix(plain["mean"]),
            _read_matrix(plain["std"]),
            int(plain["count"]),
            tuple(clients),
        )


def _said(rule: LocalRule) -> dict[str, Plain]:
    """Return the fields of a rule that are not at their default, for the same reason."""
    return {f.name: v for f in fields(rule) if (v := getattr(rule, f.name)) != f.default}


def _unusual(job: Job) -> dict[str, Plain]:
    """Return what most jobs do not say, so that files of earlier versions are still theirs."""
    found: dict[str, Plain] = {"passing": True} if job.passing else {}
    if job.joining is not None:
        found["joining"] = [type(job.joining).__name__, asdict(job.joining)]
    return found


def _plain_check(client: ClientAffinity) -> list[Plain]:
    checked = client.checked
    return [] if checked is None else [_plain_matrix(checked.exact), _plain_matrix(checked.linear)]


def _read_check(both: list[Plain]) -> CheckedLooks | None:
    return CheckedLooks(*map(_read_matrix, both)) if both else None


def _plain_matrix(matrix: Matrix) -> list[list[float | None]]:
    return [[None if np.isnan(x) else float(x) for x in row] for row in matrix]


def _read_matrix(plain: Plain) -> Matrix:
    return np.array([[np.nan if x is None else x for x in row] for row in plain], dtype=np.float64)
