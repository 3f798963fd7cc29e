"""Write synthetic run folders from the column tables, with numbers that have closed forms."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from analysis.report import write_report
from harness.core.schema import CELLS, METRICS, PHASE_ROWS, SCHEMA_VERSION, TRACE

TASKS = "sdnkt"
INTERVAL = "×/÷ 3, ratios of methods ×/÷ 1.5"
ROUNDS = 8
TITLES = {"jetson-nano": "NVIDIA Jetson Nano"}
MERGE_ROUNDS = 3
FACTORS = {"independent": 1.0, "all-in-one": 0.45, "mas:splits=2": 0.5}
"""Time and energy of a method relative to independent, exact for every seed."""
LOSSES = {"independent": 0.60, "all-in-one": 0.68, "mas:splits=2": 0.57}
GROUPS = {"independent": "s|d|n|k|t", "all-in-one": "sdnkt", "mas:splits=2": "sdn|kt"}


def cell_name(method: str, seed: int, repeat: int) -> str:
    """Return the name a cell's files carry."""
    slug = "".join(letter if letter.isalnum() else "-" for letter in method)
    return f"{slug}-s{seed}-r{repeat}"


def base_time(seed: int) -> float:
    """Return the seconds of an independent cell."""
    return 100.0 + 4.0 * seed


def total_loss(method: str, seed: int, rounds: int = ROUNDS) -> float:
    """Return the total loss after some rounds: it halves towards its floor every two rounds."""
    return LOSSES.get(method, 0.7) + 0.01 * seed + 1.5 * 0.5 ** (rounds / 2)


@dataclass
class RunSpec:
    """Say what the synthetic run is; the defaults are a measured run of three seeds."""

    run_id: str = "20261123-x86-ab12"
    methods: tuple[str, ...] = tuple(FACTORS)
    seeds: int = 3
    repeats: int = 1
    measured: bool = True
    modelled: bool = True
    trace: bool = True
    matches: bool = True
    quick: bool = False
    schema_version: int = SCHEMA_VERSION
    device: str = "jetson-nano"
    accelerator: str = ""
    first_seed: int = 0
    config: dict[str, object] = field(default_factory=dict)
    host: dict[str, object] = field(default_factory=dict)
    measures: bool = False
    cell_changes: dict[str, dict[str, object]] = field(default_factory=dict)


def text(value: object) -> str:
    """Return a value as the writer puts it in a CSV file."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def write_csv(path: Path, columns, rows) -> None:
    """Write rows under the columns of the schema."""
    path.parent.mkdir(parents=True, exist_ok=True)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow([column.name for column in columns])
        writer.writerows([[text(row.get(column.name)) for column in columns] for row in rows])


def cell_row(spec: RunSpec, method: str, seed: int, repeat: int) -> dict[str, object]:
    """Return one row of cells.csv: 5 W measured, 4 W modelled, repeats differ by a second."""
    time_s = (base_time(seed) + repeat) * FACTORS.get(method, 0.8)
    name = cell_name(method, seed, repeat)
    row = {
        "run_id": spec.run_id, "cell": name, "device": spec.device,
        "host_matches_device": spec.matches, "method": method, "tasks": TASKS, "seed": seed,
        "repeat": repeat, "rounds": spec.config.get("rounds", ROUNDS),
        "clients": 4, "clients_per_round": 2,
        "groups": GROUPS.get(method, ""), "total_loss": total_loss(method, seed),
        "unseen_total_loss": total_loss(method, seed) + 0.1, "time_s": time_s,
        "delta_mtl": None if method == "independent"
        else 100 * (1 - total_loss(method, seed) / total_loss("independent", seed)),
        "time_model_s": None if spec.matches else 9 * time_s,
        "energy_j": 5.0 * time_s if spec.measured else None,
        "energy_model_j": 4.0 * time_s if spec.modelled else None,
        "energy_meter": "ina3221" if spec.measured else None,
        "energy_scope": "board" if spec.measured else None,
        "energy_kind": "sampled" if spec.measured else None,
        "energy_reason": None if spec.measured else "no sensor on this host",
        "peak_memory_bytes": 512_000_000, "upload_bytes": 30_000_000, "download_bytes": 32_000_000,
        "status": "done",
    }  # fmt: skip
    return {**row, **spec.cell_changes.get(name, {})}


def jobs(method: str):
    """Return (job, first round finished, last round finished) of a method."""
    if method == "independent":
        return [(task, 1, ROUNDS) for task in TASKS]
    if method.startswith("mas"):
        return [
            (TASKS, 1, MERGE_ROUNDS),
            ("sdn", MERGE_ROUNDS + 1, ROUNDS),
            ("kt", MERGE_ROUNDS + 1, ROUNDS),
        ]
    return [(TASKS, 1, ROUNDS)]


def metric_rows(spec: RunSpec, method: str, seed: int, repeat: int):
    """Yield the test loss of every task (a fifth of the total) and the mean predictor's loss."""
    facts = {"run_id": spec.run_id, "cell": cell_name(method, seed, repeat), "phase": "evaluate"}
    if spec.measures:
        for task, name, value in (("s", "miou", 0.25), ("d", "abs_error_m", 0.5)):
            yield {**facts, "round": ROUNDS, "job": jobs(method)[-1][0], "task": task,
                   "metric": name, "value": value + 0.01 * seed}  # fmt: skip
    for task in TASKS:
        yield {**facts, "round": 0, "job": TASKS, "task": task, "metric": "mean_predictor_loss",
               "value": 0.4}  # fmt: skip
    for job, first, last in jobs(method):
        for done in range(first, last + 1):
            for task in job:
                yield {**facts, "round": done, "job": job, "task": task, "metric": "test_loss",
                       "value": total_loss(method, seed, done) / 5}  # fmt: skip


def phase_rows(spec: RunSpec, method: str, seed: int, repeat: int, start: float):
    """Yield train (80 %), affinity or aggregate (20 %) of the charged time, and evaluation."""
    cell = cell_row(spec, method, seed, repeat)
    second = "affinity" if method.startswith("mas") else "aggregate"
    clock = start
    for job, first, last in jobs(method):
        share_of_job = (last - first + 1) / sum(b - a + 1 for _, a, b in jobs(method))
        for done in range(first - 1, last):
            for phase, share in (("train", 0.8), (second, 0.2), ("evaluate", 0.05)):
                time_s = cell["time_s"] * share * share_of_job / (last - first + 1)
                yield {
                    "run_id": spec.run_id, "cell": cell["cell"], "job": job, "round": done,
                    "client": "c0" if phase == "train" else None, "phase": phase,
                    "start_s": clock, "end_s": clock + time_s, "time_s": time_s, "cpu_s": time_s,
                    "time_model_s": None if spec.matches else 9 * time_s,
                    "energy_j": 5.0 * time_s if spec.measured else None,
                    "energy_model_j": 4.0 * time_s if spec.modelled else None,
                }  # fmt: skip
                clock += time_s


def manifest(spec: RunSpec) -> dict[str, object]:
    """Return the facts of the run."""
    return {
        "schema_version": spec.schema_version, "run_id": spec.run_id, "quick": spec.quick,
        "command": "python -m harness.run --device jetson-nano --seeds 0-2",
        "created": "2026-11-23T02:00:00+00:00",
        "device": {"name": spec.device, "title": TITLES.get(spec.device, spec.device),
                   **({"accelerator": spec.accelerator} if spec.accelerator else {})},
        "host": {"description": "x86-64 laptop, 2 cores, 8 GB", "matches_device": spec.matches,
                 **spec.host},
        "meter": {"name": "ina3221", "scope": "board"} if spec.measured else None,
        "meter_reason": None if spec.measured else "no sensor on this host",
        "energy_model": {"source": "data sheet", "idle_w": 1.25, "full_load_w": 10.0}
        if spec.modelled else None,
        "time_model": None if spec.matches else {"interval": INTERVAL},
        "data": {"name": "scenes", "version": "1", "checksum": "sha256:0123abcd", "clients": 4},
        "config": {"tasks": TASKS, "rounds": ROUNDS, **spec.config},
        "source": {"commit": "0a1b2c3", "dirty": False},
        "merge": {m: {"merge_rounds": MERGE_ROUNDS} for m in spec.methods if m.startswith("mas")},
    }  # fmt: skip


def affinity_text() -> str:
    """Return an asymmetric matrix with a comment line."""
    lines = ["# rows: recipients, columns: sources", f"recipient,{','.join(TASKS)}"]
    for row, task in enumerate(TASKS):
        values = [0.01 * (row - column) + 0.002 * column for column in range(len(TASKS))]
        lines.append(f"{task},{','.join(repr(value) for value in values)}")
    return "\n".join(lines) + "\n"


def write_run(folder: Path, spec: RunSpec) -> Path:
    """Write one run folder and return it."""
    path = folder / spec.run_id
    path.mkdir(parents=True)
    (path / "manifest.json").write_text(json.dumps(manifest(spec)), encoding="utf-8")
    names = [
        (method, seed, repeat)
        for seed in range(spec.first_seed, spec.first_seed + spec.seeds)
        for repeat in range(spec.repeats)
        for method in spec.methods
    ]
    write_csv(path / "cells.csv", CELLS, [cell_row(spec, *name) for name in names])
    write_csv(
        path / "metrics.csv", METRICS, [row for name in names for row in metric_rows(spec, *name)]
    )
    phases = []
    for number, name in enumerate(names):
        phases += list(phase_rows(spec, *name, start=1000.0 * number))
        if spec.trace:
            trace = [
                {"t_s": 1000.0 * number + step, "rail": rail, "power_w": watts + step % 3}
                for step in range(40)
                for rail, watts in (("POM_5V_IN", 5.0), ("POM_5V_CPU", 2.0))
            ]
            write_csv(path / "traces" / f"{cell_name(*name)}.csv.gz", TRACE, trace)
        if name[0].startswith("mas"):
            target = path / "affinity" / f"{cell_name(*name)}.csv"
            target.parent.mkdir(exist_ok=True)
            target.write_text(affinity_text(), encoding="utf-8")
    write_csv(path / "phases.csv", PHASE_ROWS, phases)
    return path


@pytest.fixture
def make_run(tmp_path):
    """Return a function that writes a run from the fields of `RunSpec`."""

    def make(**fields) -> Path:
        return write_run(tmp_path / "results", RunSpec(**fields))

    return make


@pytest.fixture(scope="session")
def measured_report(tmp_path_factory):
    """Write the report of a measured run of three seeds once: (run folder, paths)."""
    folder = write_run(tmp_path_factory.mktemp("measured"), RunSpec())
    return folder, write_report([folder])


@pytest.fixture(scope="session")
def modelled_report(tmp_path_factory):
    """Write the report of a quick run of one seed on another host once: (run folder, paths)."""
    spec = RunSpec(seeds=1, measured=False, trace=False, matches=False, quick=True)
    folder = write_run(tmp_path_factory.mktemp("modelled"), spec)
    return folder, write_report([folder])
