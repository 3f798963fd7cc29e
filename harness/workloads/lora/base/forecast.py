"""Foretell how much memory fine-tuning takes, before a model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from devices.profile import Profile
from harness.core.errors import HarnessError, MemoryExceededError
from harness.workloads.lora.aggregation.adapters import Shapes, numbers

PROGRAM_BYTES = 330_000_000
"""Python, torch and this program; assumption: 290 to 350 MB were measured on x86-64."""

LIBRARIES_BYTES = 125_000_000
"""transformers and peft, imported."""

USABLE = 0.9
"""Share of a board's memory that the system leaves (assumption)."""


@dataclass(frozen=True)
class Sizes:
    """Hold what memory follows from: of a model its numbers, their bytes, layers and widths."""

    parameters: int
    number_bytes: int
    shapes: Shapes
    vocabulary: int
    width: int
    depth: int
    context: int
    inner: int = 0
    libraries: bool = False


@dataclass(frozen=True)
class TrainingLoad:
    """Hold what memory follows from beside the model: rows of a step, tokens of a row, rank."""

    rows: int
    tokens: int
    rank: int
    whole: bool = False
    checkpointing: bool = False


def peak_bytes(sizes: Sizes, training: TrainingLoad) -> int:
    """Return the expected peak of one training process.

    Base, targets once more (they are got back after every client), 16 bytes of every number that is
    trained (weight, gradient, two moments), three times the logits, and activations: of every layer
    some 34 numbers of a width a token (Korthikanti et al., 2022, without the quadratic term) or,
    with checkpointing, one and those of one layer.
    """
    trained = sizes.parameters if training.whole else numbers(sizes.shapes, training.rank)
    targets = 0 if training.whole else sum(m * n for m, n in sizes.shapes.values())
    tokens = training.rows * training.tokens
    layers = 1.0 + sizes.depth / 34 if training.checkpointing else float(sizes.depth)
    activations = int(34 * 4 * layers * tokens * sizes.width / 2)
    base = sizes.parameters * sizes.number_bytes + 4 * targets
    program = PROGRAM_BYTES + (LIBRARIES_BYTES if sizes.libraries else 0)
    return program + base + 16 * trained + 12 * tokens * sizes.vocabulary + activations


def fits(sizes: Sizes, training: TrainingLoad, memory_bytes: int) -> bool:
    """Say whether training is expected to fit a board."""
    return peak_bytes(sizes, training) <= USABLE * memory_bytes


def too_large(sizes: Sizes, training: TrainingLoad, board: Profile, client: int) -> HarnessError:
    """Return the error of a board that cannot hold the model."""
    needed, there = peak_bytes(sizes, training), int(USABLE * board.memory_bytes)
    return MemoryExceededError(
        f"client {client} on a {board.title} needs about {needed / 1e9:.2f} GB to fine-tune at rank"
        f" {training.rank}, and {there / 1e9:.2f} GB are free there",
        "Lower --batch-size or --context, take a smaller model, try --gradient-checkpointing, or"
        " leave the board out of --boards.",
    )


def fitted_rank(sizes: Sizes, training: TrainingLoad, board: Profile, client: int) -> int:
    """Return the largest rank up to the one wanted that fits a board, halving it.

    Raises:
        MemoryExceededError: if even rank 1 does not fit.
    """
    rank = training.rank
    while rank >= 1:
        tried = TrainingLoad(
            training.rows, training.tokens, rank, training.whole, training.checkpointing
        )
        if fits(sizes, tried, board.memory_bytes):
            return rank
        rank //= 2
    raise too_large(sizes, training, board, client)


def words(peaks: Sequence[int], memory_bytes: int) -> str:
    """Say what is expected beside what a device has."""
    return (
        f"about {max(peaks) / 1e9:.2f} GB at the peak, of {memory_bytes / 1e9:.1f} GB of the device"
    )
