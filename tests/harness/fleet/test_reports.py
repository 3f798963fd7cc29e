"""Whatever a node reports is judged before it is used: lies of every kind, without a network."""

import copy
import json
import math
from dataclasses import replace

import pytest

from devices.energy import Reading
from harness.core.errors import RefusedError
from harness.fleet.bookkeeping import Bookkeeping, Clocks
from harness.fleet.clock import ClockBounds
from harness.fleet.codec import encode_reading
from harness.fleet.ledger import ClockShift, Ledger
from harness.fleet.preparation import read_prepared
from harness.fleet.reports import (
    COMPUTER_W,
    REFUSED_FIGURE,
    SLACK_S,
    Expected,
    most_power_w,
    read_report,
    refused_figures,
)
from harness.fleet.roster import read_card
from harness.fleet.strict import MOST_ITEMS, MOST_TEXT, read_facts
from harness.fleet.traces import trace_rows
from harness.fleet.wire import PROTOCOL, WireError, read_header

ASKED = Expected(
    "pi", (0, 1), "cell", "attempt", frozenset({("s", 0, 1), ("s", 1, 1)}), 60.0, most_w=50.0
)
READING = Reading(20.0, 10.0, 11.0, "m", "board", "counter", 9, 0.1, 0, 0.0, 0.1, (), "")


def entry(number=1, start_s=10.0, **label):
    reading = encode_reading(READING)
    return {
        "number": number, "attempt": "attempt",
        "segment": {
            "label": {"phase": "train", "cell": "cell", "job": "s", "round_index": 0, "client": 1,
                      "lent_by": "", **label},
            "start_s": start_s, "end_s": start_s + 1.0, "cpu_s": 0.5,
            "work": {"forwards": {"encoder": 6.0}, "trained": {"encoder": 2, "decoders": 2},
                     "bytes_moved": 0.0},
        },
        "reading": {**reading, "start_s": start_s, "end_s": start_s + 1.0},
        "time_model_s": None, "energy_model_j": 1.0,
    }  # fmt: skip


def report(*entries, **changes):
    return {
        "kind": "update", "device": "pi", "session": "f00", "began_wall_s": 1e9, "wall_s": 1e9 + 9,
        "monotonic_s": 100.0, "no_meter": "", "peak_memory_bytes": 1000, "temperature_c": 50.0,
        "entries": list(entries or [entry()]), **changes,
    }  # fmt: skip


def changed(path, value):
    """Return a report with one value of its only entry in another's place."""
    found = report()
    place = found["entries"][0]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return found


def test_an_honest_report_is_read_whole() -> None:
    found = read_report(report(entry(), entry(2, 11.0, round_index=1)), ASKED)
    assert [e.number for e in found.entries] == [1, 2]
    assert found.entries[0].reading == READING
    assert (found.temperature_c, found.peak_memory_bytes) == (50.0, 1000)
    assert refused_figures(found) == []


NUMBERS = [
    ("number",), ("segment", "start_s"), ("segment", "end_s"), ("segment", "cpu_s"),
    ("segment", "work", "trained", "encoder"), ("segment", "work", "bytes_moved"),
    ("segment", "work", "forwards", "encoder"), ("segment", "label", "client"),
    ("segment", "label", "round_index"), ("reading", "energy_j"), ("reading", "samples"),
    ("reading", "error_j"), ("reading", "start_s"), ("time_model_s",), ("energy_model_j",),
]  # fmt: skip


@pytest.mark.parametrize("path", NUMBERS, ids="-".join)
@pytest.mark.parametrize(
    "lie", ["12", math.nan, math.inf, -math.inf, int("9" * 400), True, {"a": 1}, [1]], ids=repr
)
def test_what_is_no_number_refuses_the_report(path, lie) -> None:
    with pytest.raises(RefusedError, match=r"report|entry"):
        read_report(changed(path, lie), ASKED)


TEXTS = [("attempt",), ("segment", "label", "phase"), ("segment", "label", "cell"),
         ("segment", "label", "job"), ("reading", "meter"), ("reading", "kind"),
         ("reading", "flags")]  # fmt: skip


@pytest.mark.parametrize("path", TEXTS, ids="-".join)
@pytest.mark.parametrize("lie", [7, None, {"a": 1}, "x" * (MOST_TEXT + 1)], ids=str)
def test_what_is_no_text_of_bounded_length_refuses_the_report(path, lie) -> None:
    with pytest.raises(RefusedError):
        read_report(changed(path, lie), ASKED)


@pytest.mark.parametrize(
    ("key", "lie"),
    [("wall_s", "now"), ("wall_s", int("9" * 400)), ("wall_s", -1.0), ("began_wall_s", 1e14),
     ("monotonic_s", None), ("temperature_c", "hot"), ("peak_memory_bytes", "x"),
     ("peak_memory_bytes", 1.5), ("peak_gpu_memory_bytes", "x"), ("entries", {}),
     ("entries", [None]), ("session", ""),
     ("session", "../x"), ("device", "other"), ("device", "../x"), ("no_meter", 3),
     ("entries", [entry()] * (MOST_ITEMS + 1))],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_a_report_that_is_none_is_refused(key, lie) -> None:
    with pytest.raises(RefusedError):
        read_report(report(**{key: lie}), ASKED)


@pytest.mark.parametrize("key", ["device", "session", "wall_s", "entries", "temperature_c"])
def test_a_report_that_lacks_something_is_refused(key) -> None:
    told = report()
    del told[key]
    with pytest.raises(RefusedError, match=key):
        read_report(told, ASKED)


def test_a_field_that_nobody_knows_refuses_the_report() -> None:
    with pytest.raises(RefusedError, match="unknown field 'more'"):
        read_report(changed(("segment", "label", "more"), 1), ASKED)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([entry(), entry()], "after entry 1"),
        ([entry(2), entry(1, 11.0)], "after entry 2"),
        ([entry(), entry(2, 10.5)], "overlap"),
        ([entry(start_s=100.0)], "no time before the report"),
        ([entry(start_s=-5.0)], "no time before the report"),
        ([entry(cell="other")], "another cell"),
        ([entry(job="d")], "not asked"),
        ([entry(round_index=7)], "not asked"),
        ([entry(client=0)], "not asked"),
        ([entry(client=5)], "does not hold"),
        ([entry(phase="cool-down")], "no phase"),
        ([{**entry(), "attempt": ""}], "which request"),
    ],
)
def test_stretches_that_were_not_asked_for_refuse_the_report(entries, words) -> None:
    with pytest.raises(RefusedError, match=words):
        read_report(report(*entries), ASKED)


def test_training_that_is_longer_than_its_cell_refuses_the_report() -> None:
    long = entry(start_s=0.0)
    long["segment"]["end_s"] = 90.0
    with pytest.raises(RefusedError, match="longer"):
        read_report(report(long), ASKED)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"energy_j": -1e6}, "below zero"), ({"energy_j": 1e12}, "at most 50 W"),
     ({"energy_j": 60.0}, "at most 50 W"), ({"error_j": -1.0}, "below zero"),
     ({"error_j": None}, "no bound"), ({"error_j": 1e15}, "± 1e+15 J in 1 s"),
     ({"start_s": 3.0}, "another time")],
)  # fmt: skip
def test_joules_that_cannot_be_true_are_refused_as_figures(change, words) -> None:
    """A second at 50 W at most; the work itself is kept, and the reason names what was said."""
    told = report()
    told["entries"][0]["reading"].update(change)
    found = read_report(told, ASKED)
    (one,) = found.entries
    assert one.reading.energy_j is None
    assert one.reading.error_j is None
    assert one.reading.flags == (REFUSED_FIGURE,)
    assert words in one.reading.reason
    assert refused_figures(found) == [one.reading.reason]
    assert one.segment.time_s == 1.0


def test_a_bound_without_joules_is_none() -> None:
    told = report()
    told["entries"][0]["reading"].update(energy_j=None, error_j=1e9, reason="gap")
    (one,) = read_report(told, ASKED).entries
    assert (one.reading.error_j, one.reading.reason) == (None, "gap")


def test_the_wide_bound_of_a_slow_meter_is_no_lie() -> None:
    """A battery's controller that averages over a minute: 50 W more or less for so long."""
    told = report()
    told["entries"][0]["reading"]["error_j"] = 50.0 * 60.0
    (one,) = read_report(told, ASKED).entries
    assert (one.reading.energy_j, one.reading.error_j) == (20.0, 3000.0)


@pytest.mark.parametrize(
    ("modelled", "kept"),
    [({"energy_model_j": 49.0}, True), ({"energy_model_j": 60.0}, False),
     ({"energy_model_j": 1e15}, False), ({"energy_model_j": -1.0}, False),
     ({"time_model_s": 300.0, "energy_model_j": 14_000.0}, True),
     ({"time_model_s": 300.0, "energy_model_j": 16_000.0}, False),
     ({"time_model_s": -1.0}, False), ({"time_model_s": 1e15, "energy_model_j": 1e15}, False)],
)  # fmt: skip
def test_modelled_figures_are_bounded_as_measured_ones(modelled, kept) -> None:
    """A second of at most 50 W, or 300 s of another device; what is refused is said and flagged."""
    told = report()
    told["entries"][0].update(modelled)
    expected = replace(ASKED, most_model_w=50.0)
    found = read_report(told, expected)
    (one,) = found.entries
    assert one.reading.energy_j == 20.0
    assert (one.energy_model_j is not None) == kept
    assert (one.time_model_s is not None) == (kept and "time_model_s" in modelled)
    assert bool(refused_figures(found)) == (not kept)
    ledger = Ledger("cell")
    ledger.add(found, ClockShift(0.0))
    assert ledger.conclude({}).flags == ([] if kept else [REFUSED_FIGURE])


@pytest.mark.parametrize(
    ("key", "lie"),
    [("temperature_c", 1e6), ("temperature_c", -300), ("peak_memory_bytes", -5),
     ("peak_memory_bytes", 1 << 49), ("peak_gpu_memory_bytes", -5),
     ("peak_gpu_memory_bytes", 1 << 49)],
)  # fmt: skip
def test_a_temperature_or_memory_of_no_board_is_empty_and_said(key, lie) -> None:
    found = read_report(report(**{key: lie}), ASKED)
    assert getattr(found, key) is None
    assert len(refused_figures(found)) == 1


def test_what_disturbed_a_device_is_the_cells_and_survives_the_journal() -> None:
    """What a worker says beside entries of no cell, or of another one, is not this cell's."""
    ledger, shift = Ledger("cell"), ClockShift(0.0)
    idle = {**entry(1, 10.0, phase="idle", cell=""), "attempt": "", "reading": None}
    ledger.add(read_report(report(idle, flags=["swapped"]), ASKED), shift)
    assert ledger.conclude({}).flags == []
    flags = ["gpu-power-brake", "under-voltage"]
    ledger.add(read_report(report(entry(2, 20.0), flags=flags), ASKED), shift)
    assert ledger.conclude({}).flags == flags
    again = Ledger("cell")
    again.take_up([json.loads(json.dumps(ledger.note()))])
    assert again.conclude({}).flags == flags


def test_a_refused_figure_leaves_the_cell_without_joules_and_flags_it() -> None:
    told = report()
    told["entries"][0]["reading"]["energy_j"] = 1e12
    ledger = Ledger("cell")
    expected = Expected("pi", (0, 1), "cell", ledger.attempt, ASKED.asked, 60.0, 50.0)
    told["entries"][0]["attempt"] = ledger.attempt
    ledger.add(read_report(told, expected), ClockShift(0.0))
    found = ledger.conclude({})
    assert found.cost.energy_j is None
    assert "pi: the device's 1e+12 J" in found.cost.energy_reason
    assert REFUSED_FIGURE in found.flags
    assert found.cost.time_s == 1.0


def test_an_entry_that_is_reported_again_counts_once_and_survives_the_journal() -> None:
    ledger = Ledger("")
    judged = read_report(report(), ASKED)
    for _ in range(2):
        ledger.add(judged, ClockShift(0.0))
    again = Ledger("")
    again.take_up([json.loads(json.dumps(ledger.note()))])
    assert len(ledger.rows()) == 1
    assert again.rows() == ledger.rows()
    assert again.acknowledged("pi", "f00") == 1
    assert again.acknowledged("other", "f00") == 0


def judged_entries(*entries, **changes):
    return read_report(report(*entries, **changes), ASKED)


def ledger_of_ten_seconds(cell="cell"):
    """Return a ledger that has entries 1 and 2 of a worker: from 10 s to 12 s of its clock."""
    ledger = Ledger(cell)
    ledger.attempt = "attempt"
    ledger.add(judged_entries(entry(), entry(2, 11.0)), ClockShift(0.0))
    return ledger


def after_another_cell():
    found = Ledger("next")
    found.follow(ledger_of_ten_seconds(), 0.0)
    return found


def after_a_restart():
    found = Ledger("cell")
    found.take_up([json.loads(json.dumps(ledger_of_ten_seconds().note()))])
    return found


KNOWING = pytest.mark.parametrize(
    "ledger", [ledger_of_ten_seconds, after_another_cell, after_a_restart]
)


@KNOWING
@pytest.mark.parametrize("start_s", [10.0, 10.5, 11.9, 9.1])
def test_a_second_that_was_reported_under_another_number_is_refused(ledger, start_s) -> None:
    with pytest.raises(RefusedError, match="reported before"):
        ledger().check(judged_entries(entry(3, start_s)), 60.0)


@KNOWING
def test_what_an_honest_worker_reports_is_taken(ledger) -> None:
    """What it has told already, what follows, another worker's clock, and what was late."""
    found = ledger()
    found.check(judged_entries(entry(), entry(2, 11.0), entry(3, 12.0)), 60.0)
    found.check(judged_entries(entry(3, 12.0 - SLACK_S / 2)), 60.0)
    found.check(judged_entries(entry(1, 10.0), session="f01"), 60.0)
    found.check(judged_entries(entry(0, 8.0), entry(4, 40.0)), 60.0)


def test_new_names_of_a_worker_make_its_cell_no_longer() -> None:
    """Two seconds are booked and a third is told by each new worker; the cell began 3 s ago."""
    ledger = ledger_of_ten_seconds()
    for number in range(6):
        told = judged_entries(entry(1, 10.0), session=f"a{number}")
        ledger.check(told, 3.0)
        ledger.add(told, ClockShift(0.0))
    with pytest.raises(RefusedError, match="trained for 9 s"):
        ledger.check(judged_entries(entry(1, 10.0), session="b"), 3.0)
    other = entry(1, 10.0)
    other["attempt"] = "earlier"
    ledger.check(judged_entries(other, session="b"), 3.0)


def test_what_was_refused_leaves_nothing_behind() -> None:
    ledger = ledger_of_ten_seconds()
    for number in range(20):
        ledger.check(judged_entries(session=f"a{number}"), 60.0)
    assert len(ledger._booked_s) == 1


def test_an_answer_with_a_second_told_twice_is_not_used() -> None:
    books = Bookkeeping(Clocks(lambda: 100.0, lambda: 1e9))
    books.begin("cell", [], 0.0)
    card = read_card(1, CARD, ClockBounds())
    told = report(entry())
    told["entries"][0]["attempt"] = books.ledger.attempt
    books.book(books.judged(told, card, ASKED.asked), card)
    told["entries"][0]["number"] = 2
    with pytest.raises(RefusedError, match="reported before"):
        books.judged(told, card, ASKED.asked)


def test_a_journal_that_was_edited_is_refused_with_what_to_type() -> None:
    ledger = Ledger("cell")
    ledger.add(read_report(report(), ASKED), ClockShift(0.0))
    line = copy.deepcopy(ledger.note())
    line["devices"]["entries"][0]["segment"]["end_s"] = "late"
    with pytest.raises(RefusedError) as caught:
        Ledger("cell").take_up([line])
    assert "--fresh" in caught.value.remedy


def test_the_limit_of_a_device_is_that_of_its_kind_and_rails_only_lower_it() -> None:
    """A Pi 5 at full load is modelled with 9.8 W; five times that is more than any supply gives."""
    rails = {"rails": [{"role": "total", "max_power_w": 15.0}, {"role": "witness"}]}
    huge = {"rails": [{"role": "total", "max_power_w": 1e9}]}
    assert 25.0 < most_power_w({"profile": "raspberry-pi-5"}) < 60.0
    assert most_power_w({"profile": "raspberry-pi-5", "meter": rails}) == 15.0
    assert most_power_w({"profile": "raspberry-pi-5", "meter": huge}) < 60.0
    assert most_power_w({"profile": "x86"}) == COMPUTER_W
    assert most_power_w({"profile": "../x"}) == COMPUTER_W


CARD = {
    "device": "pi", "session": "f00", "partition": [0, 1], "profile": "x86", "title": "t",
    "matches": True, "host": "h", "threads": 1, "profile_threads": 4, "profile_batch": 64,
    "meter": None, "meter_reason": "none", "versions": {"torch": "2"}, "clock": {"kept": None},
    "machine": "m",
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [{"partition": []}, {"partition": [1, 1]}, {"partition": [-1]}, {"partition": ["0"]},
     {"partition": 3}, {"title": {"a": 1}}, {"matches": "yes"}, {"threads": "x"}, {"meter": "rapl"},
     {"meter": {"name": 3}}, {"versions": [1]}, {"clock": {"most_error_s": "small"}},
     {"clock": {"kept": 3}}, {"title": "x" * (MOST_TEXT + 1)}],
    ids=str,
)  # fmt: skip
def test_a_card_that_is_none_is_refused(change) -> None:
    read_card(1, CARD, ClockBounds())
    with pytest.raises(RefusedError):
        read_card(1, {**CARD, **change}, ClockBounds())


def test_what_acts_on_a_terminal_is_taken_out_of_a_card() -> None:
    found = read_card(1, {**CARD, "host": "a\x1b[2Jb\u202ec"}, ClockBounds())
    assert found.facts["host"] == "a [2Jb c"


def test_facts_are_bounded_in_depth() -> None:
    deep: list = []
    for _ in range(50):
        deep = [deep]
    with pytest.raises(RefusedError, match="deeply"):
        read_facts(deep, "the meter")


@pytest.mark.parametrize(("idle_w", "kept"), [(3.0, 3.0), (None, None), (-1.0, None), (1e9, None)])
def test_idle_power_that_cannot_be_true_is_not_shown(idle_w, kept) -> None:
    told = {"data": "c", "images": {"0": 8}, "idle_w": idle_w}
    assert read_prepared(told, 50.0)["idle_w"] == kept
    with pytest.raises(RefusedError):
        read_prepared({**told, "idle_w": "3"}, 50.0)


@pytest.mark.parametrize(
    ("key", "lie"),
    [
        ("launches", {"graph": -1}), ("launches", {"graph": "many"}), ("launches", [1]),
        ("launches", {f"way {n}": 1 for n in range(41)}),
        ("launch_faults", [1]), ("launch_faults", "x" * (MOST_TEXT + 1)),
        ("flags", ["under+voltage"]), ("flags", ["x" * 41]), ("flags", ["a"] * 41), ("flags", "a"),
    ],
)  # fmt: skip
def test_launches_and_flags_that_are_none_refuse_the_report(key, lie) -> None:
    told = read_report(
        report(launches={"graph": 3}, launch_faults=["x"], flags=["gpu-xid-79"]), ASKED
    )
    assert (told.launches, told.launch_faults) == ({"graph": 3}, ("x",))
    assert told.flags == ("gpu-xid-79",)
    with pytest.raises(RefusedError, match=key):
        read_report(report(**{key: lie}), ASKED)


def test_what_a_device_has_settled_is_kept_and_bounded() -> None:
    ready = {"data": "c", "images": {}, "idle_w": None}
    told = read_prepared({**ready, "own_way": {"a": 1}, "own_words": list("abcdef")}, 5.0)
    assert (told["own_way"], told["own_words"]) == ({"a": 1}, list("abcd"))
    assert read_prepared(ready, 5.0)["own_way"] == {}
    for lie in ({"own_way": [1]}, {"own_way": {"a": math.inf}}, {"own_words": [1]}):
        with pytest.raises(RefusedError):
            read_prepared({**ready, **lie}, 5.0)


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 400, "[" * 100_000, '"' + "x"]
)
def test_a_header_with_what_json_cannot_mean_is_refused(text) -> None:
    content = f'{{"protocol": {PROTOCOL}, "x": {text}}}'.encode()
    with pytest.raises(WireError):
        read_header(content)


@pytest.mark.parametrize(
    "lie", ["nan,m,2\n", "inf,m,2\n", "x,m,2\n", "1.0,m,nan\n", "1.0,m,1e300\n", "1.0\n", "\0\n"]
)
def test_samples_that_are_none_are_left_out_and_the_others_kept(lie) -> None:
    content = f"t_s,rail,power_w\n1.0,m,2.0\n{lie}2.0,m,3.0\n".encode()
    found = trace_rows({"pi": (10.0, content)})
    assert [row["t_s"] for row in found if row.get("power_w")] == [11.0, 12.0]
    assert all(math.isfinite(row["t_s"]) for row in found)


def test_the_largest_peak_of_any_gpu_is_the_cells() -> None:
    """Two devices with a GPU and one without: 700 B, 900 B and nothing."""
    ledger = Ledger("cell")
    for number, peak in enumerate((700, 900, None), 1):
        told = report(entry(number), device=f"d{number}", peak_gpu_memory_bytes=peak)
        told["entries"][0]["attempt"] = ledger.attempt
        own = Expected(f"d{number}", (0, 1), "cell", ledger.attempt, ASKED.asked, 60.0, 50.0)
        ledger.add(read_report(told, own), ClockShift(0.0))
    found = ledger.conclude({})
    assert found.peak_gpu_memory_bytes == 900
    assert [row["peak_gpu_memory_bytes"] for row in found.rows] == [700, 900, None]


STEP = {"execution": "bf16", "network": "sd", "torch": "2.13", "accelerator": "Orin", "fault": ""}


def test_what_a_device_compared_is_read_as_strictly_as_all_else() -> None:
    told = read_report(report(steps=[{**STEP, "cosine": 0.999, "directionless": 4}]), ASKED).steps
    assert [(one.execution, one.cosine, one.directionless) for one in told] == [("bf16", 0.999, 4)]
    assert read_report(report(), ASKED).steps == ()


@pytest.mark.parametrize(
    "steps",
    ["none", [1], [{}], [{**STEP, "fault": None}], [{**STEP, "cosine": "1"}],
     [{**STEP, "loss": 1e300}], [{**STEP, "more": 1}], [{**STEP, "torch": "x" * (MOST_TEXT + 1)}]],
)  # fmt: skip
def test_a_comparison_that_is_none_refuses_the_report(steps) -> None:
    with pytest.raises(RefusedError, match="steps"):
        read_report(report(steps=steps), ASKED)
