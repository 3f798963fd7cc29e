"""Turn how clients train into plain values, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from harness.federated.trainers import RoundRequest
from harness.workloads.lora.federation import ClientSettings
from harness.workloads.lora.methods import METHODS
from harness.workloads.lora.training import LocalTraining, Pruning


class LoraWire:
    """Implement `harness.workloads.base.WireCodec`."""

    @staticmethod
    def settings(settings: ClientSettings) -> dict[str, Any]:
        """Return how clients of a round train."""
        return {"method": settings.method, "training": asdict(settings.training)}

    @staticmethod
    def read_settings(plain: Mapping[str, Any]) -> ClientSettings:
        """Return what `settings` wrote.

        Raises:
            KeyError, TypeError, ValueError: if it is nothing of that kind.
        """
        told = dict(plain["training"])
        pruning = told.pop("pruning")
        training = LocalTraining(**told, pruning=None if pruning is None else Pruning(**pruning))
        method = str(plain["method"])
        _ = METHODS[method]
        return ClientSettings(method, training)

    @staticmethod
    def with_batch(settings: ClientSettings, batch_size: int) -> ClientSettings:
        """Return the settings with another batch size."""
        return replace(settings, training=replace(settings.training, batch_size=batch_size))

    @staticmethod
    def measured(found: object) -> None:  # noqa: ARG004
        """Return nothing: clients measure nothing beside."""
        return

    @staticmethod
    def read_measured(plain: object, request: RoundRequest, client: int) -> None:  # noqa: ARG004
        """Return nothing."""
        return
