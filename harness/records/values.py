"""Hold what an engine reports while a cell runs: values, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Value:
    """Hold one value as the engine reported it."""

    rounds_done: int
    job: str
    task: str
    phase: str
    metric: str
    value: float


@dataclass(frozen=True)
class Progress:
    """Say where a cell stands; a round of five tasks counts as five task-rounds."""

    job: str
    units: tuple[str, ...]
    rounds_done: int
    task_rounds_done: int
    losses: dict[str, float]
