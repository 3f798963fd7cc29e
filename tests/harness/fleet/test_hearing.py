"""What a node answers is heard in memory that its answers do not make grow."""

from harness.fleet.bookkeeping import Bookkeeping, Clocks
from harness.fleet.clock import ClockBounds
from harness.fleet.device_status import DeviceStatuses
from harness.fleet.hearing import Hearing, Registers
from harness.fleet.pending import PendingRequests
from harness.fleet.transport import Arrival
from harness.fleet.wire import Frame
from tests.harness.fleet.test_reports import CARD, report
from tests.harness.fleet.test_rooms import Counting, admission


class Telling:
    """Be a host that has begun, and keep what it would say."""

    begun = True

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def let_prepare(self, card) -> None:
        """Ask for nothing."""


class Desk:
    """Let one device answer, as often as is wanted."""

    def __init__(self) -> None:
        self.admission = admission()
        self.admission.meet(1, CARD, ClockBounds())
        self.pending = PendingRequests(Counting(), lambda: 1e9)
        self.host = Telling()
        books = Bookkeeping(Clocks(lambda: 100.0, lambda: 1e9))
        registers = Registers(self.admission, self.pending, books, DeviceStatuses())
        self.hearing = Hearing(registers, self.host, lambda: 1e9)

    def answer(self, **changes):
        """Hear one answer to a request for what was measured; return the card after it."""
        ticket = self.pending.send(1, "pi", Frame({"kind": "report"}), 9.0)
        told = {**report(), "entries": [], **changes, "kind": "reported"}
        list(self.hearing.heard([Arrival(ticket, 1, Frame(told))]))
        return self.admission.roster.get("pi")


def test_only_the_worker_of_the_card_counts_its_launches() -> None:
    """A node that names ever new workers leaves one count, not one for each."""
    desk = Desk()
    desk.answer(launches={"graph": 5})
    for number in range(30):
        card = desk.answer(session=f"a{number}", launches={f"way {number}": 1})
    assert card.launches == {"f00": {"graph": 5}}
    assert desk.answer(launches={"graph": 7}).launched == {"graph": 7}


def test_a_device_that_names_ever_new_disturbances_is_heard_of_forty() -> None:
    desk = Desk()
    for number in range(5):
        desk.answer(flags=[f"x{number}-{n}" for n in range(30)])
    assert sum(text.count("x") for text in desk.host.said) == 40
