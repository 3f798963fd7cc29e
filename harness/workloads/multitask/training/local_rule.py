"""Name the ways in which a client may depart from plain descent on the summed loss.

A method asks for one in its `Job`; the training step it stands for is in `models/`. Plain data
only, so that planning and listing need no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.multitask.weighting import Balanced, Weighting


@dataclass(frozen=True)
class Proximal:
    """Add (μ/2)·‖θ − θ_global‖² over all parameters to the loss (FedProx, Li et al., MLSys 2020).

    θ_global is the model that the client got at the start of the round.
    """

    mu: float


@dataclass(frozen=True)
class GradNorm:
    """Weigh the task losses so that they train at like rates (Chen et al., ICML 2018).

    Weights and first losses belong to one client and one round: each begins at 1 and on the
    client's first batch. Nothing is shared between clients or kept for the next round, as a device
    that takes part now and then could not keep it up to date.
    """

    alpha: float
    step: float


@dataclass(frozen=True)
class ProjectedGradients:
    """Take from each task's encoder gradient what opposes another's (PCGrad, NeurIPS 2020)."""


LocalRule = Proximal | GradNorm | ProjectedGradients | Balanced | Weighting
