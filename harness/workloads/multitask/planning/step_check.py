"""Refuse a way of executing steps that computes something else than plain fp32.

Calibration goes by speed, on random images. Before its choice holds for a run, the gradient of one
real batch is compared with that of plain fp32, once for the merged model and once for a single
task. The weights are those of a short plain training on the run's own images: at the first weights
of a network the gradients of its encoder nearly cancel, so that correct kernels, too, turn them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.core.errors import DataError, UsageError
from harness.workloads.multitask.config import AUTO, MultitaskConfig
from harness.workloads.multitask.planning.step_choice import StepChoice
from harness.workloads.multitask.settings import federation, task_loss
from harness.workloads.multitask.training.batches import Batch, ClientBatches, Source
from models.agreement import Agreement, Passes, agreement, passes_of
from models.execution import PLAIN, Execution, parse_execution
from models.multitask.captured import CapturedStep, CudaGraphs
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
class Trial:
    """Hold what ways are compared on: the network of some tasks, weights, a batch, its passes."""

    tasks: str
    weights: Mapping[str, Tensor]
    batch: Batch
    plain: Passes


class Examiner:
    """Compare ways with plain fp32 on one network and real images; plain is computed once."""

    def __init__(
        self, config: MultitaskConfig, network: Architecture, source: Source, run: Run = as_executed
    ) -> None:
        self._config = config
        self._network = network
        self._source = source
        self._run = run
        self._trials: dict[str, Trial] = {}

    def examine(self, execution: Execution) -> dict[str, Agreement]:
        """Return by kind of step (`merged`, `single`) how far a way agrees.

        Raises:
            ValueError: if plain fp32 itself gives no finite figures on these data.
            DataError: if the data cannot be read.
        """
        kinds = {"merged": self._config.tasks} if len(self._config.tasks) > 1 else {}
        return {
            kind: self._examined(execution, tasks)
            for kind, tasks in {**kinds, "single": self._config.tasks[0]}.items()
        }

    def _examined(self, execution: Execution, tasks: str) -> Agreement:
        trial = self._trials.get(tasks) or self._trials.setdefault(tasks, self._trial(tasks))
        net = self._net(tasks, execution)
        net.load_state_dict(trial.weights)
        other = passes_of(dict(net.named_parameters()), self._run(net, trial.batch))
        return agreement(trial.plain, other, reduced=execution.reduced)

    def _trial(self, tasks: str) -> Trial:
        """Train a little, slower if the loss does not fall, and take the passes of one batch."""
        batch, *others = self._batches(tasks)
        for share in (*SLOWER, 0.0):
            net = self._net(tasks, PLAIN)
            begun = sum(float(loss) for loss in accumulate_gradients(net, *batch).values())
            net.zero_grad(set_to_none=True)
            if share:
                self._train(net, others, share * self._config.learning_rate)
            weights = {name: value.clone() for name, value in net.state_dict().items()}
            plain = passes_of(dict(net.named_parameters()), accumulate_gradients(net, *batch))
            if not share or (plain.finite and sum(plain.losses.values()) <= begun):
                break
        return Trial(tasks, weights, batch, plain)

    def _train(self, net: MultiTaskNet, batches: list[Batch], rate: float) -> None:
        optimizer = descent(
            net, PLAIN, lr=rate, momentum=self._config.momentum,
            weight_decay=self._config.weight_decay,
        )  # fmt: skip
        for batch in batches:
            accumulate_gradients(net, *batch)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def _batches(self, tasks: str) -> list[Batch]:
        """Return one batch more than there are steps, always the same ones."""
        found: list[Batch] = []
        order = np.random.default_rng(0)
        device = federation(self._config).device
        while len(found) <= STEPS:
            for client in range(self._source.count("train")):
                batches = ClientBatches(self._source, "train", client, tasks, device)
                found += list(batches.epoch(self._config.batch_size, order))
                if len(found) > STEPS:
                    break
        return found[: STEPS + 1]

    def _net(self, tasks: str, execution: Execution) -> MultiTaskNet:
        loss = task_loss(self._config, self._source)
        net = build(self._network, tasks, 0, loss).to(federation(self._config).device)
        return net.execute_as(execution).train()


def checked(step: StepChoice, examiner: Examiner) -> StepChoice:
    """Return the choice if it computes what plain fp32 does, else the fastest one that does.

    Steps that are plain already are left as they are, unexamined.

    Raises:
        UsageError: if a way that was asked for by name does not.
    """
    if step.plain:
        return step
    found: list[Mapping[str, Any]] = []
    with threads(step.threads):
        for execution in _in_order(step):
            fault, agreed = _examined(examiner, execution)
            found.append({"execution": execution.text, "fault": fault, "agreement": agreed})
            if not fault:
                return _taken(step, execution, found)
    if step.asked != AUTO:
        raise UsageError(
            f"--step {step.asked}: under PyTorch {torch.__version__} it computes something else"
            f" here than plain fp32 does ({found[0]['fault']})",
            "Use --step plain or --step auto, or another release of PyTorch.",
        )
    return _taken(step, PLAIN, found)


def _examined(examiner: Examiner, execution: Execution) -> tuple[str, dict[str, Any]]:
    """Return the fault of a way in words, empty if there is none, and what was found."""
    try:
        kinds = examiner.examine(execution)
    except (DataError, RuntimeError, ValueError) as error:
        return (str(error).splitlines() or ["it fails"])[0], {}
    faults = [f"{kind} step: {one.fault}" for kind, one in kinds.items() if one.fault]
    return "; ".join(faults), {kind: one.as_dict() for kind, one in kinds.items()}


def _in_order(step: StepChoice) -> list[Execution]:
    """Return the choice, then what else was clearly faster than plain, the fastest first."""
    others = sorted(
        (one for one in step.calibrated.get("candidates", ()) if one.get("clear")),
        key=lambda one: -float(one["smaller_gain"]),
    )
    found = [step.execution, *(parse_execution(str(one["execution"])) for one in others)]
    return [way for way in dict.fromkeys(found) if way != PLAIN]


def _taken(step: StepChoice, execution: Execution, found: list[Mapping[str, Any]]) -> StepChoice:
    """Return the choice of a way, with what was found of all that were looked at.

    Fewer threads were found for the first way alone: another one takes all.
    """
    told = {"torch": str(torch.__version__), "ways": found}
    if execution == step.execution:
        return replace(step, checked=told)
    candidates = {str(one["execution"]): one for one in step.calibrated.get("candidates", ())}
    own = candidates.get(execution.text, {})
    gain = 1.0 if execution == PLAIN else float(own.get("smaller_gain", 1.0))
    return replace(
        step, execution=execution, threads=int(own.get("threads", step.threads)), checked=told,
        calibrated={**step.calibrated, "gain": gain} if step.calibrated else {},
    )  # fmt: skip


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch compute on so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
