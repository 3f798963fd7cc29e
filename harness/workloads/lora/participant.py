"""Hold model and rows of a run on a device of a fleet, and train its clients there."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from harness.core.errors import HarnessError, StepRefusedError
from harness.federated.job import Checkpoint
from harness.federated.observer import Observer, SilentObserver
from harness.federated.trainers import RoundRequest, Update
from harness.measurement.cost import DeviceModel
from harness.measurement.memory import memory_errors
from harness.records.step_checks import StepCheck
from harness.running.target import Target
from harness.workloads.lora import timing
from harness.workloads.lora.base.opening import open_corpus, open_model
from harness.workloads.lora.config import LoraConfig
from harness.workloads.lora.federation import (
    ClientSettings,
    FineTuningEngine,
    FineTuningSetting,
    FineTuningTask,
    fine_tune,
)
from harness.workloads.lora.job import FineTuning
from harness.workloads.lora.memory import forecast
from harness.workloads.lora.precision_check import bf16_figures
from harness.workloads.lora.rules import FederatedRule
from harness.workloads.lora.study import local_training
from harness.workloads.lora.training import LocalTraining


@dataclass(frozen=True)
class LoraClientWork:
    """Train the client of one request; what it needs of the state comes with the request."""

    setting: FineTuningSetting
    rule: FederatedRule
    observer: Observer

    def received(self, client: int) -> Mapping[str, Tensor]:
        """Return tensors like those that a client is sent."""
        return self.rule.received(client)

    def train(
        self, weights: Checkpoint, request: RoundRequest, client: int, order: np.random.Generator
    ) -> Update:
        """Let the client train."""
        return fine_tune(self.setting, self.rule, weights, request, client, order, self.observer)


@dataclass(frozen=True)
class LoraParticipant:
    """Implement `harness.workloads.on_devices.Participant` and `ChecksSteps`."""

    config: LoraConfig
    target: Target
    setting: FineTuningSetting
    checksum: str
    checks: dict[str, StepCheck] = field(default_factory=dict)
    """By precision."""

    @property
    def clients(self) -> int:
        """Return how many clients the data have."""
        return len(self.setting.corpus.clients)

    def samples(self, client: int) -> int:
        """Return the training rows of a client."""
        return self.setting.corpus.weight(client)

    def device_model(self) -> DeviceModel | None:
        """Return the time model of a device that is not the host; None if it is."""
        if self.target.matches:
            return None
        found = timing.take(
            self.setting.model, self.setting.corpus, self.setting.training,
            max(self.setting.ranks),
        )  # fmt: skip
        return timing.device_model(self.target, found)

    def warm_up(self) -> None:
        """Pay torch's first uses of everything here."""
        one = replace(self.setting, training=replace(self.setting.training, steps=1), per_round=1)
        with contextlib.suppress(HarnessError):  # a run that cannot train says so in its round 1
            FineTuningEngine(FineTuningTask(one), 0, SilentObserver()).run(
                FineTuning("zeropad", 1, 1e-4)
            )

    @property
    def step_checks(self) -> Sequence[StepCheck]:
        """Return what came of comparing precisions with fp32 on this device so far."""
        return tuple(self.checks.values())

    def check_steps(self, clients: Sequence[int], request: RoundRequest | None = None) -> None:
        """Compare bf16 products with fp32 here before they train, on rows of these clients.

        Raises:
            StepRefusedError: if they compute something else on this processor.
            MemoryExceededError: if they cannot be compared for want of memory.
        """
        training = self.setting.training if request is None else request.settings.training
        if training.precision == "fp32":
            return
        check = self.checks.get(training.precision)
        if check is None:
            check = self.checks[training.precision] = self._compared(training, clients)
        if check.fault:
            raise StepRefusedError(
                check.words,
                "Train with --precision fp32, without this device, or with another PyTorch on it.",
            )

    def _compared(self, training: LocalTraining, clients: Sequence[int]) -> StepCheck:
        rank = max(self.setting.ranks[client] for client in clients)
        with memory_errors():
            found = bf16_figures(self.setting.model, self.setting.corpus, training, rank, clients)
        return StepCheck.of(
            found, execution=training.precision, network="adapters",
            torch=str(torch.__version__), accelerator="the processor",
        )  # fmt: skip

    def work(self, request: RoundRequest, observer: Observer) -> LoraClientWork:
        """Return what trains the client of a request."""
        settings: ClientSettings = request.settings
        rule = self.setting.rule(settings.method, request.seed)
        return LoraClientWork(self.setting, rule, observer)


def participant(config: LoraConfig, target: Target) -> LoraParticipant:
    """Open model and rows of a run on a device.

    Raises:
        HarnessError: if they cannot be opened, or do not fit the device.
    """
    ranks = forecast(config, target).ranks
    opened = open_model(config)
    corpus = open_corpus(config, opened)
    precision = "fp32" if config.precision == "auto" else config.precision
    setting = FineTuningSetting(
        opened.model, corpus, ranks, config.scale, config.per_round,
        local_training(config, precision), config.evaluate_every, remote=True,
    )  # fmt: skip
    return LoraParticipant(config, target, setting, corpus.checksum)
