"""Weigh a fleet's server: seconds and memory of a round by the number of nodes that take part.

The nodes are light: one process answers for all of them, over a socket each, without training. The
model is that of the default run. Memory is what the server needs above what it needs for one node;
the aggregation streams, so it should hardly grow.
"""

from __future__ import annotations

import itertools
import json
import math
import queue
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

from harness.federated.job import Checkpoint
from harness.federated.server import FederatedAverage
from harness.federated.trainers import RoundRequest
from harness.fleet.fleet import Fleet
from harness.fleet.settings import FleetSettings
from harness.fleet.transport import Arrival
from harness.fleet.wire import Frame, connect, receive_frame, send_frame
from harness.measurement.phases import PhaseLog
from harness.measurement.recorder import CellRecorder
from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.federation import on_processor
from harness.workloads.multitask.training.client import LocalTraining, RoundSettings
from models.multitask.network import build
from models.multitask.registry import architecture
from tests.benchmarks.table import head, row

COUNTS = (1, 10, 25, 50, 100, 200)
ROUNDS = 3


class Sockets:
    """Carry frames to sockets, eight at a time."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder = folder
        self._count = count
        self._tickets = itertools.count(1)
        self._asked: queue.Queue[tuple[int, int, Frame]] = queue.Queue()
        self._arrivals: queue.Queue[Arrival] = queue.Queue(8)
        for _ in range(8):
            threading.Thread(target=self._carry, daemon=True).start()

    def nodes(self) -> set[int]:
        return set(range(self._count))

    def send(self, node: int, frame: Frame, keep_s: float) -> int:
        ticket = next(self._tickets)
        self._asked.put((ticket, node, frame))
        return ticket

    def _carry(self) -> None:
        while True:
            ticket, node, frame = self._asked.get()
            with connect(str(self._folder / f"{node}.sock"), 60.0) as link:
                send_frame(link, frame)
                self._arrivals.put(Arrival(ticket, node, receive_frame(link)))

    def arrivals(self, wait_s: float) -> list[Arrival]:
        try:
            return [self._arrivals.get(timeout=wait_s)]
        except queue.Empty:
            return []


class Silent:
    """Show nothing."""

    def fleet_note(self, text: str) -> None:
        pass

    def fleet_state(self, rows: Any) -> None:
        pass


@contextmanager
def light_nodes(count: int) -> Iterator[Path]:
    """Start a process that answers for nodes."""
    with TemporaryDirectory(prefix="light-") as folder:
        words = [sys.executable, "-m", "tests.benchmarks.light_nodes", folder, str(count), "data"]
        process = subprocess.Popen(words, stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield Path(folder)
        finally:
            process.kill()
            process.wait()


def measure(count: int) -> dict[str, float]:
    """Return seconds of a round and peak memory of this process, for a number of nodes."""
    config = MultitaskConfig()
    net = build(architecture(config.model), config.tasks, 0)
    weights = Checkpoint({name: tensor.clone() for name, tensor in net.state_dict().items()})
    work = SimpleNamespace(expected=lambda _: on_processor(net))
    plan = FleetSettings({}, count, "data", {}, deadline_s=120.0, join_s=60.0)
    seconds = []
    with light_nodes(count) as folder:
        fleet = Fleet(Sockets(folder, count), plan, Silent())
        fleet.gather()
        recorder = CellRecorder("bench", PhaseLog(), lambda _: None)
        trainers = fleet.begin(recorder, [], time.monotonic())
        for index in range(ROUNDS):
            settings = RoundSettings(LocalTraining(1, 8), 0.1, False)
            request = RoundRequest("job", tuple(config.tasks), index, range(count), 0, settings)
            began_s, average, used = time.perf_counter(), FederatedAverage(float(count)), 0
            for update in trainers.train(work, weights, request):
                average.add(update.tensors, 1.0)
                used += 1
            average.result()
            fleet.note()
            seconds.append(time.perf_counter() - began_s)
            assert used == count
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"round_s": median(seconds), "peak_bytes": peak, "model_bytes": weights.bytes}


def alone(count: int) -> dict[str, float]:
    """Measure in a process of its own, so that its peak of memory is its own."""
    words = [sys.executable, "-m", "tests.benchmarks.fleet", str(count)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def report() -> list[str]:
    """Return the table and how time and memory grow."""
    found = {count: alone(count) for count in COUNTS}
    first = found[COUNTS[0]]
    rows = [
        row(
            str(count),
            f"{1e3 * f['round_s']:.0f}",
            f"{1e3 * f['round_s'] / count:.1f}",
            f"{f['peak_bytes'] / 1e6:.0f}",
            f"{(f['peak_bytes'] - first['peak_bytes']) / f['model_bytes']:.1f}",
        )
        for count, f in found.items()
    ]
    many = [count for count in COUNTS if count >= 10]
    slope = math.log(found[many[-1]]["round_s"] / found[many[0]]["round_s"])
    slope /= math.log(many[-1] / many[0])
    return [
        *head("nodes", "round ms", "ms a node", "peak MB", "models above one node"),
        *rows,
        "",
        f"From {many[0]} to {many[-1]} nodes time grows as n^{slope:.2f} (1 is linear); the model"
        f" has {first['model_bytes'] / 1e6:.1f} MB.",
    ]


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
