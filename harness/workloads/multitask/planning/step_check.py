"""Refuse a way of executing steps that computes something else than plain fp32.

Calibration goes by speed, on random images. Before its choice holds for a run, the gradient of one
real batch is compared with that of plain fp32, once for the merged model and once for a single
task, by whoever trains: this process, or the board's own Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any, Protocol

import torch

from harness.core.errors import StepRefusedError
from harness.records.step_checks import StepCheck
from harness.running.accelerator import torch_device
from harness.workloads.multitask.config import AUTO, MultitaskConfig
from harness.workloads.multitask.planning.step_choice import StepChoice, refusal
from harness.workloads.multitask.settings import federation, task_loss
from harness.workloads.multitask.training.batches import Source
from harness.workloads.multitask.training.client import RoundSettings
from harness.workloads.multitask.training.step_trial import (
    Material,
    Run,
    StepTrials,
    as_executed,
)
from harness.workloads.on_board import ComparesSteps
from models.execution import PLAIN, Execution, parse_execution
from models.multitask.network import Architecture


class ChecksWays(Protocol):
    """Compare ways with plain fp32 where training is done."""

    def examine(self, execution: Execution) -> Mapping[str, StepCheck]:
        """Return by kind of step (`merged`, `single`) what came of comparing a way."""
        ...


def kinds_of_steps(tasks: str) -> dict[str, str]:
    """Return the tasks of the merged model and of a single one, by the kind of their steps."""
    merged = {"merged": tasks} if len(tasks) > 1 else {}
    return {**merged, "single": tasks[0]}


class Examiner:
    """Compare ways with plain fp32 in this process, on real images of all clients."""

    def __init__(
        self, config: MultitaskConfig, network: Architecture, source: Source, run: Run = as_executed
    ) -> None:
        self._tasks = config.tasks
        clients = range(source.count("train"))
        loss, device = task_loss(config, source), torch_device(config.kind_here)
        self.trials = StepTrials(
            Material(network, source, clients, loss, device, run), round_settings(config, PLAIN)
        )

    def examine(self, execution: Execution) -> dict[str, StepCheck]:
        """Return by kind of step (`merged`, `single`) what came of comparing a way."""
        return {
            kind: self.trials.check(execution, tasks)
            for kind, tasks in kinds_of_steps(self._tasks).items()
        }


class BoardExaminer:
    """Let the board's own Python compare ways, on the images of one client."""

    def __init__(self, config: MultitaskConfig, board: ComparesSteps) -> None:
        self._config = config
        self._board = board

    def examine(self, execution: Execution) -> dict[str, StepCheck]:
        """Return by kind of step (`merged`, `single`) what came of comparing a way."""
        settings = round_settings(self._config, execution)
        return {
            kind: self._board.compare(0, tasks, settings)
            for kind, tasks in kinds_of_steps(self._config.tasks).items()
        }


def round_settings(config: MultitaskConfig, execution: Execution) -> RoundSettings:
    """Return how clients of a run's rounds train that measure nothing."""
    settings = federation(config, execution)
    return RoundSettings(settings.training, settings.learning_rate, measuring=False)


def checked(step: StepChoice, examiner: ChecksWays) -> StepChoice:
    """Return the choice if it computes what plain fp32 does, else the fastest one that does.

    Steps that are plain already are left as they are, unexamined.

    Raises:
        StepRefusedError: if a way that was asked for by name does not.
    """
    if step.plain:
        return step
    found: list[Mapping[str, Any]] = []
    release = ""
    with threads(step.threads):
        for execution in _in_order(step):
            release, way = _examined(examiner, execution)
            found.append(way)
            if not way["fault"]:
                return _taken(step, execution, release, found)
    if step.asked != AUTO:
        raise StepRefusedError(
            f"--step {step.asked}: under PyTorch {release} it {refusal(found[0])}"
            f" ({found[0]['fault']})",
            "Use --step plain or --step auto, or another release of PyTorch.",
        )
    return _taken(step, PLAIN, release, found)


def _examined(examiner: ChecksWays, execution: Execution) -> tuple[str, dict[str, Any]]:
    """Return the release of PyTorch that was asked, and what was found of a way.

    Its fault in words is empty if there is none.
    """
    kinds = examiner.examine(execution)
    release = next(iter(kinds.values())).torch
    faults = [f"{kind} step: {one.fault}" for kind, one in kinds.items() if one.fault]
    agreed = {kind: _figures(one) for kind, one in kinds.items() if one.compared}
    way = {"execution": execution.text, "fault": "; ".join(faults), "agreement": agreed}
    return release, way


def _figures(check: StepCheck) -> dict[str, Any]:
    """Return the figures of a check without what stands beside them in the manifest anyway."""
    beside = ("execution", "network", "torch", "accelerator")
    return {name: value for name, value in asdict(check).items() if name not in beside}


def _in_order(step: StepChoice) -> list[Execution]:
    """Return the choice, then what else was clearly faster than plain, the fastest first."""
    others = sorted(
        (one for one in step.calibrated.get("candidates", ()) if one.get("clear")),
        key=lambda one: -float(one["smaller_gain"]),
    )
    found = [step.execution, *(parse_execution(str(one["execution"])) for one in others)]
    return [way for way in dict.fromkeys(found) if way != PLAIN]


def _taken(
    step: StepChoice, execution: Execution, release: str, found: list[Mapping[str, Any]]
) -> StepChoice:
    """Return the choice of a way, with what was found of all that were looked at.

    Fewer threads were found for the first way alone: another one takes all.
    """
    told = {"torch": release, "ways": found}
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
