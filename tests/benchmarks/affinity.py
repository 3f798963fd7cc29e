"""Time look-aheads beside training steps, and say how well the cheap one agrees with the exact one.

Costs are processor seconds, which other programs do not change much, and paired: a plain step, a
step with an exact look-ahead, one with a linear look-ahead and one taken in parts (proximal) are
taken in turn, many times, on the default network and batch, on one thread. Agreement is measured
while merged models train on generated scenes: every look-ahead is taken in both modes on the same
batch.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from devices.host import usable_cores
from harness.federated.observer import SilentObserver
from harness.running.prepare import prepare_torch
from harness.workloads.multitask.affinity.matrix import Matrix
from harness.workloads.multitask.affinity.measure import LookAhead, MeasuredStep, affinity
from harness.workloads.multitask.affinity.proximal import StepInParts
from harness.workloads.multitask.config import MultitaskConfig, make_multitask_config
from harness.workloads.multitask.data.catalogue import default_cache
from harness.workloads.multitask.data.dataset import ensure_scenes
from harness.workloads.multitask.federation import LocalEngine
from harness.workloads.multitask.job import Job
from harness.workloads.multitask.methods.split import best_split
from harness.workloads.multitask.methods.split_analysis import rank_correlation
from harness.workloads.multitask.planning.plan import random_batch
from harness.workloads.multitask.settings import federation
from harness.workloads.multitask.training import looking
from harness.workloads.multitask.training.batches import Source
from models.multitask.network import build
from models.multitask.registry import architecture
from models.multitask.step import accumulate_gradients

PAIRS = 60
TASK_SETS = ("sdnkt", "sdnkterca")
SEEDS = range(6)
MERGED_ROUNDS = 4
PERIOD = 10
SPLITS = (2, 3)


def main() -> int:
    """Print the tables, timed on one core, where nothing waits for another thread."""
    prepare_torch(1)
    for line in report():
        print(line, flush=True)
    return 0


def report() -> Iterator[str]:
    """Yield the tables: what look-aheads cost, and how the linear one agrees."""
    yield "| tasks | figure | min | median | max | goal |"
    yield "|---|---|---|---|---|---|"
    for tasks in TASK_SETS:
        yield from _cost_rows(tasks)
    yield ""
    yield "| seed | look-aheads | Pearson | Spearman | same split, x = 2 | x = 3 |"
    yield "|---|---|---|---|---|---|"
    yield from _agreement_rows("sdnkt")


def _cost_rows(tasks: str) -> Iterator[str]:
    """Yield extra times over a plain step, and the overhead of a round with a look-ahead in ten."""
    net = build(architecture("small"), tasks, 0).train()
    batch = random_batch(tasks, 8, 64)

    def plain() -> None:
        net.zero_grad(set_to_none=True)
        accumulate_gradients(net, *batch)

    def measured(mode: str) -> Callable[[], None]:
        def step() -> None:
            net.zero_grad(set_to_none=True)
            apart = MeasuredStep(net, batch).apart(with_sum=mode == "linear")
            affinity(net, batch, LookAhead(0.1, 1e-4, mode=mode), apart)

        return step

    def in_parts() -> None:
        net.zero_grad(set_to_none=True)
        step = StepInParts(net, batch, LookAhead(0.1, 1e-4), range(len(tasks)))
        step.finish()
        step.give()

    times = _in_turn([plain, measured("exact"), measured("linear"), in_parts])
    base, exact, linear, proximal = np.array(times).T
    yield _row(tasks, "linear extra / exact extra", (linear - base) / (exact - base), "≤ 0.4")
    yield _row(tasks, "proximal extra / exact extra", (proximal - base) / (exact - base), "")
    for name, found in (("exact", exact), ("linear", linear), ("proximal", proximal)):
        overhead = (found - base) / base / PERIOD
        yield _row(tasks, f"{name}: share of a merged round, period {PERIOD}", overhead, "")


def _in_turn(actions: Sequence[Callable[[], None]]) -> list[list[float]]:
    """Return the processor seconds of every action, in turn, after a few that are not counted."""
    found = []
    for number in range(PAIRS + 3):
        row = []
        for action in actions:
            start = time.process_time()
            action()
            row.append(time.process_time() - start)
        if number >= 3:
            found.append(row)
    return found


def _row(tasks: str, name: str, found: np.ndarray, goal: str) -> str:
    low, middle, high = np.min(found), np.median(found), np.max(found)
    return f"| {tasks} | {name} | {low:.2f} | {middle:.2f} | {high:.2f} | {goal} |"


def _agreement_rows(tasks: str) -> Iterator[str]:
    """Yield correlation off the diagonal and agreement on the split, seed by seed and over all."""
    config = make_multitask_config({"tasks": tasks, "methods": ("mas",)})
    same = dict.fromkeys(SPLITS, 0)
    correlations = []
    for seed in SEEDS:
        pairs = _both_modes(config, _source(config), seed)
        exact, linear = (np.mean([pair[mode] for pair in pairs], axis=0) for mode in (0, 1))
        off = ~np.eye(len(tasks), dtype=bool)
        pearson = float(np.corrcoef(exact[off], linear[off])[0, 1])
        correlations.append(pearson)
        words = []
        for splits in SPLITS:
            chosen = [best_split(m, tasks, splits, exact=True).groups for m in (exact, linear)]
            same[splits] += chosen[0] == chosen[1]
            words.append("yes" if chosen[0] == chosen[1] else "no")
        spearman = rank_correlation(exact, linear)
        yield f"| {seed} | {len(pairs)} | {pearson:.3f} | {spearman:.3f} | {' | '.join(words)} |"
    shares = " | ".join(f"{same[splits]} of {len(SEEDS)}" for splits in SPLITS)
    yield f"| all | | {np.mean(correlations):.3f} (mean) | | {shares} |"


def _source(config: MultitaskConfig) -> Source:
    cache = default_cache(os.environ, Path(tempfile.gettempdir()))
    cache.mkdir(parents=True, exist_ok=True)
    workers = usable_cores()
    return ensure_scenes(config.scenes, cache, lambda *_: None, workers)


def _both_modes(config: MultitaskConfig, source: Source, seed: int) -> list[tuple[Matrix, Matrix]]:
    """Train the merged rounds of MAS and return every look-ahead in both modes."""
    found: list[tuple[Matrix, Matrix]] = []
    measure = looking.affinity

    def both(net, batch, ahead, apart, velocity=None):  # type: ignore[no-untyped-def]
        exact = measure(net, batch, ahead, apart, velocity)
        again = build(architecture(config.model), config.tasks, 0, net.loss).train()
        again.load_state_dict(net.state_dict())
        cheap = replace(ahead, mode="linear")
        linear = affinity(again, batch, cheap, MeasuredStep(again, batch).apart(), velocity)
        found.append((exact, linear))
        return exact

    looking.affinity = both
    try:
        settings = replace(federation(config), evaluate_every=config.rounds)
        engine = LocalEngine(source, architecture(config.model), settings, seed, SilentObserver())
        engine.run(Job(config.tasks, MERGED_ROUNDS, horizon=config.rounds, measure_affinity=True))
    finally:
        looking.affinity = measure
    return found


if __name__ == "__main__":
    sys.exit(main())
