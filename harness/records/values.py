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
    """Say where a cell stands; a round of five tasks counts as five task-rounds.

    `power_w` is what the meter shows now, `energy_j` what was taken since it was started, of all
    cells and between them; None without a meter that works.
    """

    job: str
    units: tuple[str, ...]
    rounds_done: int
    task_rounds_done: int
    losses: dict[str, float]
    power_w: float | None = None
    energy_j: float | None = None
