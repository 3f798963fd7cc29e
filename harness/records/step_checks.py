"""Hold what came of comparing a way of executing training steps with plain fp32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_LETTERS = 500
MOST_LOSS = 1e12


@dataclass(frozen=True)
class StepCheck:
    """Say whether a way computes on some processor or GPU what plain fp32 does, for one network.

    `fault` is in words, empty if it does. `cosine` is the smallest of any parameter's gradient,
    `block` that parameter's name; `loss` the largest relative difference of a task's loss. Those
    are None where nothing finite came out.

    Attributes:
        execution: the way, as it is typed.
        network: what of a network was compared: letters of tasks, or a name.
        torch: the release of PyTorch.
        accelerator: what computed.
        directionless: parameters whose gradient is rounding alone.
    """

    execution: str
    network: str
    torch: str
    accelerator: str
    fault: str
    cosine: float | None = None
    block: str = ""
    loss: float | None = None
    least_cosine: float | None = None
    directionless: int = 0

    @classmethod
    def of(cls, agreement: Mapping[str, Any], fault: str = "", **about: Any) -> StepCheck:  # noqa: ANN401
        """Return the check that figures by name give; a fault of its own goes before theirs.

        A difference of losses beyond all measure is none that can be told; its fault says it.
        """
        words = str(fault or agreement.get("fault", ""))[:MOST_LETTERS]
        loss = agreement.get("loss")
        told = {**agreement, "loss": loss if loss is None or loss <= MOST_LOSS else None}
        return cls(**about, **{**told, "fault": words})

    @property
    def compared(self) -> bool:
        """Say whether there were gradients to compare."""
        return self.least_cosine is not None

    @property
    def words(self) -> str:
        """Say what came of it in one sentence."""
        way = self.execution.replace("+", ", ")
        where = f"{way} steps of {self.network} on {self.accelerator} under PyTorch {self.torch}"
        if self.fault and not self.compared:
            return f"{where} cannot be executed: {self.fault}"
        if self.fault:
            return f"{where} compute something else than plain fp32 does ({self.fault})"
        return f"{where} compute what plain fp32 does: smallest cosine {self.cosine:.6f}"


def passed_words(checks: Sequence[StepCheck]) -> list[str]:
    """Return a sentence for every way that passed, with all networks that it was compared on."""
    found: dict[tuple[str, str, str], list[StepCheck]] = {}
    for one in checks:
        if not one.fault:
            found.setdefault((one.execution, one.torch, one.accelerator), []).append(one)
    return [
        f"{way.replace('+', ', ')} steps compute there what plain fp32 does (networks"
        f" {', '.join(one.network for one in those)}; smallest cosine"
        f" {min(one.cosine or 0.0 for one in those):.6f}; PyTorch {release}, {where})"
        for (way, release, where), those in found.items()
    ]
