"""Make the optimizer of a training step in the implementation asked for."""

from __future__ import annotations

from typing import Any

import torch

from models.execution import Execution
from models.network import MultiTaskNet

_DEFAULTS = {"momentum": 0.0, "weight_decay": 0.0, "nesterov": False}


def descent(
    net: MultiTaskNet,
    execution: Execution,
    *,
    lr: float,
    **settings: Any,  # noqa: ANN401 - torch's own
) -> torch.optim.SGD:
    """Return SGD without memory over all parameters; `settings` are those of `torch.optim.SGD`.

    The one that it returned before for this network must be done with: it is emptied and returned
    again, as every client of every round asks for one and making it takes a hundred times as long.
    """
    kind = execution.optimizer
    if kind not in net.optimizers:
        net.optimizers[kind] = torch.optim.SGD(
            net.weights(), lr=lr, foreach=kind == "foreach", fused=kind == "fused"
        )
    optimizer = net.optimizers[kind]
    optimizer.state.clear()
    optimizer.param_groups[0].update(_DEFAULTS | {"lr": lr} | settings)
    return optimizer
