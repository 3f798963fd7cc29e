"""Count the work of a phase in passes of images through the parts of a network.

A training pass of a part is one forward and a backward worth two. The counts are exact for what
the engine executes and are what modelled time and energy of another device are computed from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.federated.local_rule import LocalRule, ProjectedGradients

ENCODER = "encoder"


@dataclass(frozen=True)
class Work:
    """Hold images × forward-equivalents by part (`encoder` or a task letter) and training passes.

    `bytes_moved` is memory traffic outside the network: the server's averaging.
    """

    forwards: Mapping[str, float] = field(default_factory=dict)
    encoder_passes: int = 0
    decoder_passes: int = 0
    bytes_moved: float = 0.0

    def __add__(self, other: Work) -> Work:
        parts = {**self.forwards, **other.forwards}
        return Work(
            {p: self.forwards.get(p, 0.0) + other.forwards.get(p, 0.0) for p in parts},
            self.encoder_passes + other.encoder_passes,
            self.decoder_passes + other.decoder_passes,
            self.bytes_moved + other.bytes_moved,
        )


def training(tasks: str, images: int, rule: LocalRule | None = None) -> Work:
    """Return the work of one training step: every part forward and backward once.

    Projected gradients take one encoder backward per task. The other rules add arithmetic on
    weights or norms, which is not counted.
    """
    forwards = dict.fromkeys((ENCODER, *tasks), 3.0 * images)
    if isinstance(rule, ProjectedGradients):
        forwards[ENCODER] = (1.0 + 2.0 * len(tasks)) * images
    return Work(forwards, images, images * len(tasks))


def looking_ahead(tasks: str, images: int) -> Work:
    """Return the work of one look-ahead over n tasks.

    Encoder: one forward, then per source a backward and a forward. Decoder of each task: one
    forward, a backward to its input only, and a forward per source.
    """
    n = len(tasks)
    forwards = dict.fromkeys(tasks, (2.0 + n) * images)
    return Work({ENCODER: (1.0 + 3.0 * n) * images, **forwards})


def evaluating(tasks: str, images: int) -> Work:
    """Return the work of one forward pass of every part."""
    return Work({part: float(images) for part in (ENCODER, *tasks)})


def averaging(model_bytes: int) -> Work:
    """Return the work of adding one model to a weighted sum: read both, write one."""
    return Work(bytes_moved=3.0 * model_bytes)
