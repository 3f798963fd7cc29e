"""Take in what devices answer: who they are, what they prepared, measured, or failed at.

An answer that is not to be used is refused by name; nothing a device says ends the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from harness.core.errors import FleetError, GpuLostError, HarnessError, RefusedError
from harness.fleet.admission import Admission
from harness.fleet.bookkeeping import Bookkeeping
from harness.fleet.clock import ClockBounds
from harness.fleet.device_status import DeviceStatuses
from harness.fleet.failures import told_failure
from harness.fleet.pending import PendingRequest, PendingRequests
from harness.fleet.preparation import MOST_WORDS
from harness.fleet.reports import MOST_FLAGS, Report, refused_figures
from harness.fleet.roster import Card
from harness.fleet.strict import clean_text
from harness.fleet.transport import Arrival
from harness.fleet.wire import Frame


@dataclass(frozen=True)
class Registers:
    """Hold what is known of the devices: who takes part, owes what, measured what, stands where."""

    admission: Admission
    pending: PendingRequests
    books: Bookkeeping
    statuses: DeviceStatuses


class Host(Protocol):
    """Be what asks the devices."""

    @property
    def begun(self) -> bool:
        """Say whether a cell was begun, so that those who come now come late."""
        ...

    def say(self, text: str) -> None:
        """Tell people a sentence."""
        ...

    def let_prepare(self, card: Card) -> None:
        """Ask a device to prepare the run."""
        ...


class Hearing:
    """Hear the devices of a run; `wall` is this host's wall clock."""

    def __init__(self, registers: Registers, host: Host, wall: Callable[[], float]) -> None:
        self._admission = registers.admission
        self._pending = registers.pending
        self._books = registers.books
        self._statuses = registers.statuses
        self._host = host
        self._wall = wall
        self._disturbed: dict[str, set[str]] = {}

    def begin_cell(self) -> None:
        """Name disturbances anew: they are said once a cell."""
        self._disturbed.clear()

    def heard(self, arrivals: Iterable[Arrival]) -> Iterator[tuple[Arrival, PendingRequest]]:
        """Take in answers; yield each that was waited for, as far as it is to be used."""
        for arrival in arrivals:
            pending = self._pending.take(arrival.ticket)
            if pending is None:
                continue
            found = self._hear(arrival, pending)
            if pending.request is None and arrival.frame is None and pending.device:
                self._statuses.of(pending.device).state = arrival.error
            yield found, pending

    def refuse(self, device: str, error: HarnessError) -> None:
        """Note, and say once, why a device cannot take part."""
        if self._admission.refuse(device, error):
            self._host.say(f"{device} cannot take part: {error.message}")

    def _hear(self, arrival: Arrival, pending: PendingRequest) -> Arrival:
        if arrival.frame is None:
            return self._of_the_worker_asked(arrival, pending)
        try:
            self._understand(arrival.frame, pending)
        except RefusedError as error:
            self._answer_refused(pending, error)
            return replace(arrival, refused=error.message)
        except FleetError as error:
            self._admission.exclude(pending.node, error)
            self._host.say(f"a node is refused: {error.message}")
        return self._of_the_worker_asked(arrival, pending)

    def _answer_refused(self, pending: PendingRequest, error: RefusedError) -> None:
        """Say whose answer is not used; before round 1 nobody waits for such a node any more."""
        who = pending.device or f"node {pending.node}"
        self._host.say(f"{who}: refused, {error.message}")
        if pending.device:
            if pending.request is None:
                self.refuse(pending.device, FleetError(error.message))
        elif not self._host.begun:
            remedy = "Mend or stop that node, then type the same command again."
            self._admission.exclude(
                pending.node, FleetError(f"{who} is refused: {error.message}", remedy)
            )
        else:
            self._admission.roster.ignore(pending.node)

    def _of_the_worker_asked(self, arrival: Arrival, pending: PendingRequest) -> Arrival:
        """Return an answer; none if the worker that was asked to train is gone or a new one.

        Its SuperNode lives on, so nothing else tells of it. The device is asked who it is before it
        is asked anything else, and prepared again if need be.
        """
        card = self._admission.roster.get(pending.device) if pending.device else None
        if card is None or pending.request is None:
            return arrival
        if arrival.frame is None:
            self._admission.lose(card.device)
            return arrival
        header = arrival.frame.header
        gone = header.get("code") == GpuLostError.code  # such a worker ends: it has no GPU any more
        if arrival.frame.kind != "failed" or (header.get("session") == card.session and not gone):
            return arrival
        said = clean_text(header.get("message"))
        if gone:
            self._admission.lose(card.device)
            return replace(arrival, frame=None, error=f"{said} [{GpuLostError.code}]")
        why = f"its worker was started anew ({said})" if "session" in header else said
        self._admission.lose(card.device)
        return replace(arrival, frame=None, error=why)

    def _understand(self, frame: Frame, pending: PendingRequest) -> None:
        header = frame.header
        if frame.kind == "failed" and "session" not in header:
            self._failed(header, pending)  # the way to the worker failed: nothing is reported
            return
        card = self._admission.roster.get(pending.device) if pending.device else None
        report = self._books.judged(header, card, self._pending.asked(pending.device))
        for figure in refused_figures(report):
            self._host.say(f"{report.device}: a figure is refused, {figure}")
        if frame.kind == "card":
            card = self._meet(header, report, pending)
        elif frame.kind == "prepared":
            self._prepared(pending.device, header)
        elif frame.kind == "failed":
            self._failed(header, pending)
        if card is not None:
            self._book(report, card.device, pending)

    def _failed(self, header: Mapping[str, Any], pending: PendingRequest) -> None:
        error = told_failure(header, FleetError)
        if not pending.device:
            raise error
        if pending.request is None and not self._admission.is_lost(pending.device):
            self.refuse(pending.device, error)

    def _meet(self, header: Mapping[str, Any], report: Report, pending: PendingRequest) -> Card:
        bounds = self._books.bounds(ClockBounds(), report, pending.sent_wall_s)
        card, before = self._admission.meet(pending.node, header, bounds)
        self._pending.forget_old(card)
        self._statuses.of(card.device).state = "joined"
        came = "joined" if before is None else "came back"
        self._host.say(f"{card.device} {came}: {card.facts['host']}; {card.trains_words}")
        if before is None or before.session != card.session or before.prepared is None:
            self._prepare_again(card)
        return card

    def _prepare_again(self, card: Card) -> None:
        """Let a device prepare the run, unless something else than before would train there."""
        other = self._admission.trains_otherwise(card)
        if other and self._host.begun:
            remedy = "Mend its GPU, restart it, then start its node anew."
            self.refuse(card.device, FleetError(other, remedy))
            return
        self._host.let_prepare(card)

    def _prepared(self, device: str, header: Mapping[str, Any]) -> None:
        wrong = self._admission.prepared(device, header, late=self._host.begun)
        if wrong:
            self.refuse(device, FleetError(wrong))
            return
        card = self._admission.roster.get(device)
        assert card is not None
        assert card.prepared is not None
        status = self._statuses.of(device)
        status.watts, status.state = card.prepared["idle_w"], "ready"
        if self._host.begun:  # before round 1 all are told of together
            for words in card.prepared["own_words"]:
                self._host.say(f"{device}: {words}")

    def _book(self, report: Report, device: str, pending: PendingRequest) -> None:
        roster = self._admission.roster
        known = roster.get(device)
        assert known is not None
        bounds = self._books.bounds(known.clock, report, pending.sent_wall_s)
        launches = known.launches
        if report.session == known.session:  # else a node could name ever new workers
            launches = {**launches, report.session: report.launches}
        self._say_disturbed(report)
        for fault in report.launch_faults:
            if fault not in known.launch_faults:
                self._host.say(f"{device}: steps are launched one by one, {fault}")
        faults = tuple(dict.fromkeys((*known.launch_faults, *report.launch_faults)))[:MOST_WORDS]
        self._books.book(report, roster.update(
            device, clock=bounds, steps=report.steps, launches=launches, launch_faults=faults,
        ))  # fmt: skip
        self._statuses.heard(report, self._wall())

    def _say_disturbed(self, report: Report) -> None:
        """Name a device that was slowed down or disturbed, once a cell for every flag."""
        if not self._host.begun:
            return
        told = self._disturbed.setdefault(report.device, set())
        fresh = [flag for flag in report.flags if flag not in told][: MOST_FLAGS - len(told)]
        if fresh:
            told.update(fresh)
            flags = ", ".join(fresh)
            self._host.say(f"{report.device}: {flags}; its figures of this cell are marked")
