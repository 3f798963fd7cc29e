"""Each room of the fleet alone: requests that are open, who is admitted, what people see."""

import itertools

import pytest

from harness.core.errors import FleetError, MemoryExceededError, RefusedError, StepRefusedError
from harness.federated.trainers import RoundRequest
from harness.fleet.admission import Admission
from harness.fleet.clock import ClockBounds
from harness.fleet.device_status import DeviceStatuses, training_watts
from harness.fleet.failures import all_refused, request_failed, told_failure
from harness.fleet.pending import PendingRequests, with_acknowledgement
from harness.fleet.reports import read_report
from harness.fleet.settings import FleetSettings
from harness.fleet.wire import Frame
from harness.workloads.multitask.training.client import LocalTraining, RoundSettings
from tests.harness.fleet.test_reports import ASKED, CARD, entry, report

REQUEST = RoundRequest("s", ("s",), 3, [1], 0, RoundSettings(LocalTraining(1, 1), 0.1, False))


class Counting:
    """Take frames and number them."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def send(self, node, frame, keep_s) -> int:
        return next(self._numbers)


def admission(present=(1, 2), **changes) -> Admission:
    values = {"config": {}, "clients": 2, "data": "c", "versions": {"torch": "2"}, **changes}
    return Admission(FleetSettings(**values), set(present).__contains__)


def ready(data="c"):
    return {"data": data, "images": {"0": 8}, "idle_w": None}


def test_a_request_is_pending_until_it_is_answered_and_remembered_as_asked() -> None:
    requests = PendingRequests(Counting(), lambda: 5.0)
    card, _ = admission().meet(1, CARD, ClockBounds())
    frame = Frame({"kind": "train", "client": 1})
    ticket = requests.send(1, "pi", frame, 9.0, cell="cell", request=REQUEST)
    assert requests.owes(card)
    assert requests.nodes() == {1}
    assert requests.take(ticket).sent_wall_s == 5.0
    assert requests.take(ticket) is None
    assert not requests.owes(card)
    assert requests.asked("pi") == {("s", 3, 1)}
    assert requests.asked("other") == frozenset()
    requests.begin_cell()
    assert requests.asked("pi") == frozenset()


def test_what_an_old_number_of_a_device_was_asked_is_waited_for_no_more() -> None:
    requests = PendingRequests(Counting(), lambda: 0.0)
    requests.send(7, "pi", Frame({"kind": "prepare"}), 9.0)
    assert requests.meeting({7}.__contains__)
    assert not requests.meeting({1}.__contains__)
    requests.forget_old(admission().meet(1, CARD, ClockBounds())[0])
    assert requests.nodes() == set()


def test_a_worker_is_told_what_it_may_forget() -> None:
    card, _ = admission().meet(1, CARD, ClockBounds())
    header = with_acknowledgement({"kind": "x"}, card, lambda device, session: len(device))
    assert header == {"kind": "x", "acknowledged": ["f00", 2]}
    assert with_acknowledgement({"kind": "x"}, None, lambda *_: 0) == {"kind": "x"}


def test_a_fleet_is_complete_when_every_client_has_a_device_that_is_ready() -> None:
    room = admission()
    assert room.strangers({1, 2}, asked={2}) == [1]
    room.meet(1, CARD, ClockBounds())
    assert not room.complete()
    assert "not ready" in str(room.problems()[0])
    assert room.prepared("pi", ready(), late=False) == ""
    assert room.complete()
    assert room.problems() == []
    assert room.holder(1).device == "pi"
    assert room.holder(5) is None


def test_a_device_that_contradicts_another_is_excluded_and_said() -> None:
    room = admission()
    room.meet(1, CARD, ClockBounds())
    with pytest.raises(FleetError, match="both hold client 0") as caught:
        room.meet(2, {**CARD, "device": "twin"}, ClockBounds())
    room.exclude(2, caught.value)
    assert room.complete()
    assert room.strangers({1, 2}, asked=set()) == []
    assert caught.value in room.problems()


def test_a_device_that_comes_late_is_checked_by_itself() -> None:
    room = admission(versions={"torch": "3"})
    room.meet(1, CARD, ClockBounds())
    why = room.prepared("pi", ready("other"), late=True)
    assert "its data are others" in why
    assert "torch 2 (server: 3)" in why
    assert room.holder(0) is None
    assert room.refuse("pi", FleetError(why))
    assert not room.refuse("pi", FleetError(why))
    with pytest.raises(RefusedError):
        room.prepared("pi", {**ready(), "images": "many"}, late=False)


def test_a_way_that_a_device_refuses_is_told_with_its_code_and_remedy() -> None:
    """What other devices are, or are not yet, makes no difference."""
    room = admission()
    room.meet(1, CARD, ClockBounds())
    header = {"code": "step-refused", "message": "bf16 steps\x1b of s", "remedy": "--step plain"}
    room.refuse("pi", told_failure(header, FleetError))
    assert room.complete()
    (problem,) = [x for x in room.problems() if "not ready" in x.message]
    assert isinstance(problem, StepRefusedError)
    assert problem.shown() == ("pi is not ready: bf16 steps  of s [step-refused]\n  --step plain")
    assert room.why_refused(room.roster.get("pi")) == "bf16 steps  of s"
    assert type(told_failure({**header, "code": "x"}, FleetError)) is FleetError


def test_errors_that_code_and_remedy_mend_keep_them_from_a_round_too() -> None:
    full = told_failure({"code": "memory", "message": "no room", "remedy": "8"}, request_failed)
    other = told_failure({"code": "data", "message": "torn", "remedy": "mend"}, request_failed)
    assert (type(full), type(other)) == (MemoryExceededError, RefusedError)
    both = all_refused([("pi", other), ("orin", full)])
    assert both.shown() == (
        "no update could be used: pi: it failed: torn; orin: no room [memory]\n  8"
    )
    assert type(all_refused([("pi", other)])) is RefusedError


GPU_CARD = {**CARD, "accelerator": {"name": "gpu", "gpu": "Orin", "why": "the device has one"}}
LATER = {**CARD, "session": "f01", "accelerator": {"name": "cpu", "why": "the GPU cannot train: x"}}


def test_a_device_whose_gpu_is_gone_does_not_go_on_with_its_processor() -> None:
    """Until its GPU is back; before it was prepared either may train."""
    room = admission()
    assert room.trains_otherwise(room.meet(1, LATER, ClockBounds())[0]) == ""
    card, _ = room.meet(1, GPU_CARD, ClockBounds())
    assert room.trains_otherwise(card) == ""
    room.prepared("pi", ready(), late=False)
    for session in ("f02", "f03"):
        gone, _ = room.meet(1, {**LATER, "session": session}, ClockBounds())
        assert room.trains_otherwise(gone) == (
            "its Orin has trained so far, and now its processor would: the GPU cannot train: x"
        )
    back, _ = room.meet(1, {**GPU_CARD, "session": "f04"}, ClockBounds())
    assert room.trains_otherwise(back) == ""


def test_how_a_device_trains_is_said_and_steps_of_all_its_workers_count() -> None:
    room = admission()
    room.meet(1, GPU_CARD, ClockBounds())
    room.prepared("pi", {**ready(), "own_words": ["5 MB, kept on the GPU"]}, late=False)
    assert "pi: 5 MB, kept on the GPU" in room.notes()
    room.roster.update("pi", launches={"f00": {"graph": 5, "x": 1}}, launch_faults=("x",))
    card, _ = room.meet(1, {**GPU_CARD, "session": "f01"}, ClockBounds())
    card = room.roster.update("pi", launches={**card.launches, "f01": {"graph": 2}})
    assert (card.launched, card.launch_faults) == ({"graph": 7, "x": 1}, ("x",))


def test_people_see_the_watts_of_the_last_training_and_where_a_device_stands() -> None:
    """20 J in a second, then idling without a figure."""
    idle = {**entry(2, 11.0, phase="idle"), "attempt": "", "reading": None}
    told = read_report(report(entry(), idle), ASKED)
    assert training_watts(told) == 20.0
    statuses = DeviceStatuses()
    statuses.trains("pi", 3)
    statuses.heard(told, 7.0)
    card, _ = admission().meet(1, CARD, ClockBounds())
    (row,) = statuses.rows([card], lambda _: 4.0, lambda _: False)
    assert row == {
        "device": "pi", "partition": [0, 1], "round": 3, "watts": 20.0, "temperature_c": 50.0,
        "heard_s": 7.0, "state": "training", "energy_j": 4.0, "here": False,
    }  # fmt: skip
