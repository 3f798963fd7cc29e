"""Measure one stretch of time after another in a program that goes on, with figures at once."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.measurement.choice import ChosenMeters, choose_meters
from harness.measurement.figures import PhaseCost
from harness.measurement.measuring import MeasuringSession
from harness.measurement.meters import MeterSet, running_meters
from harness.measurement.spans import Edge, Span


@dataclass
class Stretch:
    """Hold what one stretch took, once it is over."""

    span: Span
    cost: PhaseCost | None = None


@dataclass(frozen=True)
class _Running:
    """Hold what runs in one process; a fork has its own."""

    process: int
    chosen: ChosenMeters
    session: MeasuringSession


class Stretches:
    """Keep a meter running from the first stretch on, so that none of them pays for its start.

    Several threads may measure at once: each gets the joules of the whole host in its time.

    Args:
        meter: `auto`, `none`, or meters as on the command line.
        rate_hz: Readings per second; None takes the most that each meter can give.
        root: Root of the file system in which sensors are looked for.
    """

    def __init__(
        self, meter: str = "auto", *, rate_hz: float | None = None, root: Path = Path("/")
    ) -> None:
        self._meter = meter
        self._rate_hz = rate_hz
        self._root = root
        self._open = ExitStack()
        self._lock = threading.Lock()
        self._running: _Running | None = None

    @contextlib.contextmanager
    def measure(self, name: str) -> Iterator[Stretch]:
        """Measure as long as the context is open; the cost is there right after it.

        Raises:
            HarnessError: before the body runs, for meters that are unknown or cannot be used.
        """
        running = self._now()
        start = Edge(time.monotonic(), time.process_time())
        stretch = Stretch(Span(name, start, start, os.getpid()))
        try:
            yield stretch
        finally:
            end = Edge(time.monotonic(), time.process_time())
            stretch.span = Span(name, start, end, os.getpid())
            with self._lock:  # reading what was recorded is for one thread at a time
                running.session.meters.wait_past(end.time_s)
                stretch.cost = running.session.costing.phase(name, [stretch.span])

    @property
    def meters(self) -> MeterSet:
        """Return the meters, started if they are not."""
        return self._now().session.meters

    @property
    def chosen(self) -> ChosenMeters:
        """Return how the meters were chosen, and the host."""
        return self._now().chosen

    def close(self) -> None:
        """Stop the meters; a later stretch starts them anew."""
        with self._lock:
            running, self._running = self._running, None
            if running is not None and running.process == os.getpid():
                self._open.close()

    def _now(self) -> _Running:
        with self._lock:
            if self._running is None or self._running.process != os.getpid():
                self._open = ExitStack()
                with ExitStack() as opened:
                    self._running = self._start(opened)
                    self._open = opened.pop_all()
                atexit.register(self.close)
            return self._running

    def _start(self, opened: ExitStack) -> _Running:
        chosen = choose_meters(self._meter, root=self._root)
        folder = Path(opened.enter_context(TemporaryDirectory(prefix="samples-")))
        meters = opened.enter_context(
            running_meters(
                chosen.totals, (), folder, rate_hz=self._rate_hz, reason=chosen.reason,
                root=self._root,
            )
        )  # fmt: skip
        return _Running(os.getpid(), chosen, chosen.session(meters))
