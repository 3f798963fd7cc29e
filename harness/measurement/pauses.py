"""Notice that this process was stopped for a while: Ctrl-Z, a debugger, a frozen container.

A stopped process cannot notice it then; afterwards a thread that should wake several times a second
finds that it did not, while its process has used no processor time. A busy process uses some, and
a host that slept has a monotonic clock that slept too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

TICK_S = 0.2
LEAST_S = 1.0
"""A shorter pause cannot be told from a thread that had to wait its turn."""

MOST_BUSY = 0.1
"""Share of a stretch in which a stopped process may have used a core: at its two ends."""


class PauseWatch:
    """Add up for how long the process was stopped; both clocks in seconds."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._last = clock(), cpu_clock()
        self._paused_s = 0.0
        self._lock = threading.Lock()
        self._over = threading.Event()

    def start(self) -> PauseWatch:
        """Begin to look several times a second."""
        threading.Thread(target=self._watch, name="pauses", daemon=True).start()
        return self

    def stop(self) -> None:
        """Look no more."""
        self._over.set()

    def look(self) -> float:
        """Return for how many seconds the process has been stopped since the beginning."""
        with self._lock:
            now_s, cpu_s = self._clock(), self._cpu_clock()
            passed_s, used_s = now_s - self._last[0], cpu_s - self._last[1]
            if passed_s > LEAST_S and used_s < MOST_BUSY * passed_s:
                self._paused_s += passed_s
            self._last = now_s, cpu_s
            return self._paused_s

    def _watch(self) -> None:
        while not self._over.wait(TICK_S):
            self.look()
