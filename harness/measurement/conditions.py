"""Notice what spoils a measurement while a cell runs: heat, voltage, load, a clock that is set."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from devices.board_changes import LEAST_WINDOW_S, changes
from devices.board_counters import read_counters
from devices.board_state import BoardState, read_board_state
from devices.card_watch import CardWatch
from devices.host import read_state
from devices.programs import Programs
from harness.measurement.pauses import PauseWatch
from harness.records.conditions import ConditionSample

CLOCK_STEP_S = 0.5
"""A clock that is slewed to the right time stays far below this within a cell."""

RESUMED = "resumed"
PAUSED = "paused"
WARM_START = "warm-start"


@dataclass(frozen=True)
class HostClocks:
    """Read the monotonic clock, the clock with time asleep, and the clock on the wall."""

    monotonic: Callable[[], float] = time.monotonic
    boot: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME)
    wall: Callable[[], float] = time.time

    def offsets_s(self) -> tuple[float, float]:
        """Return how far the other two clocks are ahead of the monotonic one."""
        now_s = self.monotonic()
        return self.boot() - now_s, self.wall() - self.boot()


def clock_flags(before: tuple[float, float], after: tuple[float, float]) -> list[str]:
    """Name a host that slept and a wall clock that was set; times measured are not touched."""
    found = []
    if after[0] - before[0] > CLOCK_STEP_S:
        found.append("slept")
    if abs(after[1] - before[1]) > CLOCK_STEP_S:
        found.append("clock-step")
    return found


class Conditions:
    """Compare the board at the start of a cell with later moments.

    Asking the board's programs takes long, so after each round only files are read.
    """

    def __init__(
        self,
        own: Sequence[int] = (),
        root: Path = Path("/"),
        clocks: HostClocks | None = None,
        zero_s: float = 0.0,
        pauses: PauseWatch | None = None,
        cards: CardWatch | None = None,
    ) -> None:
        """Take the first look.

        Args:
            own: processes whose work is not foreign.
            root: root of the file system.
            clocks: the clocks of the host.
            zero_s: what the monotonic clock shows when the run's clock shows 0.
            pauses: tells for how long this process was stopped; by default it is watched.
            cards: watches the NVIDIA cards that work, until `at_end`; None if none does.
        """
        self._zero_s = zero_s
        self._own = own
        self._root = root
        self._clocks = clocks or HostClocks()
        self._pauses = pauses or PauseWatch().start()
        self._cards = cards
        self._state = self._board()
        self._offsets_s = self._clocks.offsets_s()
        self._before = self._state
        self.first = self._look(self._state, ())
        self.lately: tuple[str, ...] = ()
        """What disturbed the board between the last two looks that were far enough apart."""

    def so_far(self) -> ConditionSample:
        """Return what files show now and have shown since the start."""
        counters = read_counters(self._root, self._own)
        now = replace(self._state, counters=counters, host=read_state(self._root))
        flags = [*self._flags(now), *(self._cards.look() if self._cards else ())]
        if now.counters.time_s - self._before.counters.time_s >= LEAST_WINDOW_S:
            lately = self._cards.lately() if self._cards else []
            self.lately = (*changes(self._before, now), *lately)
            self._before = now
        return self._look(now, flags)

    def at_end(self) -> ConditionSample:
        """Return what the board shows at the end, and all that happened since the start."""
        self._pauses.stop()
        now = self._board()
        cards = self._cards.stop() if self._cards else []
        return self._look(now, [*self._flags(now), *cards])

    def _look(self, now: BoardState, flags: Sequence[str]) -> ConditionSample:
        return ConditionSample(
            self._clocks.monotonic() - self._zero_s,
            now.host.temperature_c,
            tuple(flags),
            self._cards.temperature_c if self._cards else None,
        )

    def _board(self) -> BoardState:
        return read_board_state(self._root, Programs(self._root), self._own)

    def _flags(self, now: BoardState) -> list[str]:
        moved = clock_flags(self._offsets_s, self._clocks.offsets_s())
        stopped = [PAUSED] if self._pauses.look() > 0.0 else []
        return [*changes(self._state, now), *moved, *stopped]
