"""Name how training steps are executed: precision, memory layout, optimizer, how they are launched.

None of these changes what is computed, all of them change how fast and with which rounding. Plain
data, so that planning and listing need no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

CHOICES: Mapping[str, tuple[str, ...]] = {
    "precision": ("fp32", "tf32", "bf16", "fp16"),
    "memory_format": ("channels-last", "contiguous"),
    "optimizer": ("loop", "foreach", "fused"),
    "launch": ("eager", "graph"),
}
"""Field of an execution → the words it can be, the plain one first."""


@dataclass(frozen=True)
class Execution:
    """Say how a training step is executed; the default is the plain way.

    `bf16` and `fp16` run the layers of the forward and backward pass in that type where torch's
    autocast allows it, `fp16` with its gradients scaled meanwhile. Weights, features between
    encoder and decoders, losses, optimizer and averages stay fp32, and so do tests and the losses
    of look-aheads. `tf32` and `graph` are for GPUs: products of fp32 numbers of which 10 bits of
    the fraction are used, and whole steps launched as one recorded CUDA graph.
    """

    precision: str = "fp32"
    memory_format: str = "channels-last"
    optimizer: str = "loop"
    launch: str = "eager"

    @property
    def text(self) -> str:
        """Return it as it is typed: `bf16+channels-last+fused`; steps launched singly go unsaid."""
        words = [str(getattr(self, field.name)) for field in fields(self)]
        return "+".join(words if self.launch != "eager" else words[:-1])

    @property
    def reduced(self) -> bool:
        """Say whether passes round more coarsely than fp32."""
        return self.precision != "fp32"

    @property
    def autocast(self) -> str:
        """Return the type that layers run in, by torch's name; empty for fp32, rounded or not."""
        return {"bf16": "bfloat16", "fp16": "float16"}.get(self.precision, "")

    @property
    def needs_gpu(self) -> bool:
        """Say whether only a GPU can do it."""
        return self.precision == "tf32" or self.launch == "graph"

    def barred(self, *, gpu: bool) -> str:
        """Return in words why no GPU, or no processor, executes steps so; empty if one can."""
        if self.needs_gpu and not gpu:
            return "tf32 and graph are for a GPU, and the processor trains"
        if self.launch == "graph" and self.optimizer != "fused":
            return "a graph needs the fused optimizer, whose rate can change"
        return ""


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
