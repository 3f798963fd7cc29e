"""Time the report of many runs: 100 runs, 1,000 cells and a million power samples.

The runs are made up, column by column of the schema, and say so; only their size matters here.
"""

from __future__ import annotations

import csv
import gzip
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.core.schema import CELLS, METRICS, PHASE_ROWS, SCHEMA_VERSION, TRACE, Column

TASKS = "sdnkt"
ROUNDS = 14
CLIENTS_PER_ROUND = 4
METHODS = ("independent", "all-in-one", "mas:splits=2", "mas:splits=3", "fedprox")
JOBS = {
    "independent": [(task, 0, ROUNDS) for task in TASKS],
    "mas:splits=2": [(TASKS, 0, 4), ("snk", 4, ROUNDS), ("dt", 4, ROUNDS)],
    "mas:splits=3": [(TASKS, 0, 4), ("s", 4, ROUNDS), ("nk", 4, ROUNDS), ("dt", 4, ROUNDS)],
}
"""Method → its jobs with first round and the round after the last; all others train merged."""

LIMIT_S = 30.0
LIMIT_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Size:
    """Say how much is reported: runs of two seeds and five methods, and samples of every cell."""

    words: str
    runs: int
    devices: int
    samples_per_cell: int


SIZES = (
    Size("100 runs, 1,000 cells, 1,000 samples each", 100, 4, 1_000),
    Size("1 run, 10 cells, 100,000 samples each", 1, 1, 100_000),
)


def write_runs(folder: Path, size: Size) -> list[Path]:
    """Write the run folders of one size; device names take turns, seeds never repeat."""
    return [_write_run(folder, number, size) for number in range(size.runs)]


def report() -> list[str]:
    """Return the lines of a table: what was reported, seconds, peak memory and the limits."""
    lines = [
        "| reported | wall (s) | processor (s) | peak (MB) | limit |",
        "|---|---:|---:|---:|---|",
    ]
    limit = f"{LIMIT_S:.0f} s, {LIMIT_BYTES / 1e6:.0f} MB"
    for size in SIZES:
        with tempfile.TemporaryDirectory() as text:
            folders = write_runs(Path(text) / "runs", size)
            wall_s, cpu_s, peak_bytes = timed_report(folders, Path(text) / "report")
        row = f"{wall_s:.1f} | {cpu_s:.1f} | {peak_bytes / 1e6:.0f} | {limit} |"
        lines.append(f"| {size.words} | {row}")
    return lines


def timed_report(folders: Sequence[Path], out: Path) -> tuple[float, float, int]:
    """Return wall seconds, processor seconds and peak memory of one report in a new process."""
    code = (
        "import resource, sys; from analysis.report import main; status = main(sys.argv[1:]);"
        "own = resource.getrusage(resource.RUSAGE_SELF);"
        "rest = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(own.ru_maxrss + rest.ru_maxrss, file=sys.stderr); raise SystemExit(status)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, folders), "--out", str(out)],
        check=True,
        capture_output=True,
        text=True,
    )
    wall_s = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall_s, cpu_s, 1024 * int(done.stderr.splitlines()[-1])


def main() -> int:
    """Print the table."""
    print("\n".join(report()))
    return 0


def _write_run(folder: Path, number: int, size: Size) -> Path:
    device = f"board-{number % size.devices}"
    path = folder / f"run-{number:03d}"
    path.mkdir(parents=True)
    manifest = {
        "schema_version": SCHEMA_VERSION, "run_id": path.name, "quick": False,
        "command": f"made up by tests/benchmarks/report.py, run {number}",
        "created": "2026-01-01T00:00:00+00:00", "device": {"name": device, "title": device},
        "host": {"description": device, "matches_device": True},
        "meter": {"name": "made-up", "scope": "board", "kind": "sampled"},
        "data": {"name": "none", "version": "0", "checksum": "0"},
        "config": {"tasks": TASKS, "rounds": ROUNDS},
        "merge": {m: {"merge_rounds": 4} for m in METHODS if m.startswith("mas")},
    }  # fmt: skip
    (path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    rng = np.random.default_rng(number)
    cells = [
        (method, seed, f"{method.replace(':', '-').replace('=', '-')}-s{seed}-r0")
        for seed in (2 * number, 2 * number + 1)
        for method in METHODS
    ]
    rows: dict[str, list[dict[str, object]]] = {"cells": [], "phases": [], "metrics": []}
    clock = 0.0
    for method, seed, cell in cells:
        facts = {"run_id": path.name, "cell": cell}
        begun = clock
        for phase in _phases(method, clock, rng):
            rows["phases"].append({**facts, **phase})
            clock = float(str(phase["end_s"]))
        rows["metrics"] += [{**facts, **metric} for metric in _metrics(method, rng)]
        time_s = clock - begun
        rows["cells"].append(
            {
                **facts, "device": device, "host_matches_device": "true", "method": method,
                "tasks": TASKS, "seed": seed, "repeat": 0, "rounds": ROUNDS, "clients": 16,
                "clients_per_round": CLIENTS_PER_ROUND, "total_loss": 3 + rng.random(),
                "groups": "|".join(job for job, _, last in _jobs(method) if last == ROUNDS),
                "time_s": time_s, "energy_j": 5 * time_s, "energy_meter": "made-up",
                "energy_scope": "board", "energy_kind": "sampled", "peak_memory_bytes": 1_000_000,
                "upload_bytes": 1, "download_bytes": 1, "encoder_passes": 1, "decoder_passes": 1,
                "status": "done",
            }
        )  # fmt: skip
        _write_trace(path / "traces" / f"{cell}.csv.gz", begun, clock, size.samples_per_cell)
    _write(path / "cells.csv", CELLS, rows["cells"])
    _write(path / "phases.csv", PHASE_ROWS, rows["phases"])
    _write(path / "metrics.csv", METRICS, rows["metrics"])
    return path


def _jobs(method: str) -> list[tuple[str, int, int]]:
    return JOBS.get(method, [(TASKS, 0, ROUNDS)])


def _phases(method: str, clock: float, rng: np.random.Generator) -> Iterator[dict[str, object]]:
    for job, first, last in _jobs(method):
        for done in range(first, last):
            for client in range(CLIENTS_PER_ROUND):
                for phase, own in (("train", str(client)), ("aggregate", "")):
                    time_s = float(rng.uniform(0.5, 1.5)) * (1 + 0.3 * len(job))
                    yield {
                        "job": job, "round": done, "client": own, "phase": phase,
                        "start_s": clock, "end_s": clock + time_s, "time_s": time_s,
                        "cpu_s": time_s, "energy_j": 5 * time_s,
                    }  # fmt: skip
                    clock += time_s


def _metrics(method: str, rng: np.random.Generator) -> Iterator[dict[str, object]]:
    for job, first, last in _jobs(method):
        for done in range(first + 1, last + 1):
            for task in job:
                loss = 0.5 + 1 / done + 0.01 * float(rng.random())
                yield {"round": done, "job": job, "task": task, "phase": "evaluate",
                       "metric": "test_loss", "value": loss}  # fmt: skip


def _write(path: Path, columns: Sequence[Column], rows: Sequence[dict[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [column.name for column in columns], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _write_trace(path: Path, start_s: float, end_s: float, samples: int) -> None:
    path.parent.mkdir(exist_ok=True)
    times = np.linspace(start_s, end_s, samples)
    watts = 5 + np.sin(times)
    header = ",".join(column.name for column in TRACE)
    body = [f"{t!r},board,{w!r}," for t, w in zip(times.tolist(), watts.tolist(), strict=True)]
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=1) as file:
        file.write("\n".join([header, *body]) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
