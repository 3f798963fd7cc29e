"""Show in one line of a terminal how far the measuring of a command is, and what is drawn now."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from harness.cli.live import TimeLeft, left_words, power_words

if TYPE_CHECKING:
    from harness.measurement.live import LivePower

EVERY_S = 1.0
ERASE = "\r\x1b[2K"


class MeasureLine:
    """Keep one line of a terminal up to date; elsewhere nothing is shown.

    While a command that writes to the same terminal runs, the line stands still: it would cut into
    what the command prints.

    Args:
        stream: Where the line goes.
        runs: How many there will be, warm-ups not counted.
        now: Returns what the meters show now.
        during: Whether the line may change while a command runs.
        clock: Monotonic clock.
    """

    def __init__(
        self,
        stream: TextIO,
        runs: int,
        now: Callable[[], LivePower | None],
        *,
        during: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._shown = stream.isatty()
        self._during = during
        self._runs = runs
        self._now = now
        self._clock = clock
        self._left = TimeLeft([1.0] * runs, clock)
        self._number = 0
        self._last_s = clock()

    def begin(self) -> None:
        """Show that the next run begins."""
        self._number += 1
        self._left.cell(self._number)
        if self._during or self._runs > 1:
            self._show("" if self._during else "\n")

    def waiting(self) -> None:
        """Show what is drawn now, at most once a second."""
        if self._during and self._clock() - self._last_s >= EVERY_S:
            self._show("")

    def clear(self) -> None:
        """Leave the line empty for what comes next."""
        if self._shown and self._during:
            self._stream.write(ERASE)
            self._stream.flush()

    def text(self) -> str:
        """Return the line."""
        live = self._now()
        told = (
            f"run {self._number}/{self._runs}",
            power_words(live.power_w, live.energy_j) if live else "",
            left_words(self._left.seconds(0.0)),
        )
        return "  ".join(filter(None, told))

    def _show(self, ending: str) -> None:
        self._last_s = self._clock()
        if self._shown:
            self._stream.write(f"{ERASE}{self.text()}{ending}")
            self._stream.flush()
