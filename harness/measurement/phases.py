"""Mark phases on the clock the meters use, so that joules can be assigned to them afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from harness.records.phases import Label, Segment
from harness.records.work import Work


@dataclass
class _Open:
    label: Label
    start_s: float
    start_cpu_s: float
    work: Work = field(default_factory=Work)


class PhaseLog:
    """Record phases as segments that never overlap.

    A phase opened inside another interrupts it: the outer one ends there and goes on afterwards as
    a new segment. Both clocks are injected; the first must be the one meters stamp samples with.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._stack: list[_Open] = []
        self.segments: list[Segment] = []

    @contextmanager
    def phase(self, label: Label) -> Iterator[None]:
        """Mark the phase as long as the context is open, also if its body fails."""
        now, cpu = self._clock(), self._cpu_clock()
        if self._stack:
            self._close(self._stack[-1], now, cpu)
        self._stack.append(_Open(label, now, cpu))
        try:
            yield
        finally:
            now, cpu = self._clock(), self._cpu_clock()
            self._close(self._stack.pop(), now, cpu)
            if self._stack:
                self._stack[-1] = replace(
                    self._stack[-1], start_s=now, start_cpu_s=cpu, work=Work()
                )

    def work(self, done: Work) -> None:
        """Add work to the phase that is open; work outside any phase is an error of the caller."""
        self._stack[-1].work = self._stack[-1].work + done

    def current(self) -> Label | None:
        """Return the label of the open phase."""
        return self._stack[-1].label if self._stack else None

    def _close(self, opened: _Open, now: float, cpu: float) -> None:
        self.segments.append(
            Segment(opened.label, opened.start_s, now, cpu - opened.start_cpu_s, opened.work)
        )
