"""Ways in which a client may train, one of each kind, for what must hold under all of them."""

from harness.workloads.multitask.training.local_rule import (
    GradNorm,
    LocalRule,
    ProjectedGradients,
    Proximal,
)
from models.multitask.weighting import Balanced

LOCAL_RULES: tuple[LocalRule | None, ...] = (
    None, Proximal(0.1), GradNorm(1.5, 0.025), ProjectedGradients(), Balanced(),
    Balanced(1.5, logs=True),
)  # fmt: skip
