"""Hold model and rows of a run on a device of a fleet, and train its clients there."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from harness.core.errors import HarnessError
from harness.federated.job import Checkpoint
from harness.federated.observer import Observer, SilentObserver
from harness.federated.trainers import RoundRequest, Update
from harness.measurement.cost import DeviceModel
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
from harness.workloads.lora.rules import FederatedRule
from harness.workloads.lora.study import local_training


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
    """Implement `harness.workloads.base.Participant`."""

    config: LoraConfig
    target: Target
    setting: FineTuningSetting
    checksum: str

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
