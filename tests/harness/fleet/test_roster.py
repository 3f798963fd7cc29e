"""Who is in a fleet, whose clock is off, and what is kept until it is acknowledged."""

import pytest

from devices.power_model import PowerModel
from harness.core.errors import BusyError, FleetError, UsageError
from harness.fleet.clock import ClockBounds, clock_state
from harness.fleet.commands.keys import main as make_keys
from harness.fleet.commands.node import _alone
from harness.fleet.commands.server import fleet_config
from harness.fleet.commands.status import main as status
from harness.fleet.keys import check_names
from harness.fleet.outbox import Outbox
from harness.fleet.roster import Card, Roster, clock_notes, share_a_meter
from harness.fleet.worker import read_partition
from harness.measurement.cost import Accountant
from harness.measurement.measuring import MeasuringSession
from harness.measurement.meters import MeterSet
from harness.records.phases import Label, Segment
from harness.records.work import Work
from harness.workloads.multitask.config import make_multitask_config


def card(device="a", node=1, session="s", partition=(0,), machine="m", clock=None, **facts) -> Card:
    return Card(device, node, session, partition, {"machine": machine, **facts}, {},
                clock or ClockBounds())  # fmt: skip


def test_the_true_offset_lies_within_the_bounds_and_they_close_in() -> None:
    """A clock 3 s ahead; messages that took 2 s there and 1 s back, then 0.1 s and 0.2 s."""
    bounds = ClockBounds()
    for sent_s, there_s, back_s in ((100.0, 2.0, 1.0), (200.0, 0.1, 0.2)):
        arrived_s = sent_s + there_s + 3.0
        bounds = bounds.narrowed(sent_s, arrived_s, arrived_s + 5.0, sent_s + there_s + 5 + back_s)
        assert bounds.least_s <= 3.0 <= bounds.most_s
    assert bounds.width_s == pytest.approx(0.3)
    assert bounds.certain_s == pytest.approx(2.8)


def test_a_clock_that_is_off_by_more_than_a_sample_is_named() -> None:
    off = card("off", clock=ClockBounds(2.0, 2.5))
    right = card("right", clock=ClockBounds(-0.01, 0.02))
    wide = ClockBounds(-2.0, 2.0)
    vague = Card("vague", 1, "s", (0,), {"clock": {"kept": False}}, {}, wide)
    told = {"clock": {"kept": True, "most_error_s": 0.01}}
    kept = Card("kept", 1, "s", (0,), told, {}, wide)
    notes = clock_notes([off, right, vague, kept], 0.1)
    assert len(notes) == 2
    assert "off by at least 2.00 s" in notes[0]
    assert "vague is known to ±2.00 s" in notes[1]


def test_the_kernel_says_whether_a_time_server_keeps_the_clock() -> None:
    state = clock_state()
    assert set(state) >= {"kept", "most_error_s"}
    assert state["kept"] in (True, False, None)


def test_one_client_belongs_to_one_device_that_is_there() -> None:
    roster = Roster()
    roster.put(card("a", 1, partition=(0, 1)))
    here = {1, 2}.__contains__
    assert "both hold client 1" in roster.clash(card("b", 2, partition=(1,)), here)
    assert roster.clash(card("b", 2, partition=(2,)), here) == ""
    assert roster.clash(card("a", 2, partition=(0, 1)), here) == ""  # it began anew
    assert "two machines" in roster.clash(card("a", 2, partition=(0, 1), machine="n"), here)
    assert roster.clash(card("b", 2, partition=(1,)), {2}.__contains__) == ""  # a is gone


def test_a_device_that_comes_back_takes_its_place_and_its_old_number_is_never_asked() -> None:
    roster = Roster()
    roster.put(card("a", 1))
    assert roster.unknown([1, 2]) == [2]
    roster.put(card("a", 2))
    assert roster.unknown([1, 2]) == []
    assert roster.holder(0).node == 2


def test_devices_that_are_one_machine_share_its_meter() -> None:
    """A simulated meter sees nothing, and a device without a meter measures nothing."""
    rapl, fake = {"name": "rapl"}, {"name": "simulated:kind=counter"}
    one = [card("a", meter=rapl), card("b", meter=rapl), card("c", machine="n", meter=rapl)]
    assert share_a_meter(one) == [["a", "b"]]
    assert share_a_meter([card("a", meter=fake), card("b", meter=fake)]) == []
    assert share_a_meter([card("a", meter=rapl), card("b")]) == []


def test_entries_are_reported_until_they_are_acknowledged() -> None:
    outbox = Outbox(10.0)
    power = PowerModel(1.0, 2.0, 4, "test")
    session = MeasuringSession(MeterSet((), "none here"), accountant=Accountant(power, None))
    outbox.spent(Label("start-up"), 12.0)
    outbox.spent(Label("idle"), 15.0)
    outbox.add(Segment(Label("train", "c", "s", 0, 1), 15.0, 16.0, 1.0, Work()))
    outbox.label(Label("", "c", "s", 0))
    for _ in range(2):
        found = outbox.report(session)
        assert [e["number"] for e in found] == [1, 2, 3]
    labels = [e["segment"]["label"] for e in found]
    assert [(label["phase"], label["cell"]) for label in labels] == [
        ("start-up", ""), ("idle", "c"), ("train", "c"),
    ]  # fmt: skip
    outbox.acknowledge(2)
    assert [e["number"] for e in outbox.report(session)] == [3]
    assert outbox.until_s == 16.0


def test_two_nodes_of_one_name_do_not_run_on_one_machine(tmp_path) -> None:
    with _alone(tmp_path, "a"):
        second = _alone(tmp_path, "a")
        with pytest.raises(BusyError, match="another node called a"):
            second.__enter__()


@pytest.mark.parametrize(("text", "found"), [("0", (0,)), ("0-2", (0, 1, 2)), ("1,4", (1, 4))])
def test_partitions_are_typed_like_seeds(text, found) -> None:
    assert read_partition(text) == found


@pytest.mark.parametrize("text", ["x", "1,1", "", "3-1"])
def test_a_partition_that_makes_no_sense_is_refused(text) -> None:
    with pytest.raises(UsageError, match="--partition"):
        read_partition(text)


@pytest.mark.parametrize("name", ["../x", "server", "", "a/b", ".hidden"])
def test_a_name_that_may_not_stand_in_a_path_is_refused(name) -> None:
    with pytest.raises(UsageError, match="cannot be a device's name"):
        check_names([name])


def test_no_two_boards_share_a_key(tmp_path) -> None:
    """The second would be let in as the first; nothing is written before this is said."""
    words = ["--server", "1.2.3.4", "--nodes", "a,b, a", "--out", str(tmp_path / "k")]
    with pytest.raises(UsageError, match=r"^a: named twice"):
        make_keys(words)
    assert not (tmp_path / "k").exists()


@pytest.mark.parametrize(
    "changes", [{"meter": "none"}, {"device": "jetson-nano"}, {"share_jobs": True}]
)
def test_options_of_a_single_device_are_refused_by_the_server(changes) -> None:
    with pytest.raises(UsageError):
        fleet_config(make_multitask_config(changes))


def test_status_without_a_server_says_what_to_type(tmp_path) -> None:
    with pytest.raises(FleetError) as caught:
        status([f"--state={tmp_path}"])
    assert "harness.fleet server" in caught.value.remedy
