"""Count the work of a phase in passes of images through the parts of a network.

A training pass of a part is one forward and a backward worth two. The counts are exact for what
the engine executes and are what modelled time and energy of another device are computed from.
"""

from __future__ import annotations

from harness.records.work import Work
from harness.workloads.multitask.affinity.rule import PROJECTED, PROXIMAL
from harness.workloads.multitask.training.local_rule import LocalRule, ProjectedGradients
from models.multitask.weighting import Balanced, passes

ENCODER = "encoder"
DECODERS = "decoders"


def training(tasks: str, images: int, rule: LocalRule | None = None) -> Work:
    """Return the work of one training step: every part forward and backward once.

    Projected gradients take one encoder backward per task, and so do other rules on parameters
    (`models.multitask.weighting.passes`). Arithmetic on weights, norms and inner products is not
    counted.
    """
    encoder, decoder = passes(rule, len(tasks))
    forwards = {ENCODER: encoder * images, **dict.fromkeys(tasks, decoder * images)}
    if isinstance(rule, ProjectedGradients):
        forwards[ENCODER] = (1.0 + 2.0 * len(tasks)) * images
    return Work(forwards, {ENCODER: images, DECODERS: images * len(tasks)})


def balances(rule: LocalRule | None) -> bool:
    """Say whether every task's gradient is scaled to the largest."""
    return isinstance(rule, Balanced)


def shares_gradients(rule: LocalRule | None) -> bool:
    """Say whether a look-ahead can use the gradients that the training step has at hand."""
    return rule is None or balances(rule)


def looking_ahead(
    tasks: str,
    images: int,
    mode: str = "exact",
    *,
    shares: bool = True,
    rounded: bool = False,
    balanced: bool = False,
) -> Work:
    """Return the work of one look-ahead over n tasks, beside the training step.

    Encoder: a backward per task, one of which is the training step's own, and with `exact` a
    forward per task. Decoder of each task, with `exact`: a forward per task whose step is tried.
    If it `shares` nothing with the training step: one more encoder forward and backward, and of
    each decoder a forward and a backward to its input only. If training steps are `rounded` to less
    than fp32, `exact` takes the losses before the step anew: one more forward of every part.
    `projected` shares nothing: of every image a forward and n backwards of the encoder, of each
    decoder a forward and a backward to its input. `proximal` takes the training step in n parts:
    for each a forward and a backward of the encoder, a forward of all decoders and a backward of
    one; in the end a forward of every part, and in `balanced` training a backward of every decoder
    to its input before. One forward and backward of every part are the training step's own, unless
    it shares none.
    """
    n = len(tasks)
    if mode == PROXIMAL:
        own = 0.0 if shares else 3.0
        encoder, decoder = 3.0 * (n - 1) + 1.0 + own, float(n + balanced) + own
        return Work({ENCODER: encoder * images, **dict.fromkeys(tasks, decoder * images)})
    if mode == PROJECTED:
        return Work({ENCODER: (1.0 + 2.0 * n) * images, **dict.fromkeys(tasks, 2.0 * images)})
    tried = n if mode == "exact" else 0
    encoder, decoder = 2.0 * (n - 1) + tried, float(tried)
    if not shares:
        encoder, decoder = encoder + 3.0, decoder + 2.0
    elif rounded and tried:
        encoder, decoder = encoder + 1.0, decoder + 1.0
    return Work({ENCODER: encoder * images, **dict.fromkeys(tasks, decoder * images)})


def checking(tasks: str, images: int, *, shares: bool = True, rounded: bool = False) -> Work:
    """Return what it takes to look ahead exactly beside a linear look-ahead on the same batch."""
    exact = looking_ahead(tasks, images, "exact", shares=shares, rounded=rounded)
    if not shares:
        return exact
    linear = looking_ahead(tasks, images, "linear").forwards
    return Work({part: n - linear[part] for part, n in exact.forwards.items()})


def evaluating(tasks: str, images: int) -> Work:
    """Return the work of one forward pass of every part."""
    return Work({part: float(images) for part in (ENCODER, *tasks)})
