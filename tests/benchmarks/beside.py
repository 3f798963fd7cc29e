"""Time training beside a program that keeps one core busy, and alone, with cores shared and not.

Two processes train, one as a run does (`harness.running.core_sharing`) and one whose threads always
wait awake. They take turns, alone and beside a busy program; a block in which anything else was at
work is left out, so on a busy machine few blocks or none remain. Weights are compared at the end.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

import torch

from devices.core_use import read_core_use, taken
from harness.running.core_sharing import TICK_S, sharing_cores
from tests.benchmarks.load import model_and_step, use_all_cores
from tests.benchmarks.rig import REPOSITORY
from tests.benchmarks.table import head, row, spread

KINDS = ("awake", "shared")
TURNS = 6
BLOCK_S = 5.0
SETTLE_S = 2.5 * TICK_S
"""Before each block: within two looks at most the cores are left, or taken again."""

STEPS = 40
"""Of the comparison of weights."""

QUIET_CORES = float(os.environ.get("BESIDE_QUIET_CORES", "0.1"))
"""Others' work up to which a block counts."""


@dataclass(frozen=True)
class Block:
    """Hold seconds of a step by the clock and of the processor, and others' work in cores."""

    step_s: float
    cpu_s: float
    foreign: float


class Trainer:
    """Train in a process of its own."""

    def __init__(self, kind: str) -> None:
        environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.beside", kind], cwd=REPOSITORY, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._of = self._process.stdin, self._process.stdout
        self.weights = self._of.readline().strip()

    def block(self, beside: bool) -> Block:
        """Train for a while; a busy program beside it is not counted as others' work."""
        before, began_s = read_core_use(), time.perf_counter()
        print("go", file=self._to, flush=True)
        step_s, cpu_s, used_s = json.loads(self._of.readline())
        passed_s = time.perf_counter() - began_s
        after = read_core_use()
        seen = taken(before, after) if before and after else None
        foreign = float("nan") if seen is None else seen.foreign(seen.busy)
        return Block(step_s, cpu_s, foreign - used_s / passed_s - beside)

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def busy_program() -> Iterator[None]:
    """Keep one core busy."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(0.5)
        yield
    finally:
        process.kill()
        process.wait()


def report() -> Iterator[str]:
    """Yield the table."""
    trainers = {kind: Trainer(kind) for kind in KINDS}
    blocks: dict[tuple[str, bool], list[Block]] = {(k, b): [] for k in KINDS for b in (False, True)}
    try:
        for turn in range(TURNS):
            for kind in KINDS if turn % 2 else KINDS[::-1]:
                blocks[kind, False].append(trainers[kind].block(False))
            with busy_program():
                for kind in KINDS if turn % 2 else KINDS[::-1]:
                    blocks[kind, True].append(trainers[kind].block(True))
    finally:
        for trainer in trainers.values():
            trainer.end()
    yield from _table(blocks)
    same = trainers["awake"].weights == trainers["shared"].weights
    yield f"weights after {STEPS} steps: {'the same' if same else 'DIFFERENT'} to the last bit"


def _table(blocks: dict[tuple[str, bool], list[Block]]) -> Iterator[str]:
    yield from head("merged step of the default run", "min", "median", "max", "quiet", "goal")
    for (kind, beside), found in blocks.items():
        quiet = [b for b in found if b.foreign <= QUIET_CORES]
        name = f"{kind}, {'beside a busy program' if beside else 'alone'}"
        count = f"{len(quiet)} of {len(found)}"
        yield row(f"{name}, ms", *spread([1e3 * b.step_s for b in quiet], ".2f"), count, "")
        yield row(f"{name}, processor ms", *spread([1e3 * b.cpu_s for b in quiet], ".2f"), "", "")
    pairs = zip(blocks["shared", False], blocks["awake", False], strict=True)
    alone = [a.step_s / b.step_s for a, b in pairs if max(a.foreign, b.foreign) <= QUIET_CORES]
    yield row("shared over awake, alone", *spread(alone), f"{len(alone)}", "≤ 1.02")
    for kind in KINDS:
        calm = [b.step_s for b in blocks[kind, False] if b.foreign <= QUIET_CORES]
        ratios = [
            b.step_s / median(calm) for b in blocks[kind, True] if calm and b.foreign <= QUIET_CORES
        ]
        goal = "≤ 2.2" if kind == "shared" else ""
        yield row(f"{kind}, beside over alone", *spread(ratios, ".2f"), f"{len(ratios)}", goal)


def main(kind: str) -> None:
    """Train a block for every line that comes in, and print its figures."""
    threads = use_all_cores()
    torch.manual_seed(0)
    net, step = model_and_step()
    with sharing_cores(threads) if kind == "shared" else contextlib.nullcontext():
        for _ in range(STEPS):
            step()
        print(_digest(net), flush=True)
        for _ in sys.stdin:
            _, _, settling_s = _train(step, SETTLE_S)
            step_s, cpu_s, used_s = _train(step, BLOCK_S)
            print(json.dumps([step_s, cpu_s, settling_s + used_s]), flush=True)


def _train(step: Callable[[], object], seconds: float) -> tuple[float, float, float]:
    """Return seconds of a step by the clock and of the processor, and all of the processor."""
    began_s, cpu_s, steps = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began_s < seconds:
        step()
        steps += 1
    passed_s, used_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    return passed_s / steps, used_s / steps, used_s


def _digest(net: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for tensor in net.state_dict().values():
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    main(sys.argv[1])
