"""Let the engine say what it does without knowing who measures, prints or stores it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from harness.federated.job import FederatedJob
from harness.records.work import Work


class Observer(Protocol):
    """Hear of phases, work and values as they happen."""

    def phase(
        self, name: str, *, round_index: int | None = None, client: int | None = None
    ) -> AbstractContextManager[None]:
        """Mark a phase; one opened inside another interrupts it and inherits its labels."""
        ...

    def work(self, done: Work) -> None:
        """Add work to the phase that is open."""
        ...

    def metric(self, rounds_done: int, phase: str, name: str, task: str, value: float) -> None:
        """Report a value of one task, or of none if `task` is empty."""
        ...

    def job_started(self, job: FederatedJob) -> None:
        """Hear that a job begins."""
        ...

    def round_done(self, rounds_done: int) -> None:
        """Hear that a round of the current job is over."""
        ...


class SilentObserver:
    """Hear everything and do nothing."""

    def phase(
        self,
        name: str,  # noqa: ARG002
        *,
        round_index: int | None = None,  # noqa: ARG002
        client: int | None = None,  # noqa: ARG002
    ) -> AbstractContextManager[None]:
        """Return a context that does nothing."""
        return nullcontext()

    def work(self, done: Work) -> None:
        """Ignore work."""

    def metric(self, rounds_done: int, phase: str, name: str, task: str, value: float) -> None:
        """Ignore a value."""

    def job_started(self, job: FederatedJob) -> None:
        """Ignore a job."""

    def round_done(self, rounds_done: int) -> None:
        """Ignore a round."""
