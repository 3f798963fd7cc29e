"""Model one host's ratios of methods from the timing of another, and compare them with its own.

A host is a number of threads and a set of vector instructions that oneDNN may use, so all of them
are at hand on any x86-64: from one to the other arithmetic differs up to sixfold and the rest
hardly, as it does between a PC and a board. Of the host that is modelled only the two rates that a
profile has are taken. Its own ratios come from steps of the groups that methods train, among them
groups that the calibration never saw. The fastest of several steps counts, in processor seconds per
thread: threads wait actively, so these are wall seconds of a machine that does nothing else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import torch

from devices.host import usable_cores
from devices.time_model import RATIO_FACTOR, HostTiming, TimeModel
from harness.running.prepare import prepare_torch
from harness.workloads.multitask.config import make_multitask_config
from harness.workloads.multitask.planning.calibration import calibrate, time_host
from harness.workloads.multitask.planning.plan import build_for, random_step
from models.execution import PLAIN
from models.multitask.registry import architecture
from tests.benchmarks.rig import REPOSITORY
from tests.benchmarks.table import head, row, spread

TASKS = "sdnkt"
METHODS = {
    "all-in-one": ("sdnkt",),
    "mas:splits=2": ("sd", "nkt"),
    "mas:splits=3": ("sd", "n", "kt"),
}
"""Groups of the second part of each; independent, the reference, trains every task alone."""

SHAPES = (("small", 64, 8, 15), ("small", 128, 8, 9), ("xception", 64, 8, 5))
"""Network, side in pixels, batch size, turns."""

UNLIKE = (("ALL", 1), ("ALL", 2), ("AVX2", 1))
EMULATED = (("SSE41", 1),)
"""Its library for matrices does not slow down with it, which no profile says."""

GOAL = 1.10


@dataclass(frozen=True)
class Measured:
    """Hold what one host says: its timing as a run takes it, and the measured ratios of methods."""

    host: HostTiming
    ratios: Mapping[str, float]

    def modelled_from(self, other: HostTiming) -> dict[str, float]:
        """Return this host's ratios, modelled from another's timing and this one's two rates."""
        parts = TimeModel(self.host.flop_per_s, self.host.memory_bytes_per_s).forward_s(other)
        decoders = sum(parts[task] for task in TASKS)
        alone = len(TASKS) * parts["encoder"] + decoders
        return {
            method: (len(groups) * parts["encoder"] + decoders) / alone
            for method, groups in METHODS.items()
        }


def measure(model: str, size: int, batch_size: int, turns: int, threads: int) -> Measured:
    """Take the timing in this process, then steps of all groups in turn."""
    prepare_torch(threads)
    config = make_multitask_config({"model": model, "size": size, "batch_size": batch_size})
    network = architecture(model)

    def clock() -> float:
        return time.process_time() / threads

    host = time_host(network, config, calibrate(network, config, clock=clock), clock)
    groups = list(dict.fromkeys([*TASKS, *(g for own in METHODS.values() for g in own)]))
    steps = {g: random_step(build_for(network, g, config, PLAIN), config) for g in groups}
    for step in steps.values():
        step()
    times = [{g: _seconds(step, clock) for g, step in steps.items()} for _ in range(turns)]
    fastest = {g: min(turn[g] for turn in times) for g in groups}
    alone = sum(fastest[task] for task in TASKS)
    return Measured(host, {m: sum(fastest[g] for g in own) / alone for m, own in METHODS.items()})


def _seconds(step: Callable[[], None], clock: Callable[[], float]) -> float:
    start_s = clock()
    step()
    return clock() - start_s


def measured_on(isa: str, threads: int, shape: tuple[str, int, int, int]) -> Measured:
    """Return what a process says that is confined to instructions and threads."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.modelled", *map(str, shape), str(threads)],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": isa, "OMP_NUM_THREADS": str(threads)},
    )  # fmt: skip
    found = json.loads(done.stdout)
    return Measured(HostTiming(**found["host"]), found["ratios"])


def rows_of(shape: tuple[str, int, int, int]) -> Iterator[str]:
    """Yield the rows of one network and size: every host modelled from every other."""
    hosts = {
        host: measured_on(*host, shape)
        for host in (*UNLIKE, *EMULATED)
        if host[1] <= usable_cores()
    }
    name = f"{shape[0]} {shape[1]} px"
    for host, found in hosts.items():
        for sources in (UNLIKE, EMULATED):
            others = [other for other in sources if other in hosts and other != host]
            if not others:
                continue
            ratios = [
                found.modelled_from(hosts[other].host)[method] / found.ratios[method]
                for other in others
                for method in METHODS
            ]
            goal = RATIO_FACTOR if host in EMULATED or sources is EMULATED else GOAL
            yield row(
                name, _names([host]), _names(others), f"{found.ratios['all-in-one']:.3f}",
                *spread(ratios), f"{1 / goal:.2f} to {goal:.2f}",
            )  # fmt: skip


def _names(hosts: Sequence[tuple[str, int]]) -> str:
    return "; ".join(f"{isa} × {threads}" for isa, threads in hosts)


def report() -> Iterator[str]:
    """Yield the table."""
    begun_s = time.monotonic()
    yield from head("network", "modelled host", "timed hosts", "all-in-one / independent, measured",
                    "modelled/measured min", "median", "max", "goal")  # fmt: skip
    for shape in SHAPES:
        yield from rows_of(shape)
    yield ""
    yield f"{time.monotonic() - begun_s:.0f} s; torch {torch.__version__}"


def main(model: str, size: str, batch_size: str, turns: str, threads: str) -> None:
    """Print what this process measures, as JSON."""
    found = measure(model, int(size), int(batch_size), int(turns), int(threads))
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main(*sys.argv[1:])
