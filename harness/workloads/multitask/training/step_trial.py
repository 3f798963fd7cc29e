"""Compare a way of executing steps with plain fp32 on one real batch, wherever training is done.

The weights are those of a short plain training on the client's own images: at the first weights of
a network the gradients of its encoder nearly cancel, so that correct kernels, too, turn them. This
is also run by the board's own Python, so names that only younger ones have are not used here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from harness.core.errors import DataError, first_line
from harness.records.step_checks import StepCheck
from harness.workloads.multitask.training.batches import Batch, ClientBatches, Source
from harness.workloads.multitask.training.client import RoundSettings
from models.agreement import Agreement, Passes, agreement, passes_of
from models.execution import PLAIN, Execution
from models.multitask.captured import CapturedStep, CudaGraphs
from models.multitask.losses import TaskLoss
from models.multitask.network import Architecture, MultiTaskNet, build
from models.multitask.optimizer import descent
from models.multitask.step import accumulate_gradients
from models.products import products

STEPS = 10
"""Of plain training before the batch that is compared."""

SLOWER = (1.0, 0.1, 0.01)
"""Shares of the run's learning rate that are tried, until the loss falls."""

Run = Callable[[MultiTaskNet, Batch], Mapping[str, Tensor]]
"""Adds a batch's gradients to those of a network and returns its losses."""


def as_executed(net: MultiTaskNet, batch: Batch) -> Mapping[str, Tensor]:
    """Run forward and backward as a training step of this network does."""
    with products(net.execution):
        if net.execution.launch != "graph":
            return accumulate_gradients(net, *batch)
        captured = CapturedStep(net, partial(accumulate_gradients, net), {}, CudaGraphs())
        captured.begin(0.0)  # the gradients of these weights are asked for
        losses = captured(*batch)
        if captured.fault:
            raise RuntimeError(f"no graph of the step can be made: {captured.fault}")
        return losses


@dataclass(frozen=True)
class Material:
    """Hold what ways are compared with: network, images of some clients, loss, and where."""

    network: Architecture
    source: Source
    clients: Sequence[int]
    loss: TaskLoss
    device: torch.device
    run: Run = as_executed


@dataclass(frozen=True)
class Trial:
    """Hold what ways are compared on: the network of some tasks, weights, a batch, its passes."""

    tasks: str
    weights: Mapping[str, Tensor]
    batch: Batch
    plain: Passes


class StepTrials:
    """Compare ways with plain fp32 on one network; for each set of tasks plain is computed once."""

    def __init__(self, material: Material, settings: RoundSettings) -> None:
        self._material = material
        self._rate = settings.learning_rate
        self._training = settings.training
        self.held: dict[str, Trial] = {}
        """By tasks."""

    def agreement(self, execution: Execution, tasks: str) -> Agreement:
        """Return how far a way agrees with plain fp32 on the network of some tasks.

        Raises:
            ValueError: if plain fp32 itself gives no finite figures on these data, or this PyTorch
                has no such optimizer.
            RuntimeError: if it cannot be executed here.
            DataError: if the data cannot be read.
        """
        trial = self.held.get(tasks) or self.held.setdefault(tasks, self._trial(tasks))
        net = self._net(tasks, execution)
        net.load_state_dict(dict(trial.weights))
        self._descent(net, execution, self._rate)  # an old PyTorch may have no such optimizer
        other = passes_of(dict(net.named_parameters()), self._material.run(net, trial.batch))
        return agreement(trial.plain, other, reduced=execution.reduced)

    def check(self, execution: Execution, tasks: str, fault: str = "") -> StepCheck:
        """Return what came of comparing a way, in plain values; what fails is a fault.

        A fault that is known beforehand spares the comparing.
        """
        device = self._material.device
        where = "the processor" if device.type == "cpu" else torch.cuda.get_device_name(device)
        fault, found = fault or execution.barred(gpu=device.type != "cpu"), None
        if not fault:
            fault, found = examined(lambda: self.agreement(execution, tasks))
        told = {} if found is None else found.as_dict()
        return StepCheck.of(
            told, fault, execution=execution.text, network=tasks, torch=str(torch.__version__),
            accelerator=where,
        )  # fmt: skip

    def _trial(self, tasks: str) -> Trial:
        """Train a little, slower if the loss does not fall, and take the passes of one batch."""
        batch = next(self._batches(tasks))
        for share in (*SLOWER, 0.0):
            net = self._net(tasks, PLAIN)
            begun = sum(float(loss) for loss in accumulate_gradients(net, *batch).values())
            net.zero_grad(set_to_none=True)
            if share:
                self._train(net, tasks, share * self._rate)
            weights = {name: value.clone() for name, value in net.state_dict().items()}
            plain = passes_of(dict(net.named_parameters()), accumulate_gradients(net, *batch))
            if not share or (plain.finite and sum(plain.losses.values()) <= begun):
                break
        return Trial(tasks, weights, batch, plain)

    def _train(self, net: MultiTaskNet, tasks: str, rate: float) -> None:
        optimizer = self._descent(net, PLAIN, rate)
        for batch in islice(self._batches(tasks), 1, STEPS + 1):
            accumulate_gradients(net, *batch)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def _descent(
        self, net: MultiTaskNet, execution: Execution, rate: float
    ) -> torch.optim.Optimizer:
        return descent(
            net, execution, lr=rate, momentum=self._training.momentum,
            weight_decay=self._training.weight_decay,
        )  # fmt: skip

    def _batches(self, tasks: str) -> Iterator[Batch]:
        """Yield batches of the clients without end, always the same ones."""
        order = np.random.default_rng(0)
        material = self._material
        while True:
            for client in material.clients:
                batches = ClientBatches(material.source, "train", client, tasks, material.device)
                yield from batches.epoch(self._training.batch_size, order)

    def _net(self, tasks: str, execution: Execution) -> MultiTaskNet:
        material = self._material
        net = build(material.network, tasks, 0, material.loss).to(material.device)
        return net.execute_as(execution).train()


def examined(compare: Callable[[], Agreement]) -> tuple[str, Agreement | None]:
    """Return the fault of a way in words, empty if there is none, and how far it agrees.

    What cannot be executed at all agrees in nothing, and is told in its own words.
    """
    try:
        found = compare()
    except (DataError, RuntimeError, ValueError) as error:
        return first_line(error), None
    return found.fault, found
