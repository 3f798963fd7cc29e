"""Ask devices to train the clients of a round, and close the round on time whatever they do.

Updates are averaged in the order of the clients, as sums of floats depend on it; one that comes out
of turn waits in a file, so that the server holds one model more, not one per device.
"""

from __future__ import annotations

import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import IO, Protocol

from harness.core.errors import HarnessError, RefusedError
from harness.federated.job import Checkpoint
from harness.federated.task import JobWork
from harness.federated.trainers import RoundRequest, Update
from harness.fleet.codec import (
    ClientReport,
    decode_result,
    decode_tensors,
    encode_request,
    encode_tensors,
)
from harness.fleet.failures import all_refused, request_failed, told_failure
from harness.fleet.transport import Arrival
from harness.fleet.wire import PROTOCOL, Frame
from harness.running.limits import BudgetReachedError
from harness.workloads.on_devices import WireCodec

TRIES = 3
"""How often a round is tried that nobody takes part in."""


class NobodyThereError(BudgetReachedError):
    """Stop the run at the end of its last round, as no device is left; it can go on later."""


class Dispatcher(Protocol):
    """Hand out requests and hear of answers; `harness.fleet.fleet` is the real one."""

    def refresh(self) -> None:
        """Look who is there."""
        ...

    def holder(self, client: int) -> tuple[str, int] | None:
        """Return name and node of the device that holds a client's data and can be asked."""
        ...

    def owes(self, device: str) -> bool:
        """Say whether a device has not answered its last request."""
        ...

    def ask(self, device: str, frame: Frame) -> int:
        """Send a request and return its ticket."""
        ...

    def answers(self, wait_s: float) -> list[Arrival]:
        """Return what has come; joules of every answer are in the ledger by then."""
        ...

    def fate(
        self, request: RoundRequest, client: int, device: str, what: str, reason: str = ""
    ) -> None:
        """Note what became of a request."""
        ...

    def say(self, text: str) -> None:
        """Tell people a sentence."""
        ...

    def waiting(self, round_index: int) -> AbstractContextManager[None]:
        """Mark the time in which the server waits."""
        ...


class _UpdateFile:
    """Keep updates that came out of turn, in a file that has no name."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._places: dict[int, tuple[int, int, ClientReport]] = {}
        self._end = 0

    def put(self, client: int, content: bytes, result: ClientReport) -> None:
        self._file.seek(self._end)
        self._file.write(content)
        self._places[client] = (self._end, len(content), result)
        self._end += len(content)

    def take(self, client: int) -> tuple[bytes, ClientReport] | None:
        if client not in self._places:
            return None
        start, length, result = self._places.pop(client)
        self._file.seek(start)
        return self._file.read(length), result

    def close(self) -> None:
        self._file.close()


@dataclass
class _Round:
    """Hold where a round stands."""

    request: RoundRequest
    work: JobWork
    weights: Checkpoint
    queues: dict[str, deque[int]] = field(default_factory=dict)
    asked: dict[int, tuple[int, str]] = field(default_factory=dict)
    over: set[int] = field(default_factory=set)
    refused: list[tuple[str, HarnessError]] = field(default_factory=list)
    waiting_updates: _UpdateFile = field(default_factory=_UpdateFile)
    _last: tuple[Checkpoint, bytes] | None = None

    def body(self, client: int) -> bytes:
        """Return what a client gets; where all get the same state it is written once."""
        sent = self.work.sent(self.weights, client)
        if self._last is None or self._last[0] is not sent:
            self._last = sent, encode_tensors(sent.tensors)
        return self._last[1]


class FleetTrainers:
    """Let devices train; implements `harness.federated.trainers.Trainers`."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        deadline_s: float,
        *,
        header: Mapping[str, object],
        wire: WireCodec,
        clock: Callable[[], float] = time.monotonic,
        poll_s: float = 0.2,
    ) -> None:
        """Close every round after `deadline_s`; `header` is part of every request."""
        self._dispatcher = dispatcher
        self._deadline_s = deadline_s
        self._header = header
        self._wire = wire
        self._clock = clock
        self._poll_s = poll_s

    def train(self, work: JobWork, weights: Checkpoint, request: RoundRequest) -> Iterator[Update]:
        """Yield the updates that come before the deadline, in the order of the clients.

        A round in which nobody is there, or everybody is lost, is tried again: it would teach
        nothing.

        Raises:
            RefusedError: if there were answers, and none could be used.
            HarnessError: of another code, if one of them told it with a remedy (`failures.KEPT`).
            NobodyThereError: if no device came to any try.
        """
        for left in reversed(range(TRIES)):
            state = _Round(request, work, weights)
            used = 0
            for update in self._once(state):
                used += 1
                yield update
            if used:
                return
            if state.refused:
                raise all_refused(state.refused)
            why = f"round {request.round_index + 1} of {request.job} had no device"
            self._dispatcher.say(
                f"{why}; " + ("it is tried again" if left else "the run stops here")
            )
        raise NobodyThereError(why)

    def _once(self, state: _Round) -> Iterator[Update]:
        """Yield the updates of one try."""
        index = state.request.round_index
        try:
            state.body(state.request.clients[0])  # the server's work, not its waiting
            with self._dispatcher.waiting(index):
                self._queue_clients(state, self._clock() + self._deadline_s)
            end_s = self._clock() + self._deadline_s
            for client in state.request.clients:
                with self._dispatcher.waiting(index):
                    found = self._wait_for(client, state, end_s)
                if found is not None:
                    content, result = found
                    tensors = decode_tensors(content, state.work.expected(client))
                    yield Update(client, tensors, result.losses, result.measured)
        finally:
            state.waiting_updates.close()

    def _queue_clients(self, state: _Round, end_s: float) -> None:
        """Queue every client at the device that holds its data, once one device is there."""
        clients = state.request.clients
        self._dispatcher.refresh()
        while (
            not any(self._dispatcher.holder(client) for client in clients) and self._clock() < end_s
        ):
            self._dispatcher.answers(self._poll_s)
            self._dispatcher.refresh()
        for client in clients:
            found = self._dispatcher.holder(client)
            if found is None:
                state.over.add(client)
                self._dispatcher.fate(
                    state.request, client, "", "missing", "no device holds its data"
                )
            else:
                state.queues.setdefault(found[0], deque()).append(client)

    def _wait_for(
        self, client: int, state: _Round, end_s: float
    ) -> tuple[bytes, ClientReport] | None:
        while client not in state.over:
            left_s = end_s - self._clock()
            if left_s <= 0:
                self._give_up(state)
                break
            self._send(state)
            for arrival in self._dispatcher.answers(min(self._poll_s, left_s)):
                self._take(arrival, state)
        return state.waiting_updates.take(client)

    def _send(self, state: _Round) -> None:
        """Ask every device that is free for its next client."""
        for device, queue in state.queues.items():
            if not queue or self._dispatcher.owes(device):
                continue
            client = queue.popleft()
            request = state.request
            label = {**self._label(request), "client": client}
            header = {
                "kind": "train", "client": client, "request": encode_request(request, self._wire),
                "label": label, **self._header,
            }  # fmt: skip
            ticket = self._dispatcher.ask(device, Frame(header, state.body(client)))
            state.asked[ticket] = (client, device)

    def _label(self, request: RoundRequest) -> dict[str, object]:
        cell = self._header.get("cell", "")
        return {"cell": cell, "job": request.job, "round": request.round_index}

    def _take(self, arrival: Arrival, state: _Round) -> None:
        """Shelve an update of this round, or note why there is none; others are not for here."""
        if arrival.ticket not in state.asked:
            return
        client, device = state.asked.pop(arrival.ticket)
        state.over.add(client)
        request = state.request
        if arrival.frame is None:
            self._dispatcher.fate(request, client, device, "missing", arrival.error)
            return
        try:
            if arrival.refused:
                raise RefusedError(arrival.refused)
            result = _read(arrival.frame, state, client, self._wire)
        except HarnessError as error:
            self._dispatcher.fate(request, client, device, "refused", error.message)
            state.refused.append((device, error))
            return
        state.waiting_updates.put(client, arrival.frame.body, result)
        self._dispatcher.fate(request, client, device, "used")

    def _give_up(self, state: _Round) -> None:
        """Close the round without those that have not answered."""
        reason = f"no answer within {self._deadline_s:g} s"
        for client, device in state.asked.values():
            self._dispatcher.fate(state.request, client, device, "missing", reason)
            state.over.add(client)
        for device, queue in state.queues.items():
            for client in queue:
                why = f"{device} was still busy with an earlier request"
                self._dispatcher.fate(state.request, client, "", "missing", why)
                state.over.add(client)
            queue.clear()
        state.asked.clear()


def _read(frame: Frame, state: _Round, client: int, wire: WireCodec) -> ClientReport:
    """Return the result in an answer, its weights checked.

    Raises:
        RefusedError: if the device failed, or its answer cannot be used.
        HarnessError: of another code, if the device told it with a remedy (`failures.KEPT`).
    """
    header = frame.header
    if header.get("protocol", PROTOCOL) != PROTOCOL:
        raise RefusedError(f"it speaks protocol {header['protocol']!r}, this server {PROTOCOL}")
    if frame.kind == "failed":
        raise told_failure(header, request_failed)
    if frame.kind != "update" or header.get("client") != client:
        raise RefusedError("its answer is no update of this client")
    result = decode_result(header, state.request, client, wire)
    decode_tensors(frame.body, state.work.expected(client))
    return result
