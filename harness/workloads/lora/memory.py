"""Settle the clients' ranks by what their boards can hold, before anything is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.core.errors import MemoryExceededError
from harness.running.target import Target
from harness.workloads.lora.base import forecast as model_memory
from harness.workloads.lora.base.forecast import Sizes, TrainingLoad
from harness.workloads.lora.boards import boards_of
from harness.workloads.lora.config import LoraConfig
from harness.workloads.lora.data.letters import LONGEST


@dataclass(frozen=True)
class Forecast:
    """Hold the ranks that are trained, and what memory that is expected to take.

    Attributes:
        ranks: by client.
        boards: name of the board that each client stands for; empty unless ranks follow from it.
        peaks: expected peak of each client's training in bytes.
        notes: what was lowered.
    """

    ranks: tuple[int, ...]
    boards: tuple[str, ...]
    peaks: tuple[int, ...]
    notes: tuple[str, ...] = ()

    def words(self, target: Target) -> str:
        """Say what is expected, beside what the device has."""
        return model_memory.words(self.peaks, memory_of(target))


def memory_of(target: Target) -> int:
    """Return the memory that training may use: that of the host, if it is the device."""
    if target.matches and target.host.memory_bytes:
        return int(target.host.memory_bytes)
    return target.profile.memory_bytes


def sizes_of(config: LoraConfig) -> Sizes:
    """Return the sizes of the model, from its configuration alone."""
    if config.embedded:
        from harness.workloads.lora.base.opening import embedded_sizes  # noqa: PLC0415 - torch

        return embedded_sizes(config)
    from harness.workloads.lora.base.architecture import folder_sizes  # noqa: PLC0415

    return folder_sizes(config)


def forecast(config: LoraConfig, target: Target) -> Forecast:
    """Return the ranks that are trained; only `by-device` lowers one that does not fit.

    Raises:
        MemoryExceededError: if a client's board, or the device of the run, cannot hold the model.
    """
    sizes = sizes_of(config)
    whole = any(spec.name == "full" for spec in config.method_specs())
    tokens = config.context or min(sizes.context, LONGEST + 22 if config.embedded else 256)

    def training(rank: int, *, full: bool) -> TrainingLoad:
        return TrainingLoad(config.batch_size, tokens, rank, full, config.gradient_checkpointing)

    ranks = list(config.client_ranks)
    notes: list[str] = []
    boards: tuple[str, ...] = ()
    if config.by_device:
        own = boards_of(config.boards, config.clients)
        boards = tuple(profile.name for profile in own)
        for client, profile in enumerate(own):
            fitted = model_memory.fitted_rank(
                sizes, training(ranks[client], full=False), profile, client
            )
            if fitted < ranks[client]:
                notes.append(f"client {client}: rank {fitted} in place of {ranks[client]}, which"
                             f" would not fit a {profile.title}")  # fmt: skip
            ranks[client] = fitted
    peaks = tuple(model_memory.peak_bytes(sizes, training(r, full=whole)) for r in ranks)
    _check_device(peaks, target)
    return Forecast(tuple(ranks), boards, peaks, tuple(notes))


def _check_device(peaks: Sequence[int], target: Target) -> None:
    there = memory_of(target)
    if max(peaks) > model_memory.USABLE * there:
        raise MemoryExceededError(
            f"fine-tuning needs about {max(peaks) / 1e9:.2f} GB, and a {target.profile.title} has"
            f" {there / 1e9:.2f} GB",
            "Lower --batch-size, --context or --ranks, try --gradient-checkpointing, leave out"
            " full, or take a smaller model. --ranks by-device lowers ranks by board.",
        )
