"""Say what a fleet needs from whatever carries its frames."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

from harness.fleet.wire import Frame


@dataclass(frozen=True)
class Arrival:
    """Hold what came back for a ticket: a frame, or in words why there is none.

    `refused` says why its report, and with it the frame, is not used.
    """

    ticket: int
    node: int
    frame: Frame | None
    error: str = ""
    refused: str = ""


class Transport(Protocol):
    """Carry frames to nodes and back; a node has one number as long as its program lives."""

    def nodes(self) -> AbstractSet[int]:
        """Return the nodes that can be sent to."""
        ...

    def send(self, node: int, frame: Frame, keep_s: float) -> int:
        """Send a frame and return its ticket; its answer is waited for at most `keep_s`."""
        ...

    def arrivals(self, wait_s: float) -> Sequence[Arrival]:
        """Return what has come, waiting if nothing has, but not longer than `wait_s`.

        Raises:
            FleetError: if nothing can come any more.
        """
        ...
