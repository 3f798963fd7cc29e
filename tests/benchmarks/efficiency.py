"""Weigh the harness's own work: what a bare training loop needs over what the train phase takes.

One client after another is trained by the engine, as in a run and with a run's marks, and then by a
bare loop over the very same batches, read beforehand. The bare loop's time is that inside forward,
backward and optimizer alone; the phase's time holds all else too: loading the model, reading the
batches, making the optimizer, counting, marking.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from harness.config import RunConfig
from harness.data.split import Split
from harness.federated.batches import Batch, ClientBatches, Source
from harness.federated.job import Job
from harness.federated.local import LocalEngine
from harness.federated.random_streams import random_stream
from harness.federated.rounds import Draw
from harness.running.phases import PhaseLog
from harness.running.recorder import CellRecorder
from harness.settings import federation, task_loss
from models.execution import PLAIN, Execution
from models.network import build
from models.optimizer import descent
from models.registry import architecture
from models.step import accumulate_gradients
from tests.benchmarks.load import default_store, use_all_cores
from tests.benchmarks.table import head, row, spread

ROUNDS = 9
GOALS = {"default": 0.97, "one batch": 0.95}


class FirstImages:
    """Show only the first training images of every client, so that an epoch is one batch."""

    def __init__(self, source: Source, images: int) -> None:
        self._source = source
        self._images = images
        self.normalisation = source.normalisation
        self.masked = source.masked
        self.depth_unit_m = source.depth_unit_m
        self.count = source.count

    def split(self, split: Split, client: int) -> Mapping[str, NDArray[np.generic]]:
        """Return the first rows of every array."""
        arrays = self._source.split(split, client)
        return {name: array[: self._images] for name, array in arrays.items()}

    def length(self, split: Split, client: int) -> int:
        """Return how many images there are now."""
        return min(self._images, self._source.length(split, client))


class Pair:
    """Train the clients of a round with the engine and with a bare loop."""

    def __init__(self, config: RunConfig, source: Source, execution: Execution) -> None:
        settings = replace(federation(config, execution), evaluate_every=10**6)
        self._config = config
        self._source = source
        self._execution = execution
        self._log = PhaseLog()
        recorder = CellRecorder("bench", self._log, lambda _: None)
        network = architecture(config.model)
        self._engine = LocalEngine(source, network, settings, 0, recorder)
        self._net = build(network, config.tasks, 0, task_loss(config, source))
        self._net.execute_as(execution).train()
        self._start = {k: v.clone() for k, v in self._net.state_dict().items()}

    def ratio(self, index: int) -> float:
        """Return the bare seconds over the phase's for one round; tests are no part of either."""
        before = len(self._log.segments)
        job = Job(self._config.tasks, 1, first_round=index, horizon=ROUNDS + 1)
        self._engine.run(job)
        segments = self._log.segments[before:]
        phase_s = sum(s.time_s for s in segments if s.label.phase == "train")
        draw = Draw(self._source.count("train"), self._config.clients_per_round, 0)
        bare_s = 0.0
        for client in draw.chosen(job, index):
            order = random_stream(0, "order", index, client)
            batches = ClientBatches(self._source, "train", client, self._config.tasks)
            bare_s += self._bare_s(list(batches.epoch(self._config.batch_size, order)))
        return bare_s / phase_s

    def _bare_s(self, batches: list[Batch]) -> float:
        self._net.load_state_dict(self._start)
        optimizer = descent(self._net, self._execution, lr=0.01, momentum=0.9, weight_decay=1e-4)
        passed_s = 0.0
        for images, targets in batches:
            start_s = time.perf_counter()
            optimizer.zero_grad(set_to_none=True)
            accumulate_gradients(self._net, images, targets)
            optimizer.step()
            passed_s += time.perf_counter() - start_s
        return passed_s


def report() -> list[str]:
    """Return the table: epochs as in the default run, and epochs of one batch."""
    threads = use_all_cores()
    torch.manual_seed(0)
    config = RunConfig()
    store = default_store(config)
    sources = {"default": store, "one batch": FirstImages(store, config.batch_size)}
    lines = [f"default network and data, {threads} threads, {ROUNDS} rounds, plain steps", ""]
    lines += head("efficiency", "min", "median", "max", "goal")
    for name, source in sources.items():
        for tasks in (config.tasks, config.tasks[0]):
            pair = Pair(replace(config, tasks=tasks), source, PLAIN)
            pair.ratio(0)  # the first round pays for memory and caches
            found = [pair.ratio(index) for index in range(1, ROUNDS)]
            lines.append(row(f"{name}, tasks {tasks}", *spread(found), f"≥ {GOALS[name]}"))
    return lines
