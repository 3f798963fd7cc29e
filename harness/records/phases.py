"""Say to what a stretch of time belongs, and what was done in it."""

from __future__ import annotations

from dataclasses import dataclass

from harness.records.work import Work


@dataclass(frozen=True)
class Label:
    """Say to what a phase belongs.

    `lent_by` is the cell that it was measured in, where another is charged for it too.
    """

    phase: str
    cell: str = ""
    job: str = ""
    round_index: int | None = None
    client: int | None = None
    lent_by: str = ""


@dataclass(frozen=True)
class Segment:
    """Hold one uninterrupted stretch of a phase on the monotonic clock."""

    label: Label
    start_s: float
    end_s: float
    cpu_s: float
    work: Work

    @property
    def time_s(self) -> float:
        """Return its length."""
        return self.end_s - self.start_s
