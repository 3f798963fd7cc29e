"""Weigh the harness's own work: what a bare training loop needs over what the train phase takes.

One client after another is trained by the engine, as in a run and with a run's marks, and then by a
bare loop over the very same batches, read beforehand. The bare loop's time is that inside forward,
backward and optimizer alone; the phase's time holds all else too: loading the model, reading the
batches, making the optimizer, counting, marking.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from harness.federated.job import Checkpoint
from harness.federated.random_streams import random_stream
from harness.federated.task import JobWork
from harness.federated.trainers import LocalTrainers, RoundRequest, Trainers, Update
from harness.measurement.phases import PhaseLog
from harness.measurement.recorder import CellRecorder
from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.data.split import Split
from harness.workloads.multitask.federation import LocalEngine
from harness.workloads.multitask.job import Job
from harness.workloads.multitask.settings import federation, task_loss
from harness.workloads.multitask.training.batches import Batch, ClientBatches, Source
from models.execution import PLAIN
from models.multitask.network import build
from models.multitask.optimizer import descent
from models.multitask.registry import architecture
from models.multitask.step import accumulate_gradients
from tests.benchmarks.load import default_store, use_all_cores
from tests.benchmarks.table import head, row, spread

ROUNDS = 60
GOALS = {"default": 0.97, "one batch": 0.95}


class FirstRows(Mapping[str, NDArray[np.generic]]):
    """Show the first rows of arrays; like a store, it opens none before it is asked for."""

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], rows: int) -> None:
        self._arrays = arrays
        self._rows = rows

    def __getitem__(self, label: str) -> NDArray[np.generic]:
        return self._arrays[label][: self._rows]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


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
        return FirstRows(self._source.split(split, client), self._images)

    def length(self, split: Split, client: int) -> int:
        """Return how many images there are now."""
        return min(self._images, self._source.length(split, client))


class Beside:
    """Train clients as the engine does, and after each let a bare loop train on the same batches.

    Taking turns client by client, both see the same machine, whose speed drifts.
    """

    def __init__(
        self,
        config: MultitaskConfig,
        source: Source,
        log: PhaseLog,
        trainers: Trainers,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._config = config
        self._source = source
        self._log = log
        self._trainers = trainers
        self._net = build(architecture(config.model), config.tasks, 0, task_loss(config, source))
        self._net.to(federation(config).device).execute_as(PLAIN).train()
        self._start = {k: v.clone() for k, v in self._net.state_dict().items()}
        self.ratios: list[float] = []
        """Bare seconds over the phase's, one of each round."""

    def train(self, work: JobWork, weights: Checkpoint, request: RoundRequest) -> Iterator[Update]:
        """Yield the engine's updates and note the round's ratio."""
        bare_s = phase_s = 0.0
        for update in self._trainers.train(work, weights, request):
            last = self._log.segments[-1]
            assert (last.label.phase, last.label.client) == ("train", update.client)
            phase_s += last.time_s
            yield update
            order = random_stream(0, "order", request.round_index, update.client)
            batches = ClientBatches(
                self._source, "train", update.client, "".join(request.units), self._net.device
            )
            bare_s += self._bare_s(list(batches.epoch(self._config.batch_size, order)))
        self.ratios.append(bare_s / phase_s)

    def _bare_s(self, batches: list[Batch]) -> float:
        self._net.load_state_dict(self._start)
        optimizer = descent(self._net, PLAIN, lr=0.01, momentum=0.9, weight_decay=1e-4)
        passed_s = 0.0
        for images, targets in batches:
            start_s = self._clock()
            optimizer.zero_grad(set_to_none=True)
            accumulate_gradients(self._net, images, targets)
            optimizer.step()
            passed_s += self._clock() - start_s
        return passed_s


def efficiencies(
    config: MultitaskConfig, source: Source, clock: Callable[[], float] = time.monotonic
) -> list[float]:
    """Return the bare seconds over the train phase's of every round of one job but the first.

    The first pays for memory, caches and files. On a GPU the clock waits until it is done.
    """
    log = PhaseLog(clock)
    recorder = CellRecorder("bench", log, lambda _: None)
    beside = Beside(config, source, log, LocalTrainers(source, recorder), clock)
    settings = replace(federation(config, PLAIN), evaluate_every=10**6)
    network = architecture(config.model)
    LocalEngine(source, network, settings, 0, recorder, trainers=beside).run(
        Job(config.tasks, ROUNDS)
    )
    return beside.ratios[1:]


def report() -> list[str]:
    """Return the table: epochs as in the default run, and epochs of one batch."""
    threads = use_all_cores()
    torch.manual_seed(0)
    config = MultitaskConfig()
    store = default_store(config)
    sources: dict[str, Source] = {
        "default": store,
        "one batch": FirstImages(store, config.batch_size),
    }
    lines = [f"default network and data, {threads} threads, {ROUNDS} rounds, plain steps", ""]
    lines += head("efficiency", "min", "median", "max", "goal")
    for name, source in sources.items():
        for tasks in (config.tasks, config.tasks[0]):
            found = efficiencies(replace(config, tasks=tasks), source)
            lines.append(row(f"{name}, tasks {tasks}", *spread(found), f"≥ {GOALS[name]}"))
    return lines
