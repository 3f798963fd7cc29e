"""Hold the data of multi-task runs on a device of a fleet, and train its clients there."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from torch import Tensor

from harness.core.errors import HarnessError, StepRefusedError
from harness.federated.job import Checkpoint
from harness.federated.observer import Observer, SilentObserver
from harness.federated.trainers import RoundRequest, Update
from harness.measurement.cost import DeviceModel, GpuModel
from harness.measurement.memory import memory_errors
from harness.records.step_checks import StepCheck
from harness.running.accelerator import GPU, torch_device
from harness.running.target import Target
from harness.workloads.multitask.config import AUTO, MultitaskConfig
from harness.workloads.multitask.data.dataset import open_data
from harness.workloads.multitask.data.store import Store
from harness.workloads.multitask.federation import LocalEngine
from harness.workloads.multitask.job import Job
from harness.workloads.multitask.joiners import joiner
from harness.workloads.multitask.planning.data_way import DataWay, fill, source_brought
from harness.workloads.multitask.planning.device_fit import DeviceFit, fit_device
from harness.workloads.multitask.planning.modelling import device_model
from harness.workloads.multitask.planning.step_check import kinds_of_steps, round_settings
from harness.workloads.multitask.planning.step_timing import barred
from harness.workloads.multitask.settings import federation, task_loss
from harness.workloads.multitask.training.batches import Source
from harness.workloads.multitask.training.client import RoundSettings
from harness.workloads.multitask.training.copy import on_processor, train_copy
from harness.workloads.multitask.training.feeding import AHEAD, pinning_fault
from harness.workloads.multitask.training.joining import Joining
from harness.workloads.multitask.training.step_trial import (
    Material,
    Run,
    StepTrials,
    as_executed,
)
from harness.workloads.multitask.training.steps import carrying
from harness.workloads.on_devices import OwnWay, Silence
from models.execution import PLAIN, Execution, parse_execution
from models.multitask.captured import NO_GRAPH
from models.multitask.losses import named
from models.multitask.network import Architecture, MultiTaskNet, build
from models.multitask.registry import architecture
from models.multitask.weighting import carries


@dataclass(frozen=True)
class MultitaskClientWork:
    """Train clients of one request in a network that is used again for the next."""

    net: MultiTaskNet
    source: Source
    observer: Observer
    joining: Joining | None = None

    def received(self, client: int) -> Mapping[str, Tensor]:
        """Return tensors like those that a client gets."""
        parameters = [name for name, _ in self.net.named_parameters()]
        own = joiner(self.joining, parameters, self.source.count("train"))
        return own.sent(own.begin(on_processor(self.net)), client)

    def train(
        self, weights: Checkpoint, request: RoundRequest, client: int, order: np.random.Generator
    ) -> Update:
        """Train one client's copy of the model."""
        return train_copy(self.net, weights, self.source, request, client, order, self.observer)


@dataclass(frozen=True)
class MultitaskParticipant:
    """Implement `Participant`, `ChecksSteps`, `FitsMemory`, `CountsLaunches` of `on_devices`."""

    config: MultitaskConfig
    target: Target
    store: Store
    network: Architecture
    nets: dict[tuple[tuple[str, ...], str], MultiTaskNet] = field(default_factory=dict)
    run: Run = as_executed
    checks: dict[tuple[str, str, int], StepCheck] = field(default_factory=dict)
    """By tasks, way of executing steps, and batch size."""
    fitted: list[tuple[DeviceFit, Sequence[int]]] = field(default_factory=list)
    """What this device's memory decides, and whose data are here, once `fit` was asked."""

    @cached_property
    def source(self) -> Source:
        """Return the data as they come to what trains; to a GPU in the way that was settled."""
        if self.fitted:
            found, clients = self.fitted[-1]
            return source_brought(self.store, found.data, self.config, clients)
        gpu = self.target.accelerator.kind_here == GPU
        way = DataWay(AHEAD) if gpu and not pinning_fault() else None
        return source_brought(self.store, way, self.config)

    def fit(self, clients: Sequence[int], batch_size: int | None = None) -> OwnWay:
        """Try the batch here, and settle how data come to a GPU.

        Raises:
            MemoryExceededError: if the batch does not fit, with the one that would.
            StepRefusedError: if steps cannot be executed as the run asks.
            GpuLostError: if the GPU fails meanwhile.
        """
        config = self.config if batch_size is None else replace(self.config, batch_size=batch_size)
        execution = PLAIN if config.step == AUTO else parse_execution(config.step)
        found = fit_device(config, self.target, self.network, execution, self.store, clients)
        self.fitted.append((found, tuple(clients)))
        return OwnWay(found.as_dict(), found.words())

    @property
    def launches(self) -> Mapping[str, int]:
        """Return steps by how they were launched, where graphs are asked for."""
        return dict(sum((net.launches for net in self.nets.values()), Counter[str]()))

    @property
    def launch_faults(self) -> Sequence[str]:
        """Return why no graph of a step could be recorded; nothing where all is well."""
        return [how for how in self.launches if how.startswith(NO_GRAPH)]

    @property
    def checksum(self) -> str:
        """Return what tells these data from others."""
        return self.store.checksum

    @property
    def clients(self) -> int:
        """Return how many clients the data have."""
        return self.store.count("train")

    def samples(self, client: int) -> int:
        """Return the training images of a client."""
        return self.store.length("train", client)

    def device_model(self) -> DeviceModel | GpuModel | None:
        """Return the time model of a device that is not the host; None if it is."""
        return device_model(self.target, self.config, self.network)

    def warm_up(self) -> None:
        """Pay torch's first uses of everything here: they cost more than a round."""
        settings = replace(federation(self.config), clients_per_round=1)
        job = Job(self.config.tasks, 1, measure_affinity=True)
        fill(self.source, self.config.tasks)
        with contextlib.suppress(HarnessError):  # a run that cannot train says so in its round 1
            LocalEngine(self.source, self.network, settings, 0, SilentObserver()).run(job)

    @property
    def step_checks(self) -> Sequence[StepCheck]:
        """Return what came of comparing ways with plain fp32 on this device so far."""
        return tuple(self.checks.values())

    def check_steps(self, clients: Sequence[int], request: RoundRequest | None = None) -> None:
        """Compare a way with plain fp32 here before it trains, on images of these clients.

        A run begins with the way that its configuration names, of its merged and its single models;
        what methods split off is compared when it is first asked for.

        Raises:
            StepRefusedError: if it computes something else on this processor or GPU.
            MemoryExceededError: if it cannot be compared for want of memory.
        """
        if request is not None:
            self._check("".join(request.units), request.settings, clients)
            return
        execution = PLAIN if self.config.step == AUTO else parse_execution(self.config.step)
        settings = round_settings(self.config, execution)
        for tasks in kinds_of_steps(self.config.tasks).values():
            self._check(tasks, settings, clients)

    def _check(self, tasks: str, settings: RoundSettings, clients: Sequence[int]) -> None:
        execution, batch = settings.training.execution, settings.training.batch_size
        if execution == PLAIN:
            return
        key = tasks, execution.text, batch
        if key not in self.checks:
            self.checks[key] = self._compared(execution, tasks, settings, clients)
        if self.checks[key].fault:
            raise StepRefusedError(
                self.checks[key].words,
                "Train with --step plain, without this device, or with another PyTorch on it.",
            )

    def _compared(
        self, execution: Execution, tasks: str, settings: RoundSettings, clients: Sequence[int]
    ) -> StepCheck:
        kind = self.target.accelerator.kind_here
        material = Material(
            self.network, self.store, clients, task_loss(self.config, self.store),
            torch_device(kind), self.run,
        )  # fmt: skip
        fault = barred(execution, gpu=kind == GPU)
        with memory_errors():
            return StepTrials(material, settings).check(execution, tasks, fault)

    def work(self, request: RoundRequest, observer: Observer) -> MultitaskClientWork:
        """Return what trains clients; the network's weights are those of the last request."""
        units, training = tuple(request.units), request.settings.training
        key = units, str(training.rule) if carries(training.rule) else ""
        if key not in self.nets:
            loss = named(self.config.loss, masked=self.store.masked)
            net = build(self.network, "".join(units), 0, loss)
            net = carrying(net.to(torch_device(self.target.accelerator.kind_here)), training.rule)
            self.nets[key] = net.execute_as(training.execution)
        return MultitaskClientWork(self.nets[key], self.source, observer, training.joining)


def participant(config: MultitaskConfig, target: Target) -> MultitaskParticipant:
    """Open the data of a run on a device.

    Raises:
        DataError: if they cannot be made or are damaged.
    """
    store = open_data(config, Silence())
    return MultitaskParticipant(config, target, store, architecture(config.model))
