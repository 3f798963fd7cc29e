"""Name the rules by which tasks are weighed in a merged network; plain data, no torch needed.

What a rule remembers `travels` with the model if it is asked to: clients send it along and the
server averages it, so that it is not forgotten after a round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

AT = ("parameters", "features")
"""Where the gradients of tasks are taken: at all parameters of the encoder, or at its output."""


CARRIED = "_carried"
"""How names of tensors end that travel with a network and are none of its weights."""


@dataclass(frozen=True)
class Balanced:
    """Scale each task's gradient at the features to the largest (DB-MTL, Lin et al., 2023).

    Those of tasks of fine structure (k, t, a) are then multiplied by `detail`: what a shared
    encoder loses first is what only they need. With `logs` they are gradients of log losses, which
    sets the common length and how fast each decoder learns; a single task is trained plainly.
    """

    detail: float = 1.0
    logs: bool = False


@dataclass(frozen=True)
class FixedWeights:
    """Train on Σ w_i·L_i, w by task."""

    weights: Mapping[str, float]


@dataclass(frozen=True)
class UncertaintyRule:
    """Learn a variance for every task's loss (Kendall et al., CVPR 2018), by steps of a `rate`."""

    rate: float = 0.025
    travels: bool = True


@dataclass(frozen=True)
class FamoRule:
    """Let losses fall at one pace (FAMO, Liu et al., NeurIPS 2023).

    `rate` and `decay` are those of Adam, which moves the logits ξ; the encoder's gradient is cut to
    `most_norm`, 0 cuts nothing. With `again` the losses after a step are taken on the same batch,
    by one more forward pass, as published; without, those of the next batch stand for them.
    """

    rate: float = 0.025
    decay: float = 0.01
    most_norm: float = 1.0
    again: bool = True
    travels: bool = True


@dataclass(frozen=True)
class DualBalanceRule:
    """Log losses, smooth gradients by β/t^σ, make them equally long (DB-MTL, Lin et al., 2023)."""

    beta: float = 0.9
    sigma: float = 0.0
    logs: bool = True
    at: str = "parameters"
    travels: bool = True


@dataclass(frozen=True)
class GramRule:
    """Weigh gradients by their inner products, as a rule of `models.multitask.gram_weights` says.

    `number` is c of CAGrad or α of FairGrad. The encoder's gradient is cut to `most_norm`, 0 cuts
    nothing.
    """

    name: str
    number: float = 0.0
    at: str = "parameters"
    most_norm: float = 0.0


Weighting = FixedWeights | UncertaintyRule | FamoRule | DualBalanceRule | GramRule


def passes(rule: object, tasks: int) -> tuple[float, float]:
    """Return the forward passes of the encoder and of each decoder that a step takes.

    A backward pass is worth two. Rules on parameters take one encoder backward a task.
    """
    apart = isinstance(rule, DualBalanceRule | GramRule) and rule.at == "parameters"
    encoder = 1.0 + 2.0 * tasks if apart else 3.0
    again = 1.0 if isinstance(rule, FamoRule) and rule.again else 0.0
    return encoder + again, 3.0 + again


def carries(rule: object) -> bool:
    """Say whether a rule has something that travels with the model."""
    if isinstance(rule, DualBalanceRule):
        return rule.travels and rule.beta > 0.0
    return isinstance(rule, UncertaintyRule | FamoRule) and rule.travels
