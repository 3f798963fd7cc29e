"""Be the devices of a run: pass requests to them, and every answer to whom it concerns.

Who takes part is decided in `admission`, what is not answered stands in `pending`, answers are
taken in by `hearing`; what was reported is judged in `reports` and booked in `bookkeeping`, what
people see is in `device_status`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol

from harness.core.errors import raise_all
from harness.federated.trainers import RoundRequest, Trainers
from harness.fleet.admission import Admission
from harness.fleet.bookkeeping import Bookkeeping, Clocks
from harness.fleet.device_status import DeviceStatuses
from harness.fleet.exchange import FleetTrainers
from harness.fleet.hearing import Hearing, Registers
from harness.fleet.pending import PendingRequest, PendingRequests, with_acknowledgement
from harness.fleet.roster import Card, share_a_meter
from harness.fleet.settings import FleetSettings
from harness.fleet.transport import Arrival, Transport
from harness.fleet.wire import Frame
from harness.measurement.recorder import CellRecorder
from harness.records.cells import RemoteResult
from harness.workloads.registry import DEFAULT, find_workload

HELLO_S = 60.0
"""Longest wait for a device to say who it is."""
PREPARE_S = 1800.0
"""Longest wait for a device to open, or make, its data."""
REPORT_S = 60.0
"""Longest wait for what devices have left to report at the end of a cell."""
SETTLE_S = 0.5
SHOW_S = 1.0
"""Least time between two states that people are shown while a round is open."""


class FleetObserver(Protocol):
    """Show the fleet to people."""

    def fleet_note(self, text: str) -> None:
        """Show a sentence."""
        ...

    def fleet_state(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Show where every device stands."""
        ...


class Fleet:
    """Deal with the devices of a run; implements `RemoteClients` and `Dispatcher`."""

    def __init__(
        self,
        transport: Transport,
        settings: FleetSettings,
        observer: FleetObserver,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._transport = transport
        self._settings = settings
        self._observer = observer
        self._clock = clock
        self._admission = Admission(settings, self._is_there)
        self._pending = PendingRequests(transport, wall)
        self._books = Bookkeeping(Clocks(clock, wall))
        self._statuses = DeviceStatuses()
        registers = Registers(self._admission, self._pending, self._books, self._statuses)
        self._hearing = Hearing(registers, self, wall)
        self._recorder: CellRecorder | None = None
        self._shown_s = float("-inf")
        self.current: RoundRequest | None = None
        """The round that is open."""

    # who is there

    def gather(self) -> None:
        """Wait for devices, let them prepare, and check them.

        Raises:
            HarnessError: everything that must not be before round 1, at once.
        """
        end_s = self._clock() + self._settings.join_s
        while not self._admission.complete() and self._clock() < end_s:
            self._greet()
            self.answers(SETTLE_S)
        while self._admission.short_of_memory and self._meeting() and self._clock() < end_s:
            self.answers(SETTLE_S)  # one batch for all: every device shall say which fits it
        raise_all(self._admission.problems())
        for note in self._admission.notes():
            self.say(note)
        self.show()

    def refresh(self) -> None:
        """Let newcomers in, and note who has gone."""
        self._greet()
        end_s = self._clock() + HELLO_S
        while self._meeting() and self._clock() < end_s:
            self.answers(SETTLE_S)
        self.show()

    @property
    def begun(self) -> bool:
        """Say whether a cell was begun, so that those who come now come late."""
        return self._recorder is not None

    def let_prepare(self, card: Card) -> None:
        """Ask a device to prepare the run."""
        more = {"profile_batch": True} if self._settings.batch_from_profile else {}
        frame = Frame({"kind": "prepare", "config": self._settings.config, **more})
        self._send(card.node, card.device, frame)

    def _meeting(self) -> bool:
        return self._pending.meeting(self._is_there)

    def _is_there(self, node: int) -> bool:
        return node in self._transport.nodes()

    def _greet(self) -> None:
        present = set(self._transport.nodes())
        for node in self._admission.strangers(present, self._pending.nodes()):
            self._send(node, "", Frame({"kind": "hello"}))
        for card in self._admission.lost(present, self._pending.nodes()):
            self._send(card.node, card.device, Frame({"kind": "hello"}))

    def holder(self, client: int) -> tuple[str, int] | None:
        """Return name and node of the device that holds a client's data, if it is there."""
        card = self._admission.holder(client)
        return None if card is None else (card.device, card.node)

    # requests and answers

    def owes(self, device: str) -> bool:
        """Say whether a device has not answered a request that it can still answer."""
        card = self._admission.roster.get(device)
        return card is not None and self._pending.owes(card)

    def ask(self, device: str, frame: Frame) -> int:
        """Send a request to a device, with what it may forget."""
        card = self._admission.roster.get(device)
        assert card is not None
        return self._send(card.node, device, frame)

    def _send(self, node: int, device: str, frame: Frame) -> int:
        card = self._admission.roster.get(device)
        header = with_acknowledgement(frame.header, card, self._books.ledger.acknowledged)
        request = self.current if frame.kind == "train" else None
        if request is not None:
            self._statuses.trains(device, request.round_index)
        keep_s = max(4 * self._settings.deadline_s, PREPARE_S)
        return self._pending.send(
            node, device, Frame(header, frame.body), keep_s, cell=self._books.cell, request=request
        )

    def answers(self, wait_s: float) -> list[Arrival]:
        """Return answers to requests to train; all others are dealt with here."""
        found = []
        for arrival, pending in self._hearing.heard(self._transport.arrivals(wait_s)):
            if pending.request is not None:
                self._late(arrival, pending)
                found.append(arrival)
        if found and self._clock() > self._shown_s + SHOW_S:
            self.show()
        return found

    def _late(self, arrival: Arrival, pending: PendingRequest) -> None:
        """Note an answer to a round that is closed; its update is not used."""
        request = pending.request
        if request is None or request is self.current or pending.cell != self._books.cell:
            return
        what = "missing" if arrival.frame is None else "refused" if arrival.refused else "late"
        why = arrival.error or arrival.refused or "came too late"
        self.fate(request, pending.client, pending.device, what, why)

    def fate(
        self, request: RoundRequest, client: int, device: str, what: str, reason: str = ""
    ) -> None:
        """Note what became of a request and tell people if it is not used."""
        self._books.ledger.fate(request.job, request.round_index, client, device, what, reason)
        if device:
            self._statuses.of(device).state = "waiting" if what == "used" else what
        if what != "used":
            who = device or f"client {client}"
            self.say(f"{who}, round {request.round_index + 1}: {what}, {reason}")

    # cells

    @contextlib.contextmanager
    def waiting(self, round_index: int) -> Iterator[None]:
        """Mark the time in which the server waits for devices as idle."""
        if self._recorder is None:
            yield
            return
        with self._recorder.phase("idle", round_index=round_index):
            yield

    def begin(
        self, recorder: CellRecorder, lines: Sequence[Mapping[str, Any]], zero_s: float
    ) -> Trainers:
        """Begin a cell's ledger and return what trains its clients."""
        self._recorder = recorder
        self._hearing.begin_cell()
        self._pending.begin_cell()
        self._books.begin(recorder.cell, lines, zero_s)
        header: dict[str, object] = {"cell": recorder.cell, "attempt": self._books.ledger.attempt}
        if self._settings.batch_from_profile:
            header["profile_batch"] = True
        workload = find_workload(str(self._settings.config.get("workload", DEFAULT)))
        trainers = FleetTrainers(self, self._settings.deadline_s, header=header, wire=workload.wire)
        return _RoundTracker(self, trainers)

    def note(self) -> Mapping[str, Any]:
        """Return what devices reported since the last note."""
        return self._books.ledger.note()

    def conclude(self) -> RemoteResult:
        """Wait for what is still on its way, fetch the rest of the reports, and return the whole.

        A device that does not answer within `REPORT_S` is not waited for.
        """
        self.current = None
        traces: dict[str, tuple[float, bytes]] = {}
        asked: set[str] = set()
        end_s = self._clock() + REPORT_S
        self._greet()  # whoever was lost in the last round may have something to report
        while self._clock() < end_s and not self._all_reported(asked):
            for heard, pending in self._hearing.heard(self._transport.arrivals(SETTLE_S)):
                self._late(heard, pending)
                if heard.frame and not heard.refused and heard.frame.kind == "reported":
                    traces[pending.device] = self._books.trace(pending.device, heard.frame.body)
        found = self._books.ledger.conclude(traces)
        if share_a_meter(self._admission.roster.cards()):
            found = replace(found, flags=[*found.flags, "shared-meter"])
        return found

    def _all_reported(self, asked: set[str]) -> bool:
        """Ask every device that owes nothing for its last report, once; say if all have given it.

        `asked` are those that were asked.
        """
        lost = self._admission.lost(set(self._transport.nodes()), set())
        waiting = any(self._pending.owes(card) for card in lost)
        for card in self._admission.reachable():
            if self._pending.owes(card):
                waiting = True
            elif card.device not in asked:
                asked.add(card.device)
                since_s = self._books.ledger.started_s(card.session)
                label = {"cell": self._books.cell}
                self.ask(card.device, Frame({"kind": "report", "since_s": since_s, "label": label}))
                waiting = True
        return not waiting

    # what people see

    def describe(self) -> Mapping[str, Any]:
        """Return what the manifest says: the engine, how it is secured, every device."""
        settings = self._settings
        return {
            "engine": "fleet",
            "insecure": settings.insecure,
            "deadline_s": settings.deadline_s,
            "batch_from_profile": settings.batch_from_profile,
            "mixed_versions_allowed": settings.mixed,
            "devices": [
                {
                    "device": card.device, "partition": list(card.partition), **card.facts,
                    "prepared": card.prepared, "clock_bounds_s": list(asdict(card.clock).values()),
                    "steps": [asdict(check) for check in card.steps],
                    "launches": card.launched,
                    "refused": self._admission.why_refused(card),
                }
                for card in self._admission.roster.cards()
            ],
        }  # fmt: skip

    def say(self, text: str) -> None:
        """Tell people a sentence."""
        self._observer.fleet_note(text)

    def show(self) -> None:
        """Show where every device stands."""
        self._shown_s = self._clock()
        cards = self._admission.roster.cards()
        self._observer.fleet_state(
            self._statuses.rows(cards, self._books.ledger.energy_j, self._is_there)
        )


class _RoundTracker:
    """Tell the fleet which round is open while its updates come in."""

    def __init__(self, fleet: Fleet, trainers: FleetTrainers) -> None:
        self._fleet = fleet
        self._trainers = trainers

    def train(self, net: Any, weights: Any, request: RoundRequest) -> Iterator[Any]:  # noqa: ANN401
        """Yield the updates of a round."""
        self._fleet.current = request
        try:
            yield from self._trainers.train(net, weights, request)
        finally:
            self._fleet.current = None
            self._fleet.show()
