"""Know which requests are not answered, and what every device was asked in this cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.federated.trainers import RoundRequest
from harness.fleet.roster import Card
from harness.fleet.transport import Transport
from harness.fleet.wire import Frame


@dataclass(frozen=True)
class PendingRequest:
    """Hold a request that is not answered; `device` is empty until it has said its name."""

    device: str
    node: int
    sent_wall_s: float
    cell: str = ""
    request: RoundRequest | None = None
    client: int = -1


class PendingRequests:
    """Send requests and keep them until they are answered."""

    def __init__(self, transport: Transport, wall: Callable[[], float]) -> None:
        self._transport = transport
        self._wall = wall
        self._open: dict[int, PendingRequest] = {}
        self._asked: dict[str, set[tuple[str, int, int]]] = {}

    def begin_cell(self) -> None:
        """Forget what was asked for the cell before."""
        self._asked.clear()

    def send(
        self,
        node: int,
        device: str,
        frame: Frame,
        keep_s: float,
        *,
        cell: str = "",
        request: RoundRequest | None = None,
    ) -> int:
        """Send a request and return its ticket; `request` is what it asks to train, if it does."""
        ticket = self._transport.send(node, frame, keep_s)
        client = int(frame.header.get("client", -1))
        self._open[ticket] = PendingRequest(device, node, self._wall(), cell, request, client)
        if request is not None:
            asked = self._asked.setdefault(device, set())
            asked.add((request.job, request.round_index, client))
        return ticket

    def take(self, ticket: int) -> PendingRequest | None:
        """Return the request that an answer is of, which is pending no more."""
        return self._open.pop(ticket, None)

    def asked(self, device: str) -> frozenset[tuple[str, int, int]]:
        """Return job, round and client of all that a device was asked to train in this cell."""
        return frozenset(self._asked.get(device, ()))

    def nodes(self) -> set[int]:
        """Return the nodes that owe an answer."""
        return {pending.node for pending in self._open.values()}

    def owes(self, card: Card) -> bool:
        """Say whether a device has not answered a request that it can still answer."""
        return any(
            one.device == card.device and one.node == card.node for one in self._open.values()
        )

    def meeting(self, is_there: Callable[[int], bool]) -> bool:
        """Say whether a device is being met that has an answer to give soon."""
        return any(
            one.device == "" or (one.request is None and is_there(one.node))
            for one in self._open.values()
        )

    def forget_old(self, card: Card) -> None:
        """Wait no more for what a device was asked under an earlier number."""
        for ticket, one in list(self._open.items()):
            if one.device == card.device and one.node != card.node and one.request is None:
                del self._open[ticket]


def with_acknowledgement(
    header: Mapping[str, object], card: Card | None, number: Callable[[str, str], int]
) -> dict[str, object]:
    """Return the header of a request that also says which entries the worker may forget."""
    if card is None:
        return dict(header)
    return {**header, "acknowledged": [card.session, number(card.device, card.session)]}
