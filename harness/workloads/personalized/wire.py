"""Turn how clients train into plain values, and back; what comes is from another machine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.core.errors import RefusedError
from harness.federated.trainers import RoundRequest
from harness.workloads.personalized.methods.registry import parse

if TYPE_CHECKING:
    from harness.workloads.personalized.rounds import ClubRound

Plain = Any

KINDS = ("float32", "int64")
MOST_NUMBERS = 1 << 28
"""Of a tensor that is taken."""


class ClubWire:
    """Implement `harness.workloads.base.WireCodec`."""

    @staticmethod
    def settings(settings: ClubRound) -> dict[str, Plain]:
        """Return how clients of a round train."""
        return {
            "method": settings.method, "epochs": settings.epochs,
            "batch_size": settings.batch_size, "learning_rate": settings.learning_rate,
            "layouts": {
                str(client): {name: [list(shape), kind] for name, (shape, kind) in own.items()}
                for client, own in settings.layouts.items()
            },
        }  # fmt: skip

    @staticmethod
    def read_settings(plain: Mapping[str, Plain]) -> ClubRound:
        """Return what `settings` wrote.

        Raises:
            KeyError, TypeError, ValueError: if it is nothing of that kind.
        """
        from harness.workloads.personalized.rounds import ClubRound  # noqa: PLC0415 - torch

        rate = float(plain["learning_rate"])
        if not 0.0 < rate < math.inf:
            raise ValueError(f"a learning rate of {rate}")
        return ClubRound(
            parse(str(plain["method"])).text, _whole(plain["epochs"]), _whole(plain["batch_size"]),
            rate,
            {int(c): {str(n): _layout(told) for n, told in own.items()}
             for c, own in plain["layouts"].items()},
        )  # fmt: skip

    @staticmethod
    def with_batch(settings: ClubRound, batch_size: int) -> ClubRound:
        """Return the settings with another batch size."""
        return replace(settings, batch_size=batch_size)

    @staticmethod
    def measured(found: Any) -> None:  # noqa: ANN401 - always None
        """Return nothing: clients measure nothing beside their training."""

    @staticmethod
    def read_measured(plain: Plain, request: RoundRequest, client: int) -> None:  # noqa: ARG004
        """Return nothing.

        Raises:
            RefusedError: if there is something.
        """
        if plain is not None:
            raise RefusedError("nothing was to be measured beside the training")


def _whole(value: Plain) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1_000_000:
        raise ValueError(f"{value!r} is no count")
    return value


def _layout(told: Plain) -> tuple[tuple[int, ...], str]:
    shape, kind = told
    sizes = tuple(int(side) for side in shape)
    if kind not in KINDS or min(sizes, default=0) < 0 or math.prod(sizes) > MOST_NUMBERS:
        raise ValueError(f"a tensor of {kind} {sizes}")
    return sizes, str(kind)
