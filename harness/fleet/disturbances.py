"""Notice on a device what spoils its measurement while it trains for a cell of the server's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from devices.accelerator import Accelerator
from devices.card_watch import watch_card
from harness.measurement.conditions import Conditions
from harness.records.conditions import ConditionSample

OF_NEIGHBOURS = ("foreign-load",)
"""Flower's own programs work beside this one for every message, so that others' work is no news."""

Watch = Callable[[Sequence[int]], Conditions]


@dataclass
class Disturbances:
    """Compare the board with what it was when the present cell began here.

    Attributes:
        trains: What trains here; of an NVIDIA card its driver is asked too.
        own: Processes whose work is not foreign.
        watch: Begins to watch.
    """

    trains: Accelerator
    own: Sequence[int] = ()
    watch: Watch | None = None
    _flags: tuple[str, ...] = ()
    _cell: str = ""
    _conditions: Conditions | None = field(default=None, repr=False)

    def begin(self, cell: str) -> None:
        """Watch from now on for a cell; nothing if that one is watched already."""
        if self._conditions is not None and self._cell == cell:
            return
        self.end()
        self._cell, self._flags = cell, ()
        self._conditions = (self.watch or self._watched)(self.own)
        self._take(self._conditions.first)

    def look(self, cell: str) -> tuple[str, ...]:
        """Return what has happened since a cell began here; nothing of one that has not."""
        if cell != self._cell:
            return ()
        if self._conditions is not None:
            self._take(self._conditions.so_far())
        return self._flags

    def end(self) -> None:
        """Ask the board's programs once more, and watch no longer."""
        if self._conditions is not None:
            self._take(self._conditions.at_end())
            self._conditions = None

    def _watched(self, own: Sequence[int]) -> Conditions:
        return Conditions(own, cards=watch_card(self.trains))

    def _take(self, look: ConditionSample) -> None:
        found = (flag for flag in look.flags if flag not in OF_NEIGHBOURS)
        self._flags = tuple(dict.fromkeys((*self._flags, *found)))
