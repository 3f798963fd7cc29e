"""Say how much of a run that can go on is done already, from its files, changing none of them."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError
from harness.core.guarded_folder import read_bytes, read_object
from harness.run_folder.checkpoints import SUFFIX
from harness.run_folder.repair import FINISHED

ALL = math.inf


def done_so_far(folder: Path) -> dict[str, float]:
    """Return cell → unit-rounds that are kept of it, `ALL` for one that needs nothing more.

    What cannot be read counts as not done: it is an estimate that rests on this.
    """
    found = {path.name.removesuffix(SUFFIX): _kept(path) for path in _partial(folder)}
    return found | dict.fromkeys(_finished(folder / "cells.csv"), ALL)


def _finished(path: Path) -> list[str]:
    """Return the cells whose row is whole; one that was torn is trained again."""
    try:
        text = read_bytes(path).decode(errors="replace")
        head, *rows = csv.reader(io.StringIO(text))
    except (HarnessError, OSError, ValueError, csv.Error):
        return []
    whole = [dict(zip(head, row, strict=True)) for row in rows if len(row) == len(head)]
    return [row["cell"] for row in whole if row.get("status") in FINISHED and "cell" in row]


def _partial(folder: Path) -> list[Path]:
    return sorted((folder / "checkpoints").glob(f"*{SUFFIX}"))


def _kept(path: Path) -> float:
    """Return the unit-rounds that the newest checkpoint of a cell holds."""
    states = sorted(path.glob("state-*.json"))
    try:
        jobs: Any = read_object(states[-1])["jobs"]
        return math.fsum(
            int(job["unit_count"]) * (int(job["rounds_done"]) - int(job["first_round"]))
            for job in jobs
        )
    except (HarnessError, IndexError, KeyError, OSError, TypeError, ValueError):
        return 0.0
