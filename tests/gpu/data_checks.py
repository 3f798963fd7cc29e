"""Check on a GPU that data kept there, copied ahead or as read train alike, and how fast."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import torch

from devices.accelerator import GPU, Accelerator
from harness.federated.observer import SilentObserver
from harness.running.accelerator import settled_clock
from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.federation import LocalEngine
from harness.workloads.multitask.job import Job, Outcome
from harness.workloads.multitask.planning.data_way import DataWay, fill, source_brought
from harness.workloads.multitask.settings import federation
from harness.workloads.multitask.training.batches import ClientBatches, Source
from harness.workloads.multitask.training.feeding import AHEAD, COPIED, KEPT
from models.execution import PLAIN, Execution
from models.multitask.registry import architecture
from tests.benchmarks.load import default_store
from tests.gpu.failing import CheckFailedError

WAYS = (COPIED, AHEAD, KEPT)
STEPS = (PLAIN, Execution(optimizer="fused", launch="graph"))
ROUNDS, TURNS = 2, 3
LEAST_SPREAD = 1e-4
"""Sums on a GPU may differ in the last bits from run to run, which training makes larger."""

FACTOR = 10.0
"""Times the difference of two runs with data copied as read that another way may differ."""


def data_ways(_card: Accelerator) -> Sequence[tuple[str, str, str]]:
    """Compare batches to the last bit, losses of a job, and seconds of a round, in each way.

    Raises:
        CheckFailedError: if batches differ, or losses by more than from run to run.
    """
    config = replace(MultitaskConfig(), accelerator=GPU)
    sources = {way: source_brought(default_store(config), DataWay(way), config) for way in WAYS}
    for source in sources.values():
        fill(source, config.tasks)
    for way in (AHEAD, KEPT):
        same_batches(way, sources[way], sources[COPIED], config)
    rows = [("batches kept and copied ahead over those copied as read", "same bits", "same bits")]
    for execution in STEPS:
        rows += _jobs(config, execution, sources)
    return rows


def same_batches(way: str, ours: Source, theirs: Source, config: MultitaskConfig) -> None:
    """Look at every batch of an epoch of a client.

    Raises:
        CheckFailedError: if a bit differs.
    """
    device = federation(config).device
    own, other = (
        ClientBatches(source, "train", 1, config.tasks, device).epoch(
            config.batch_size, np.random.default_rng(0), rest=True, augment="flip"
        )
        for source in (ours, theirs)
    )
    for (images, targets), (pictures, wanted) in zip(own, other, strict=True):
        pairs = [(images, pictures), *((targets[task], wanted[task]) for task in wanted)]
        for one, two in pairs:
            if not torch.equal(one.nan_to_num(-9.0), two.nan_to_num(-9.0)):
                raise CheckFailedError(f"batches {way} are others than those copied as read")


@dataclass(frozen=True)
class _Done:
    outcome: Outcome
    time_s: float


def _jobs(
    config: MultitaskConfig, execution: Execution, sources: dict[str, Source]
) -> list[tuple[str, str, str]]:
    """Carry out the same job in each way, in turn, the first of them twice."""
    _job(config, execution, sources[COPIED])  # libraries choose and allocate
    turns = [{way: _job(config, execution, sources[way]) for way in WAYS} for _ in range(TURNS)]
    spread = max(_apart(turn[COPIED], turns[0][COPIED]) for turn in turns)
    limit = max(FACTOR * spread, LEAST_SPREAD)
    rows = []
    for way in (AHEAD, KEPT):
        apart = max(_apart(turn[way], turns[0][COPIED]) for turn in turns)
        if apart > limit:
            raise CheckFailedError(
                f"losses with data {way} differ by {apart:.2e}, from run to run by {spread:.2e}"
            )
        ratio = median(turn[COPIED].time_s / turn[way].time_s for turn in turns)
        name = f"{execution.launch} steps, data {way}"
        rows += [
            (f"{name}: largest relative difference of a loss", f"{apart:.1e}", f"≤ {limit:.1e}"),
            (f"{name}: speed of a round over data copied as read", f"{ratio:.2f} ×", "≥ 1 ×"),
        ]
    return rows


def _job(config: MultitaskConfig, execution: Execution, source: Source) -> _Done:
    settings = replace(federation(config, execution), clients_per_round=2, evaluate_every=10**6)
    clock = settled_clock(GPU, time.perf_counter)
    start_s = clock()
    engine = LocalEngine(source, architecture(config.model), settings, 0, SilentObserver())
    outcome = engine.run(Job(config.tasks, ROUNDS))
    return _Done(outcome, clock() - start_s)


def _apart(one: _Done, other: _Done) -> float:
    pairs = [(loss, other.outcome.losses[task]) for task, loss in one.outcome.losses.items()]
    return max(abs(a - b) / abs(b) for a, b in pairs)
