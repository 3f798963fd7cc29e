"""Know what people are shown of every device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.fleet.reports import Report
from harness.fleet.roster import Card


@dataclass
class DeviceStatus:
    """Hold where a device stands; `heard_s` is the wall clock of this host."""

    round: int | None = None
    watts: float | None = None
    temperature_c: float | None = None
    heard_s: float | None = None
    state: str = "joined"


class DeviceStatuses:
    """Follow every device from what is asked, answered and decided."""

    def __init__(self) -> None:
        self._known: dict[str, DeviceStatus] = {}

    def of(self, device: str) -> DeviceStatus:
        """Return where a device stands, to be changed; one that is new has joined."""
        return self._known.setdefault(device, DeviceStatus())

    def trains(self, device: str, round_index: int) -> None:
        """Note that a device was asked to train."""
        status = self.of(device)
        status.round, status.state = round_index, "training"

    def heard(self, report: Report, now_s: float) -> None:
        """Note what an answer says."""
        status = self.of(report.device)
        status.heard_s = now_s
        status.temperature_c = report.temperature_c
        watts = training_watts(report)
        status.watts = status.watts if watts is None else watts

    def rows(
        self,
        cards: Sequence[Card],
        energy_j: Callable[[str], float | None],
        is_there: Callable[[int], bool],
    ) -> list[dict[str, Any]]:
        """Return a row per device, as the status screen and file take it."""
        return [
            {
                "device": card.device, "partition": list(card.partition),
                **asdict(self.of(card.device)),
                "energy_j": energy_j(card.device), "here": is_there(card.node),
            }
            for card in cards
        ]  # fmt: skip


def training_watts(report: Report) -> float | None:
    """Return the mean power of the last training in a report; None if none was measured."""
    for entry in reversed(report.entries):
        joules = entry.reading.energy_j if entry.reading else None
        time_s = entry.segment.time_s
        if entry.segment.label.phase == "train" and joules is not None and time_s > 0:
            return joules / time_s
    return None
