"""Give the losses by which a method may choose among trained models."""

from __future__ import annotations

from collections.abc import Mapping

from harness.core.errors import DataError
from harness.workloads.multitask.job import Outcome


def losses_to_choose_by(outcome: Outcome) -> Mapping[str, float]:
    """Return a model's validation losses: choosing by test losses would make them too good.

    Raises:
        DataError: if the data set holds no validation images.
    """
    if not outcome.validation_losses:
        raise DataError(
            "the data set has no validation images, and this method chooses among trained models",
            "Give the data set a validation split, or choose a method without such a choice.",
        )
    return outcome.validation_losses
