"""Compare final losses under two ways of executing steps, seed by seed, on the default workload.

Takes long, so it is no part of make bench: python -m tests.benchmarks.precision [--seeds 0-4]
[--way bf16+channels-last+fused] [--model small] [--rounds 14]. The question is whether the mean
difference between the ways is within what another seed changes.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from statistics import mean, stdev

from harness.config import parse_seeds
from harness.federated.observer import SilentObserver
from harness.workloads.multitask.config import MultitaskConfig, make_multitask_config
from harness.workloads.multitask.federation import LocalEngine
from harness.workloads.multitask.job import Job
from harness.workloads.multitask.settings import federation
from models.execution import PLAIN, Execution, parse_execution
from models.multitask.registry import architecture
from tests.benchmarks.load import default_store, use_all_cores
from tests.benchmarks.table import head, row


def total_loss(config: MultitaskConfig, seed: int, execution: Execution) -> float:
    """Return the total test loss of all tasks trained in one model."""
    store = default_store(config)
    engine = LocalEngine(
        store, architecture(config.model), federation(config, execution), seed, SilentObserver()
    )
    return math.fsum(engine.run(Job(config.tasks, config.rounds)).losses.values())


def rows(config: MultitaskConfig, seeds: tuple[int, ...], execution: Execution) -> Iterator[str]:
    """Yield the losses of every seed, their difference, and what a seed changes."""
    yield from head("seed", "plain", execution.text, "difference")
    plain, other = [], []
    for seed in seeds:
        plain.append(total_loss(config, seed, PLAIN))
        other.append(total_loss(config, seed, execution))
        yield row(
            str(seed), f"{plain[-1]:.4f}", f"{other[-1]:.4f}", f"{other[-1] - plain[-1]:+.4f}"
        )
    change = [b - a for a, b in zip(plain, other, strict=True)]
    yield row("mean", f"{mean(plain):.4f}", f"{mean(other):.4f}", f"{mean(change):+.4f}")
    if len(seeds) > 1:
        own, of_change = stdev(plain), stdev(change) / math.sqrt(len(change))
        yield ""
        yield (
            f"seed spread of plain (standard deviation) {own:.4f}; mean difference"
            f" {mean(change):+.4f} ± {of_change:.4f} (standard error):"
            f" {'within' if abs(mean(change)) <= own else 'NOT within'} the seed spread"
        )


def main() -> None:
    """Print the table as it grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0-4")
    parser.add_argument("--way", default="bf16+channels-last+fused")
    parser.add_argument("--model", default="small")
    parser.add_argument("--rounds", type=int, default=MultitaskConfig.rounds)
    parsed = parser.parse_args()
    use_all_cores()
    config = make_multitask_config({"model": parsed.model, "rounds": parsed.rounds})
    for line in rows(config, parse_seeds(parsed.seeds), parse_execution(parsed.way)):
        print(line, flush=True)


if __name__ == "__main__":
    main()
