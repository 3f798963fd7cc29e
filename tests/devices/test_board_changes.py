"""What two moments of a board tell about the window between them."""

from dataclasses import replace

import pytest

from devices.board_changes import changes
from devices.board_counters import Counters
from devices.board_state import (
    BoardState,
    ClockPinning,
    PowerMode,
    read_board_state,
    throttle_words,
)
from devices.host import HostState
from devices.programs import Answer, Programs

CALM = Counters(
    time_s=0.0, throttle={
        "core_throttle_count": 5, "oc1_event_cnt": 2, "oc3_event_cnt": 0, "get_throttled": 0,
    },
    swapped_pages=1000, busy_s=50.0, stolen_s=1.0, own_s=40.0, clock_limit_khz=6_000_000,
    cooling_steps=0,
)  # fmt: skip


def state(now=(), before=(), **counters):
    return BoardState(
        "", "", PowerMode("MAXN", 0), ClockPinning(True, "cpufreq"), now, before,
        HostState("performance", 50.0, {}), replace(CALM, **counters),
    )  # fmt: skip


def later(**counters):
    """The same board 10 s later, during which this process kept one core busy."""
    return state(**({"time_s": 10.0, "busy_s": 60.0, "own_s": 50.0} | counters))


def test_a_calm_window_has_no_flag():
    """Own work alone, whatever the counters stood at before, is no change."""
    assert changes(state(), later()) == []


@pytest.mark.parametrize(
    ("counters", "flag"),
    [
        ({"throttle": {"core_throttle_count": 6}}, "throttled"),
        ({"throttle": {"oc1_event_cnt": 3}}, "under-voltage"),
        ({"throttle": {"oc3_event_cnt": 1}}, "over-current"),
        ({"cooling_steps": 1}, "throttled"),
        ({"swapped_pages": 1257}, "swapped"),
        ({"busy_s": 61.1}, "foreign-load"),
        ({"stolen_s": 1.11}, "stolen-time"),
        ({"clock_limit_khz": 5_900_000}, "clock-limit-lowered"),
    ],
)
def test_each_counter_has_its_flag(counters, flag):
    """One counter that grew, or a limit that fell, gives one flag."""
    assert changes(state(), later(**counters)) == [flag]


@pytest.mark.parametrize(
    "counters",
    [
        {"swapped_pages": 1256},  # 1 MiB
        {"busy_s": 60.9},
        {"stolen_s": 1.09},
        {"clock_limit_khz": 6_100_000},
        {"throttle": {"core_throttle_count": 4}},  # started again
        {"throttle": {"package_throttle_count": 9}},  # not known before
        {"throttle": {"get_throttled": 0x50000}},  # bits, not events; told by their words
        {"swapped_pages": None, "busy_s": None, "stolen_s": None, "clock_limit_khz": None},
    ],
)
def test_what_is_no_change(counters):
    """Below the limits, upwards of a clock limit, or unknown: no flag."""
    assert changes(state(), later(**counters)) == []


def test_short_windows_say_nothing_of_load():
    """Processor time comes in ticks of 10 ms; a window of 0.5 s would flag at random."""
    assert changes(state(), later(time_s=0.5, busy_s=60.5, stolen_s=2.0)) == []


def test_set_up_that_changed():
    """Mode, governor and clocks are part of what was measured."""
    after = replace(
        later(),
        power_mode=PowerMode("15W", 2),
        clocks=ClockPinning(False, "cpufreq"),
        host=HostState("ondemand", 50.0, {}),
    )
    assert changes(state(), after) == ["power-mode-changed", "governor-changed", "clocks-changed"]
    assert changes(state(), replace(later(), power_mode=None, clocks=None)) == []  # no answer


def test_new_bits_of_the_pi():
    """A bit that appears in the window tells that it happened, whether it still acts or not."""
    _, past = throttle_words(0x50000)
    assert changes(state(), replace(later(), throttled_before=past)) == [
        "throttled", "under-voltage",
    ]  # fmt: skip
    now, past = throttle_words(0x80008)
    after = replace(later(), throttled_now=now, throttled_before=past)
    assert changes(state(), after) == ["soft-temperature-limit"]


def test_bits_that_were_set_before():
    """They never clear, so a new event would not show: said as such, unless it acts now."""
    _, past = throttle_words(0x50000)
    before = state(before=past)
    assert changes(before, replace(later(), throttled_before=past)) == [
        "maybe-throttled", "maybe-under-voltage",
    ]  # fmt: skip
    after = replace(later(), throttled_before=past, throttled_now=("throttled",))
    assert changes(before, after) == ["throttled", "maybe-under-voltage"]


def test_alarms_of_rails_are_one_flag():
    """However many rails, a crossed current limit is over-current."""
    words = ("over-current alarm curr1_crit_alarm", "over-current alarm curr2_crit_alarm")
    assert changes(state(), replace(later(), throttled_now=words)) == ["over-current"]


def answering(root, bits):
    """Programs of a fake Pi whose vcgencmd reports the bits."""
    program = root / "usr/bin/vcgencmd"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text("")
    program.chmod(0o755)
    return Programs(root, run=lambda words, limit_s: Answer(0, f"throttled={bits}\n"))


def test_a_pi_that_sags_between_two_snapshots(tmp_path):
    """Through files and programs: the supply sags while the window runs."""
    before = read_board_state(tmp_path, answering(tmp_path, "0x0"))
    after = read_board_state(tmp_path, answering(tmp_path, "0x50005"))
    assert changes(before, after) == ["throttled", "under-voltage"]
    assert changes(before, before) == []
