"""Name how training steps are executed: precision, memory layout, optimizer implementation.

None of these changes what is computed, all of them change how fast and with which rounding. Plain
data, so that planning and listing need no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

CHOICES: Mapping[str, tuple[str, ...]] = {
    "precision": ("fp32", "bf16"),
    "memory_format": ("channels-last", "contiguous"),
    "optimizer": ("loop", "foreach", "fused"),
}
"""Field of an execution → the words it can be, the plain one first."""


@dataclass(frozen=True)
class Execution:
    """Say how a training step is executed; the default is the plain way.

    `bf16` runs the layers of the forward and backward pass in bfloat16 where torch's autocast
    allows it. Weights, features between encoder and decoders, losses, optimizer and averages stay
    fp32, and so do tests and the losses of look-aheads.
    """

    precision: str = "fp32"
    memory_format: str = "channels-last"
    optimizer: str = "loop"

    @property
    def text(self) -> str:
        """Return it as it is typed: `bf16+channels-last+fused`."""
        return "+".join(str(getattr(self, field.name)) for field in fields(self))

    @property
    def reduced(self) -> bool:
        """Say whether passes round more coarsely than fp32."""
        return self.precision != "fp32"


PLAIN = Execution()


def parse_execution(text: str) -> Execution:
    """Read `plain`, or words joined by + of which any may be left out: `bf16`, `bf16+fused`.

    Raises:
        ValueError: naming a word that is unknown, or of a kind that was given before.
    """
    found: dict[str, str] = {}
    if text == "plain":
        return PLAIN
    for word in text.split("+"):
        kinds = [kind for kind, words in CHOICES.items() if word in words]
        if not kinds:
            known = ", ".join(word for words in CHOICES.values() for word in words)
            raise ValueError(f"'{word}' is none of auto, plain, {known}")
        (kind,) = kinds
        if kind in found:
            raise ValueError(f"{found[kind]} and {word} exclude each other")
        found[kind] = word
    return replace(PLAIN, **found)
