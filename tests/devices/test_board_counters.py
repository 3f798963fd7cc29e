"""Counters of the kernel, on a small fake tree."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.board_counters import (
    Counters,
    parse_process_s,
    parse_stat,
    parse_swapped,
    read_counters,
)

STAT = "cpu  1000 50 300 9000 70 20 30 400 600 0\ncpu0 500 25 150 4500 35 10 15 200 300 0\nintr 5\n"
PROCESS = "77 (my (odd) name) R 1 77 77 0 -1 4194560 900 0 0 0 120 30 7 3 20 0 4 0 55 1 2\n"


def test_busy_time_leaves_out_idle_waiting_stolen_and_guest_time():
    """1000+50+300+20+30 ticks of 10 ms are busy; guest time is inside user time already."""
    assert parse_stat(STAT) == (14.0, 4.0)


def test_old_kernels_without_steal_have_none_stolen():
    """The line grew over time; what is missing was not counted."""
    assert parse_stat("cpu 10 0 10 100\n") == (0.2, 0.0)


@pytest.mark.parametrize("text", ["", "cpu  1 2 3\n", "cpu0 1 2 3 4 5\n", "cpu  1 2 -3 4\n"])
def test_no_processor_line_is_unknown(text):
    """What is not the line of all cores gives no figure."""
    assert parse_stat(text) == (None, None)


def test_process_time_survives_brackets_in_the_name():
    """Fields 14 to 17 are counted from the last bracket: 120+30+7+3 ticks."""
    assert parse_process_s(PROCESS) == 1.6
    assert parse_process_s("77 (short) R 1 77") is None
    assert parse_process_s("") is None


def test_swapped_pages_need_both_directions():
    """Both counters must be there, whatever stands between them."""
    assert parse_swapped("nr_free 5\npswpin 7\nx 1\npswpout 35\npgin 8\n") == 42
    assert parse_swapped("pswpin 7\n") is None
    assert parse_swapped("pswpin 7\npswpout x\n") is None


def write(root, path, text):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_everything_from_one_tree(tmp_path, clock):
    """All counters come from files below the root, the collector's time among the own."""
    write(tmp_path, "proc/stat", STAT)
    write(tmp_path, "proc/vmstat", "pswpin 1\npswpout 2\n")
    write(tmp_path, "proc/self/stat", PROCESS)
    write(tmp_path, "proc/88/stat", PROCESS.replace("120", "20"))
    for core, limit in ((0, 1_500_000), (1, 1_800_000)):
        place = f"sys/devices/system/cpu/cpu{core}"
        write(tmp_path, f"{place}/cpufreq/scaling_max_freq", f"{limit}\n")
        write(tmp_path, f"{place}/thermal_throttle/core_throttle_count", "4\n")
    for number, (kind, state) in enumerate(
        (("pwm-fan", 3), ("cpufreq-cpu0", 2), ("intel_powerclamp", -1), ("gpu-throttle-alert", 1))
    ):
        write(tmp_path, f"sys/class/thermal/cooling_device{number}/type", kind)
        write(tmp_path, f"sys/class/thermal/cooling_device{number}/cur_state", f"{state}\n")
    assert read_counters(tmp_path, (88,), clock) == Counters(
        time_s=100.0,
        throttle={"core_throttle_count": 8},
        swapped_pages=3,
        busy_s=14.0,
        stolen_s=4.0,
        own_s=2.2,
        clock_limit_khz=3_300_000,
        cooling_steps=3,
    )


def test_an_empty_tree_knows_nothing(tmp_path, clock):
    """Nothing is made up where nothing is shown."""
    assert read_counters(tmp_path, (), clock) == Counters(100.0, {})


def test_an_own_process_that_is_gone_makes_the_own_time_unknown(tmp_path, clock):
    """Its time would otherwise turn into foreign load."""
    write(tmp_path, "proc/self/stat", PROCESS)
    assert read_counters(tmp_path, (), clock).own_s == 1.6
    assert read_counters(tmp_path, (99,), clock).own_s is None


def test_foreign_cores():
    """Both cores busy for 10 s, 15 s of it own: others took half a core."""
    before = Counters(0.0, {}, busy_s=100.0, own_s=50.0)
    after = Counters(10.0, {}, busy_s=120.0, own_s=65.0)
    assert after.foreign_cores(before) == pytest.approx(0.5)
    assert before.foreign_cores(before) is None
    assert after.foreign_cores(Counters(0.0, {})) is None


@given(text=st.text(max_size=120), line=st.sampled_from(["", "cpu  ", "1 (x) ", "pswpin "]))
@settings(max_examples=200, deadline=None)
def test_parsers_survive_anything(text, line):
    """Whatever the kernel might print gives a number of at least 0, or nothing."""
    for value in (
        *parse_stat(line + text),
        parse_process_s(line + text),
        parse_swapped(line + text),
    ):
        assert value is None or value >= 0
