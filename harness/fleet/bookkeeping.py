"""Book what devices report: judged, once, in the time of the run, in the cell's ledger."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.fleet.clock import ClockBounds
from harness.fleet.ledger import ClockShift, Ledger
from harness.fleet.reports import Expected, Report, most_model_w, most_power_w, read_report
from harness.fleet.roster import Card


@dataclass(frozen=True)
class Clocks:
    """Give this host's clocks: monotonic and wall."""

    monotonic: Callable[[], float]
    wall: Callable[[], float]


@dataclass
class Bookkeeping:
    """Hold the ledger of the open cell and where every device's clock stands."""

    clocks: Clocks
    ledger: Ledger = field(default_factory=lambda: Ledger(""))
    cell: str = ""
    _zero_s: float | None = None
    _began_s: float = 0.0
    _shifts: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self._zero_s is None:
            self._zero_s = self._began_s = self.clocks.monotonic()

    def begin(self, cell: str, lines: Sequence[Mapping[str, Any]], zero_s: float) -> None:
        """Open the ledger of a cell; `lines` is its journal, `zero_s` where the run's time is 0."""
        assert self._zero_s is not None
        moved_s, self._zero_s = zero_s - self._zero_s, zero_s
        before, self.ledger, self.cell = self.ledger, Ledger(cell), cell
        self._began_s = self.clocks.monotonic()
        self.ledger.take_up(lines)
        self.ledger.follow(before, moved_s)

    def judged(
        self,
        header: Mapping[str, Any],
        card: Card | None,
        asked: Collection[tuple[str, int, int]],
    ) -> Report:
        """Return the report in an answer.

        `card` is of the device that was asked, None at its first answer, whose entries are of the
        time before it was asked anything.

        Raises:
            RefusedError: if it is not to be used.
        """
        since_s, expected = math.inf, Expected(partition=range(1 << 20))
        if card is not None:
            since_s = self.clocks.monotonic() - self._began_s
            expected = Expected(
                card.device, card.partition, self.cell, self.ledger.attempt, asked, since_s,
                most_power_w(card.facts), most_model_w(card.facts),
            )  # fmt: skip
        report = read_report(header, expected)
        self.ledger.check(report, since_s)
        return report

    def bounds(self, before: ClockBounds, report: Report, sent_wall_s: float) -> ClockBounds:
        """Return how far the device's wall clock can be off, after this answer."""
        return before.narrowed(sent_wall_s, report.began_wall_s, report.wall_s, self.clocks.wall())

    def book(self, report: Report, card: Card) -> None:
        """Put what a device measured into the ledger."""
        assert self._zero_s is not None
        shift = ClockShift.of(
            report, card, self.clocks.wall(), self.clocks.monotonic(), self._zero_s
        )
        self._shifts[report.device] = shift.shift_s
        self.ledger.add(report, shift)

    def trace(self, device: str, content: bytes) -> tuple[float, bytes]:
        """Return a device's samples with the shift of its clock."""
        return self._shifts.get(device, 0.0), content
