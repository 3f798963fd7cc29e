"""Be the devices of a run: who is there, who owes an answer, what was reported, what to show."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from harness.core.errors import FleetError, HarnessError, raise_all
from harness.federated.trainers import RoundRequest, Trainers
from harness.fleet.clock import ClockBounds
from harness.fleet.exchange import FleetTrainers
from harness.fleet.ledger import ClockShift, Ledger
from harness.fleet.roster import (
    Card,
    Roster,
    clock_notes,
    problems,
    read_card,
    share_a_meter,
)
from harness.fleet.transport import Arrival, Transport
from harness.fleet.wire import Frame
from harness.running.recorder import CellRecorder
from harness.running.remote_clients import RemoteResult

HELLO_S = 60.0
"""Longest wait for a device to say who it is."""
PREPARE_S = 1800.0
"""Longest wait for a device to open, or make, its data."""
REPORT_S = 60.0
"""Longest wait for what devices have left to report at the end of a cell."""
SETTLE_S = 0.5
SHOW_S = 1.0
"""Least time between two looks that people are given while a round is open."""


@dataclass(frozen=True)
class FleetSettings:
    """Say how the server deals with its devices.

    `config` is what devices are to prepare, `data` the checksum of the server's data, `versions`
    those of the server. A round closes after `deadline_s`. `begin_with` devices are waited for
    before round 1, at most `join_s` (0: until every client has a device). `batch_from_profile` lets
    every device train in the batches of its profile; `mixed` lets other versions pass.
    """

    config: Mapping[str, Any]
    clients: int
    data: str
    versions: Mapping[str, Any]
    deadline_s: float = 600.0
    join_s: float = 600.0
    begin_with: int = 0
    batch_from_profile: bool = False
    mixed: bool = False
    sample_s: float = 0.1
    insecure: bool = False


class FleetObserver(Protocol):
    """Show the fleet to people."""

    def fleet_note(self, text: str) -> None:
        """Show a sentence."""
        ...

    def fleet_state(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Show where every device stands."""
        ...


@dataclass
class _Seen:
    """Hold what is shown of a device."""

    round: int | None = None
    watts: float | None = None
    temperature_c: float | None = None
    heard_s: float | None = None
    state: str = "joined"


@dataclass(frozen=True)
class _Owed:
    """Hold a request that is not answered."""

    device: str
    node: int
    sent_wall_s: float
    cell: str = ""
    request: RoundRequest | None = None
    client: int = -1


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
        self._wall = wall
        self._roster = Roster()
        self._owed: dict[int, _Owed] = {}
        self._seen: dict[str, _Seen] = {}
        self._ledger = Ledger("")
        self._recorder: CellRecorder | None = None
        self._zero_s = clock()
        self._refused: dict[str, str] = {}
        self._clashes: list[HarnessError] = []
        self._shifts: dict[str, float] = {}
        self._shown_s = float("-inf")
        self.current: RoundRequest | None = None
        """The round that is open."""

    # before round 1

    def gather(self) -> None:
        """Wait for devices, let them prepare, and check them.

        Raises:
            HarnessError: everything that must not be before round 1, at once.
        """
        end_s = self._clock() + self._settings.join_s
        while not self._complete() and self._clock() < end_s:
            self._look_around()
            self.answers(SETTLE_S)
        cards = self._roster.cards()
        found = [*self._clashes, *self._not_ready(cards)]
        clients = self._settings.clients if not self._settings.begin_with else 0
        found += problems(
            cards, clients, self._settings.data, self._settings.versions, mixed=self._settings.mixed
        )
        if len(cards) < max(self._settings.begin_with, 1):
            found.append(FleetError(
                f"{len(cards)} of {max(self._settings.begin_with, 1)} devices came within"
                f" {self._settings.join_s:g} s", "Start more nodes, or lower --begin-with."
            ))  # fmt: skip
        raise_all(found)
        for note in clock_notes(cards, self._settings.sample_s):
            self._observer.fleet_note(note)
        for devices in share_a_meter(cards):
            self._observer.fleet_note(
                f"{', '.join(devices)} are one machine: the meter of each sees the others' work"
                " too, so their joules say nothing about a device and must not be added"
            )
        self.show()

    def _not_ready(self, cards: Sequence[Card]) -> list[HarnessError]:
        return [
            FleetError(f"{card.device} is not ready: {self._refused.get(card.device, 'no answer')}")
            for card in cards
            if card.prepared is None
        ]

    def _complete(self) -> bool:
        if self._clashes or self._refused:
            return True
        ready = [card for card in self._roster.cards() if card.prepared is not None]
        if self._settings.begin_with:
            return len(ready) >= self._settings.begin_with
        held = {client for card in ready for client in card.partition}
        return held >= set(range(self._settings.clients))

    def refresh(self) -> None:
        """Let newcomers in, and note who has gone."""
        self._look_around()
        end_s = self._clock() + HELLO_S
        while self._meeting() and self._clock() < end_s:
            self.answers(SETTLE_S)
        self.show()

    def _meeting(self) -> bool:
        """Say whether a device is being met that has an answer to give soon."""
        return any(
            owed.device == "" or (owed.request is None and self._is_there(owed.node))
            for owed in self._owed.values()
        )

    def _is_there(self, node: int) -> bool:
        return node in self._transport.nodes()

    def _look_around(self) -> None:
        present = self._transport.nodes()
        asked = {owed.node for owed in self._owed.values()}
        for node in self._roster.unknown(present):
            if node not in asked:
                self._send(node, "", Frame({"kind": "hello"}))

    # requests and answers

    def holder(self, client: int) -> tuple[str, int] | None:
        """Return name and node of the device that holds a client's data, if it is there."""
        card = self._roster.holder(client)
        if card is None or card.prepared is None or not self._is_there(card.node):
            return None
        return card.device, card.node

    def owes(self, device: str) -> bool:
        """Say whether a device has not answered a request that it can still answer."""
        card = self._roster.get(device)
        return card is not None and any(
            owed.device == device and owed.node == card.node for owed in self._owed.values()
        )

    def ask(self, device: str, frame: Frame) -> int:
        """Send a request to a device, with what it may forget."""
        card = self._roster.get(device)
        assert card is not None
        return self._send(card.node, device, frame)

    def _send(self, node: int, device: str, frame: Frame) -> int:
        header = dict(frame.header)
        card = self._roster.get(device)
        if card is not None:
            header["acknowledged"] = [card.session, self._ledger.acknowledged(card.session)]
        keep_s = max(4 * self._settings.deadline_s, PREPARE_S)
        ticket = self._transport.send(node, Frame(header, frame.body), keep_s)
        request = self.current if header["kind"] == "train" else None
        client = int(header.get("client", -1))
        self._owed[ticket] = _Owed(device, node, self._wall(), self._cell, request, client)
        if device in self._seen and request is not None:
            self._seen[device].round = request.round_index
            self._seen[device].state = "training"
        return ticket

    def answers(self, wait_s: float) -> list[Arrival]:
        """Return answers to requests to train; all others are dealt with here."""
        found = []
        for arrival in self._transport.arrivals(wait_s):
            owed = self._owed.pop(arrival.ticket, None)
            if owed is None:
                continue
            if arrival.frame is not None:
                self._hear(arrival.frame, owed)
            if owed.request is not None:
                self._late(arrival, owed)
                found.append(arrival)
            elif arrival.frame is None and owed.device in self._seen:
                self._seen[owed.device].state = arrival.error
        if found and self._clock() > self._shown_s + SHOW_S:
            self.show()
        return found

    def _hear(self, frame: Frame, owed: _Owed) -> None:
        """Take in what every answer says; one that cannot be read is refused by name."""
        header = frame.header
        try:
            if frame.kind == "card":
                self._meet(header, owed)
            elif frame.kind == "failed" and owed.device == "":
                raise FleetError(str(header.get("message")), str(header.get("remedy", "")))
            elif frame.kind == "prepared":
                self._prepared(header, owed)
            elif frame.kind == "failed" and owed.request is None:
                self._refuse(owed.device, str(header.get("message")))
            self._book(header, owed)
        except FleetError as error:
            self._roster.ignore(owed.node)
            self._clashes.append(error)
            self._observer.fleet_note(f"a node is refused: {error.message}")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self._observer.fleet_note(
                f"{owed.device or owed.node}: its report cannot be read ({error!r})"
            )

    def _refuse(self, device: str, why: str) -> None:
        if device not in self._refused:
            self._observer.fleet_note(f"{device} cannot take part: {why}")
        self._refused[device] = why

    def _meet(self, header: Mapping[str, Any], owed: _Owed) -> None:
        bounds = self._bounds(ClockBounds(), header, owed)
        card = read_card(owed.node, header, bounds)
        clash = self._roster.clash(card, self._is_there)
        if clash:
            raise FleetError(clash, "Give every node a --partition and a --name of its own.")
        before = self._roster.put(card)
        if before is not None and before.session == card.session:
            self._roster.update(card.device, prepared=before.prepared)
        self._forget_old(card)
        self._seen.setdefault(card.device, _Seen()).state = "joined"
        came = "joined" if before is None else "came back"
        self._observer.fleet_note(f"{card.device} {came}: {card.facts.get('host')}")
        if before is None or before.session != card.session or before.prepared is None:
            frame = Frame({"kind": "prepare", "config": self._settings.config})
            self._send(card.node, card.device, frame)

    def _forget_old(self, card: Card) -> None:
        """Wait no more for what a device was asked under an earlier number."""
        for ticket, owed in list(self._owed.items()):
            if owed.device == card.device and owed.node != card.node and owed.request is None:
                del self._owed[ticket]

    def _prepared(self, header: Mapping[str, Any], owed: _Owed) -> None:
        device = owed.device
        told = {key: header.get(key) for key in ("data", "images", "idle_w")}
        if self._recorder is not None:  # it came late, so it is checked by itself
            wrong = [] if told["data"] == self._settings.data else ["its data are others"]
            card = self._roster.get(device)
            if card and not self._settings.mixed:
                wrong += [
                    f"{name} is {card.versions.get(name)}, not {version}"
                    for name, version in self._settings.versions.items()
                    if card.versions.get(name) != version
                ]
            if wrong:
                self._refuse(device, "; ".join(wrong))
                return
        self._roster.update(device, prepared=told)
        self._seen[device].watts = told["idle_w"]
        self._seen[device].state = "ready"

    def _bounds(self, before: ClockBounds, header: Mapping[str, Any], owed: _Owed) -> ClockBounds:
        return before.narrowed(
            owed.sent_wall_s, float(header["began_wall_s"]), float(header["wall_s"]), self._wall()
        )

    def _book(self, header: Mapping[str, Any], owed: _Owed) -> None:
        """Put what a device measured into the ledger."""
        device = str(header["device"])
        card = self._roster.get(device)
        if card is None or (owed.device and device != owed.device):
            return
        card = self._roster.update(device, clock=self._bounds(card.clock, header, owed))
        moment = ClockShift.of(header, card, self._wall(), self._clock(), self._zero_s)
        self._shifts[device] = moment.shift_s
        self._ledger.add(header, moment)
        seen = self._seen.setdefault(device, _Seen())
        seen.heard_s = self._wall()
        seen.temperature_c = header.get("temperature_c")
        watts = _watts(header.get("entries", []))
        seen.watts = seen.watts if watts is None else watts

    def _late(self, arrival: Arrival, owed: _Owed) -> None:
        """Note an answer to a round that is closed; its update is not used."""
        if owed.request is None or owed.request is self.current or owed.cell != self._cell:
            return
        what = "missing" if arrival.frame is None else "late"
        self.fate(owed.request, owed.client, owed.device, what, arrival.error or "came too late")

    def fate(
        self, request: RoundRequest, client: int, device: str, what: str, reason: str = ""
    ) -> None:
        """Note what became of a request and tell people if it is not used."""
        self._ledger.fate(request.job, request.round_index, client, device, what, reason)
        if device in self._seen:
            self._seen[device].state = "waiting" if what == "used" else what
        if what != "used":
            who = device or f"client {client}"
            self._observer.fleet_note(f"{who}, round {request.round_index + 1}: {what}, {reason}")

    @contextlib.contextmanager
    def waiting(self, round_index: int) -> Iterator[None]:
        """Mark the time in which the server waits for devices as idle."""
        if self._recorder is None:
            yield
            return
        with self._recorder.phase("idle", round_index=round_index):
            yield

    def say(self, text: str) -> None:
        """Tell people a sentence."""
        self._observer.fleet_note(text)

    # cells

    def begin(
        self, recorder: CellRecorder, lines: Sequence[Mapping[str, Any]], zero_s: float
    ) -> Trainers:
        """Begin a cell's ledger and return what trains its clients."""
        self._recorder = recorder
        moved_s, self._zero_s = zero_s - self._zero_s, zero_s
        before = self._ledger
        self._ledger = Ledger(recorder.cell)
        self._ledger.take_up(lines)
        self._ledger.follow(before, moved_s)
        header: dict[str, object] = {"cell": recorder.cell, "attempt": self._ledger.attempt}
        if self._settings.batch_from_profile:
            header["profile_batch"] = True
        return _Current(self, FleetTrainers(self, self._settings.deadline_s, header=header))

    def note(self) -> Mapping[str, Any]:
        """Return what devices reported since the last note."""
        return self._ledger.note()

    def conclude(self) -> RemoteResult:
        """Wait for what is still on its way, fetch the rest of the reports, and return the whole.

        A device that does not answer within `REPORT_S` is not waited for.
        """
        self.current = None
        traces: dict[str, tuple[float, bytes]] = {}
        asked: set[str] = set()
        end_s = self._clock() + REPORT_S
        while self._clock() < end_s and not self._all_reported(asked):
            for arrival in self._transport.arrivals(SETTLE_S):
                owed = self._owed.pop(arrival.ticket, None)
                if owed is None:
                    continue
                if arrival.frame is not None:
                    self._hear(arrival.frame, owed)
                self._late(arrival, owed)
                if arrival.frame is not None and arrival.frame.kind == "reported":
                    traces[owed.device] = (self._shifts.get(owed.device, 0.0), arrival.frame.body)
        found = self._ledger.conclude(traces)
        if share_a_meter(self._roster.cards()):
            found = replace(found, flags=[*found.flags, "shared-meter"])
        return found

    def _all_reported(self, asked: set[str]) -> bool:
        """Ask every device that owes nothing for its last report, once; say if all have given it.

        `asked` are those that were asked.
        """
        waiting = False
        for card in self._roster.cards():
            if not self._is_there(card.node) or card.prepared is None:
                continue
            if self.owes(card.device):
                waiting = True
            elif card.device not in asked:
                asked.add(card.device)
                since_s = self._ledger.started_s(card.session)
                frame = {"kind": "report", "since_s": since_s, "label": {"cell": self._cell}}
                self.ask(card.device, Frame(frame))
                waiting = True
        return not waiting

    @property
    def _cell(self) -> str:
        return self._recorder.cell if self._recorder else ""

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
                }
                for card in self._roster.cards()
            ],
        }  # fmt: skip

    # what people see

    def state(self) -> list[dict[str, Any]]:
        """Return where every device stands."""
        return [
            {
                "device": card.device, "partition": list(card.partition),
                **asdict(self._seen.get(card.device, _Seen())),
                "energy_j": self._ledger.energy_j(card.device),
                "here": self._is_there(card.node),
            }
            for card in self._roster.cards()
        ]  # fmt: skip

    def show(self) -> None:
        """Show where every device stands."""
        self._shown_s = self._clock()
        self._observer.fleet_state(self.state())


class _Current:
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


def _watts(entries: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the mean power of the last training in a report."""
    for entry in reversed(entries):
        reading = entry.get("reading") or {}
        trained = entry["segment"]["label"]["phase"] == "train"
        time_s = float(entry["segment"]["end_s"]) - float(entry["segment"]["start_s"])
        if trained and reading.get("energy_j") is not None and time_s > 0:
            return float(reading["energy_j"]) / time_s
    return None
