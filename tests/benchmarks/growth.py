"""Time a round and weigh this process from 16 to 1,024 clients, and time how fast a run goes on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from harness.measurement.phases import PhaseLog
from harness.measurement.recorder import CellRecorder
from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.data.manifest import ShardEntry, StoreManifest
from harness.workloads.multitask.data.split import SPLITS, shard_name
from harness.workloads.multitask.data.store import Store, open_store
from harness.workloads.multitask.federation import LocalEngine
from harness.workloads.multitask.job import Job
from harness.workloads.multitask.settings import federation
from models.multitask.registry import architecture
from tests.benchmarks.data import resident_mb
from tests.benchmarks.load import default_store, seconds, use_all_cores
from tests.benchmarks.rig import REPOSITORY
from tests.benchmarks.table import head, row, spread

CLIENTS = (16, 64, 256, 1024)
TURNS = 9
START_GOAL_S = 3.0

STARTING = """
import time
begun_s = time.perf_counter()
import torch
torch_s = time.perf_counter() - begun_s
import os, runpy
import harness.cli.screen

def started(*_):
    print("start_s", time.perf_counter() - begun_s - torch_s, flush=True)
    os._exit(0)

harness.cli.screen.RunScreen.cell_started = started
runpy.run_module("harness.run", run_name="__main__")
"""


def many_clients(store: Store, folder: Path, clients: int) -> Store:
    """Return a store of many training clients, each the same shard; tests are the first's."""
    splits = {}
    for split in SPLITS:
        first = store.manifest.splits[split][0]
        count = clients if split == "train" else 1
        names = [f"client_{number:04d}" for number in range(count)]
        splits[split] = tuple(ShardEntry(name, first.images, first.record) for name in names)
        (folder / split).mkdir(parents=True)
        for name in names:
            (folder / shard_name(split, name)).symlink_to(store.folder(split, 0))
    manifest = StoreManifest(store.description, splits, store.checksum)
    (folder / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    return open_store(folder)


def growth_rows(config: MultitaskConfig, store: Store, root: Path) -> Iterator[str]:
    """Yield seconds of a round without its test, in turn over all sizes, and memory after each."""
    engines = {}
    for clients in CLIENTS:
        log = PhaseLog()
        recorder = CellRecorder("bench", log, lambda _: None)
        settings = replace(federation(config), evaluate_every=10**6)
        many = many_clients(store, root / str(clients), clients)
        engines[clients] = (
            log, LocalEngine(many, architecture(config.model), settings, 0, recorder)
        )  # fmt: skip
    times: dict[int, list[float]] = {clients: [] for clients in CLIENTS}
    memory: dict[int, list[float]] = {clients: [] for clients in CLIENTS}
    for turn in range(TURNS + 1):
        for clients, (log, engine) in engines.items():
            before = len(log.segments)
            job = Job(config.tasks, 1, first_round=turn, horizon=TURNS + 2)
            passed_s = seconds(lambda engine=engine, job=job: engine.run(job))  # type: ignore[misc]
            tests = [s for s in log.segments[before:] if s.label.phase == "evaluate"]
            if turn:  # the first round pays for memory and caches
                times[clients].append(passed_s - sum(s.time_s for s in tests))
                memory[clients].append(resident_mb())
    yield from head("figure", "min", "median", "max", "goal")
    fewest = times[CLIENTS[0]]
    for clients in CLIENTS:
        ratios = [t / f for t, f in zip(times[clients], fewest, strict=True)]
        yield row(f"round of {clients} clients, s", *spread(times[clients]), "")
        yield row(f"the same over {CLIENTS[0]} clients", *spread(ratios, ".2f"), "flat")
        yield row("memory then, MB (one process for all)", *spread(memory[clients], ".0f"), "flat")


def start_rows() -> Iterator[str]:
    """Yield seconds from torch's import to the first cell of a run that goes on."""
    with tempfile.TemporaryDirectory(prefix="growth-") as out:
        words = ["--idle-s", "0", "--meter", "none", "--out", out, "--no-report"]
        _process(["-m", "harness.run", *words, "--max-time", "1s"])
        found = [_start_s(words) for _ in range(3)]
    goal = f"< {START_GOAL_S:g}"
    yield row("start of a run that goes on, besides torch's import, s", *spread(found, ".2f"), goal)


def _start_s(words: list[str]) -> float:
    said = _process(["-c", STARTING, *words])
    found = re.search(r"start_s ([0-9.]+)", said)
    if not found:
        raise RuntimeError(said)
    return float(found[1])


def _process(words: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, *words], cwd=REPOSITORY, capture_output=True, text=True, check=False,
        env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    return done.stdout + done.stderr


def report() -> Iterator[str]:
    """Yield the tables."""
    threads = use_all_cores()
    config = MultitaskConfig()
    yield f"default network, {config.clients_per_round} clients a round, {threads} threads"
    yield ""
    with tempfile.TemporaryDirectory(prefix="growth-") as root:
        yield from growth_rows(config, default_store(config), Path(root))
    yield from start_rows()
