"""Train a client's copy of the model on its own images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from harness.federated.observer import Observer
from harness.workloads.multitask.affinity.matrix import (
    ClientAffinity,
    Epoch,
    Matrix,
    client_mean,
)
from harness.workloads.multitask.affinity.measure import LookAhead, velocity_of
from harness.workloads.multitask.affinity.rule import AffinityRule
from harness.workloads.multitask.protocol import REPAIRED, Protocol
from harness.workloads.multitask.training.batches import Batch, ClientBatches
from harness.workloads.multitask.training.joining import Joining
from harness.workloads.multitask.training.local_rule import LocalRule
from harness.workloads.multitask.training.looking import Looking
from harness.workloads.multitask.training.losses_seen import mean_losses
from harness.workloads.multitask.training.steps import LOOK_AHEAD, launched_singly, training_step
from harness.workloads.multitask.work import training
from models.execution import PLAIN, Execution
from models.multitask.captured import CapturedStep, captured_step
from models.multitask.network import MultiTaskNet
from models.multitask.optimizer import descent
from models.products import products

BUFFER = "momentum_buffer"
"""What torch's SGD calls the velocity of a parameter."""


@dataclass(frozen=True)
class LocalTraining:
    """Fix how a client trains: SGD as in the MAS paper, a fresh optimizer every round.

    `rule` replaces plain descent on the summed loss, `affinity` says how affinity is measured; jobs
    that ask for either set them. `execution` is how the steps are carried out; `joining` says what
    a server needs beside the model.
    """

    epochs: int
    batch_size: int
    momentum: float = 0.9
    weight_decay: float = 1e-4
    look_ahead_every: int = 10
    rule: LocalRule | None = None
    affinity: AffinityRule = field(default_factory=AffinityRule)
    nesterov: bool = False
    protocol: Protocol = REPAIRED
    execution: Execution = PLAIN
    joining: Joining | None = None

    @property
    def period(self) -> int:
        """Return the number of batches from one look-ahead to the next."""
        return self.look_ahead_every if self.affinity.every is None else self.affinity.every

    def look_ahead(self, learning_rate: float) -> LookAhead:
        """Return the step that look-aheads try at a learning rate."""
        return LookAhead(
            learning_rate,
            self.weight_decay,
            self.momentum if self.affinity.momentum else 0.0,
            self.affinity.mode,
            self.protocol.looks_move_statistics,
        )


@dataclass(frozen=True)
class RoundSettings:
    """Say how the clients of one round train, at which rate, and whether they measure affinity.

    The client in `checking` takes its linear look-aheads exactly as well.
    """

    training: LocalTraining
    learning_rate: float
    measuring: bool
    checking: int | None = None


@dataclass(frozen=True)
class Guidance:
    """Hold what a server sends beside the model, by name of the parameter.

    A `correction` is added to the gradients of every step. Velocities in `moving` are what the
    optimizer begins with, and are replaced by those that it ends with, on the processor; without
    them it begins at rest.
    """

    correction: Mapping[str, Tensor] = field(default_factory=dict)
    moving: MutableMapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class ClientResult:
    """Report one client's round: mean loss per task, affinity if it was measured, and steps."""

    losses: dict[str, float]
    affinity: ClientAffinity | None
    steps: int = 0


def train_client(
    net: MultiTaskNet,
    batches: ClientBatches,
    settings: RoundSettings,
    order: np.random.Generator,
    observer: Observer,
    measured_as: int | None = None,
    guidance: Guidance | None = None,
) -> ClientResult:
    """Train the network in place for the local epochs and report what was seen.

    `guidance` is what the server sent beside the model. With the
    client's number in `measured_as`, affinity is measured on every `period`-th batch of an epoch,
    from the first on. The training step is the same with and without, to the last bit, but with
    `proximal`, which takes it in parts.
    """
    if not net.training:  # visiting every layer takes as long as copying the weights in
        net.train()
    training, rate = settings.training, settings.learning_rate
    guided = guidance or Guidance()
    checks = training.affinity.mode == "linear" and settings.checking == measured_as
    client = _Client(net, settings, order, observer, guided, checks=checks)
    passed: list[tuple[int, dict[str, Tensor]]] = []
    epochs: list[Epoch] = []
    for _ in range(training.epochs):
        looks: list[Matrix] = []
        count = 0
        for count, batch in enumerate(_epoch(batches, training, order), 1):
            measuring = measured_as is not None and (count - 1) % training.period == 0
            losses = client.measure(batch, looks) if measuring else client.train(batch)
            passed.append((len(batch[0]), losses))  # a number now would wait for a GPU
        epochs.append(Epoch(looks, count))
    found = None
    if measured_as is not None:
        mean = client_mean(epochs, training.period, rate, training.protocol)
        looks = [look for epoch in epochs for look in epoch.looks]
        found = ClientAffinity(measured_as, mean, len(looks), client.looking.checked(looks))
    if guided.moving:
        guided.moving.update(client.velocities())
    steps = sum(epoch.batches for epoch in epochs)
    return ClientResult(mean_losses(net.tasks, passed), found, steps)


class _Client:
    """Train on batches with one optimizer, measuring on some of them."""

    def __init__(
        self,
        net: MultiTaskNet,
        settings: RoundSettings,
        order: np.random.Generator,
        observer: Observer,
        guidance: Guidance,
        *,
        checks: bool,
    ) -> None:
        training, rate = settings.training, settings.learning_rate
        self._net = net
        correction = guidance.correction
        own = dict(net.named_parameters()) if correction else {}
        self._corrections = [(own[n], tensor.to(net.device)) for n, tensor in correction.items()]
        self._tasks = "".join(net.tasks)
        self._settings = training
        self._observer = observer
        self.looking = Looking(
            net, training, training.look_ahead(rate), order, observer, checks=checks
        )
        self._step = training_step(net, training.rule, order)
        self._stepped: Callable[[], None] | None = getattr(self._step, "stepped", None)
        sgd = {
            "momentum": training.momentum, "weight_decay": training.weight_decay,
            "nesterov": training.nesterov,
        }  # fmt: skip
        self._captured: CapturedStep | None = None
        self._graphs = training.execution.launch == "graph"
        guided = bool(guidance.correction or guidance.moving)
        self._singly = launched_singly(training.rule, guided=guided)
        if self._graphs and not self._singly:
            self._captured = captured_step(net, sgd)
            self._captured.begin(rate)
            self._optimizer = self._captured.optimizer
        else:
            self._optimizer = descent(net, training.execution, lr=rate, **sgd)

        self._begin_with(guidance.moving)

    def _begin_with(self, moving: Mapping[str, Tensor]) -> None:
        """Give the optimizer copies of velocities to begin with."""
        if moving:
            for name, parameter in self._net.named_parameters():
                buffer = torch.empty_like(parameter).copy_(moving[name])
                self._optimizer.state[parameter][BUFFER] = buffer

    def velocities(self) -> dict[str, Tensor]:
        """Return the velocity of every parameter, on the processor."""
        state = self._optimizer.state
        return {n: state[p][BUFFER].cpu() for n, p in self._net.named_parameters()}

    def train(self, batch: Batch) -> dict[str, Tensor]:
        """Take one training step; return each task's loss."""
        if self._captured is not None:
            replayed = dict(self._captured(*batch))
            self._count(len(batch[0]), self._captured.launch)
            return replayed
        with products(self._settings.execution):
            self._optimizer.zero_grad(set_to_none=True)
            losses = self._step(*batch)
            self._finish(len(batch[0]), self._singly)
        return losses

    def measure(self, batch: Batch, looks: list[Matrix]) -> dict[str, Tensor]:
        """Take one training step and append its look-ahead."""
        self._optimizer.zero_grad(set_to_none=True)
        losses = self.looking.look(batch, velocity_of(self._net, self._optimizer), looks)
        if losses is None:
            return self.train(batch)
        self._finish(len(batch[0]), LOOK_AHEAD)
        return losses

    def _finish(self, images: int, why: str) -> None:
        for parameter, tensor in self._corrections:
            if parameter.grad is not None:
                parameter.grad.add_(tensor)
        self._optimizer.step()
        if self._stepped is not None:
            self._stepped()
        self._count(images, why)

    def _count(self, images: int, launch: str) -> None:
        """Count a step, and where graphs are asked for how it was launched."""
        if self._graphs:
            self._net.launches[launch] += 1
        self._observer.work(training(self._tasks, images, self._settings.rule))


def _epoch(
    batches: ClientBatches, settings: LocalTraining, order: np.random.Generator
) -> Iterator[Batch]:
    protocol = settings.protocol
    return batches.epoch(
        settings.batch_size,
        order,
        rest=protocol.trains_on_rest,
        augment="flip" if protocol.mirrors_images else "none",
    )
