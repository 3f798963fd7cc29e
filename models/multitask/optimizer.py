"""Make the optimizer of a training step in the implementation asked for."""

from __future__ import annotations

from typing import Any

import torch

from models.execution import Execution
from models.loss_scaling import GuardedSGD
from models.multitask.network import MultiTaskNet


def descent(net: MultiTaskNet, execution: Execution, **settings: Any) -> torch.optim.SGD:  # noqa: ANN401 - torch's own
    """Return SGD over all parameters; `settings` are those of `torch.optim.SGD`.

    Without momentum Nesterov's step is the plain one, which torch refuses to call so.
    """
    kind = execution.optimizer
    settings = {"foreach": kind == "foreach", "fused": kind == "fused", **settings}
    if not settings.get("momentum"):
        settings["nesterov"] = False
    if net.scale is None:
        return torch.optim.SGD(net.weights(), **settings)
    return GuardedSGD(net.weights(), net.scale, **settings)
