"""Order, cool-down, idle power and conditions: what keeps cells comparable."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from devices.energy import Reading
from harness.config import ORDERS
from harness.core.disk import check_space
from harness.core.errors import StorageError, UsageError
from harness.measurement.conditions import Conditions, HostClocks, clock_flags
from harness.measurement.cooling import Calm, CoolDown, Gauges, cool_down, parse_cool_down
from harness.measurement.idle import IdlePower, net_energy, read_idle
from harness.records.conditions import ConditionSample
from harness.records.cost import Cost, total_cost
from harness.records.work import Work
from harness.run_folder.rows import condition_rows
from harness.run_folder.sessions import RunSession, next_session, read_sessions
from harness.running.matrix import ordered

ITEMS = ["a", "b", "c", "d"]


@pytest.mark.parametrize("order", ORDERS)
def test_every_method_runs_once_in_every_block(order: str) -> None:
    for block in range(8):
        assert sorted(ordered(ITEMS, order, 3, block)) == ITEMS


def test_interleaved_puts_each_method_in_each_place_equally_often() -> None:
    places = Counter(
        (place, item)
        for block in range(8)
        for place, item in enumerate(ordered(ITEMS, "interleaved", 0, block))
    )
    assert set(places.values()) == {2}
    assert len(places) == 16


def test_random_orders_differ_between_seeds_and_repeat_for_one() -> None:
    """24 orders of four: 40 seeds do not all draw the same, and a seed draws the same again."""
    drawn = [tuple(ordered(ITEMS, "random", seed, 0)) for seed in range(40)]
    assert len(set(drawn)) > 10
    assert drawn == [tuple(ordered(ITEMS, "random", seed, 0)) for seed in range(40)]
    assert {order[0] for order in drawn} == set(ITEMS)


class Cooling:
    """A device that cools by 1 °C, and calms down by 0.5 W, per second of sleep."""

    def __init__(self, start_c: float | None, start_w: float | None = None) -> None:
        self.now_s = 0.0
        self.start_c = start_c
        self.start_w = start_w
        self.looked: list[tuple[float, float]] = []

    def gauges(self) -> Gauges:
        return Gauges(self.read_c, self.read_w, self.sleep, lambda: self.now_s)

    def read_c(self) -> float | None:
        return None if self.start_c is None else self.start_c - self.now_s

    def read_w(self, since_s: float) -> float | None:
        """Mean of a straight line over the window: its value in the middle."""
        self.looked.append((since_s, self.now_s))
        middle_s = (since_s + self.now_s) / 2.0
        return None if self.start_w is None else self.start_w - 0.5 * middle_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.mark.parametrize(
    ("start_c", "last_cell_s", "slept_s", "cool"),
    [
        (50.0, 1000.0, 7.0, True),  # 43 °C is within 3 °C of 40 °C
        (50.0, 40.0, 4.0, False),  # a tenth of 40 s is too short
        (42.0, 1000.0, 0.0, True),
        (None, 1000.0, 0.0, None),  # no sensor, no waiting
    ],
)
def test_auto_waits_until_it_is_cool_but_not_for_long(start_c, last_cell_s, slept_s, cool) -> None:
    device = Cooling(start_c)
    auto = parse_cool_down("auto")
    assert cool_down(auto, Calm(40.0), last_cell_s, device.gauges()).calm is cool
    assert device.now_s == pytest.approx(slept_s)


@pytest.mark.parametrize(
    ("start_c", "start_w", "last_cell_s", "slept_s", "calm"),
    [
        # 5.5 W is a tenth above 5 W; from 8 W the mean of second n is 8 − 0.5·(n − ½) W: n = 6
        (40.0, 8.0, 1000.0, 6.0, True),
        (52.0, 8.0, 1000.0, 9.0, True),  # the temperature takes longer
        (40.0, 8.0, 30.0, 3.0, False),  # a tenth of 30 s is too short for the power
        (None, 8.0, 1000.0, 6.0, True),  # no thermometer: power alone decides
        (40.0, 4.0, 1000.0, 1.0, True),  # power is known after a look of a second
        (52.0, None, 1000.0, 9.0, True),  # the meter gives nothing: temperature alone decides
        (40.0, 8.0, 0.0, 0.0, True),  # no time to look at the power
    ],
)
def test_auto_waits_for_temperature_and_power(start_c, start_w, last_cell_s, slept_s, calm) -> None:
    device = Cooling(start_c, start_w)
    found = cool_down(parse_cool_down("auto"), Calm(40.0, 5.0), last_cell_s, device.gauges())
    assert found.calm is calm
    assert found.waited_s == pytest.approx(slept_s)
    assert device.now_s == pytest.approx(slept_s)
    assert all(end - begin == pytest.approx(1.0) for begin, end in device.looked)


@pytest.mark.parametrize(
    ("gpu_c", "last_cell_s", "slept_s", "calm"),
    [
        (60.0, 1000.0, 17.0, True),  # 43 °C of the GPU is within 3 °C of 40 °C; the host was sooner
        (60.0, 100.0, 10.0, False),  # within the same limit: a tenth of the cell before
        (41.0, 1000.0, 7.0, True),  # the host takes longer
        (None, 1000.0, 7.0, True),  # a card that does not tell is not waited for
    ],
)
def test_auto_waits_for_the_gpu_too(gpu_c, last_cell_s, slept_s, calm) -> None:
    device = Cooling(50.0)
    read_gpu_c = (lambda: None) if gpu_c is None else lambda: gpu_c - device.now_s
    gauges = replace(device.gauges(), read_gpu_c=read_gpu_c)
    found = cool_down(parse_cool_down("auto"), Calm(40.0, None, 40.0), last_cell_s, gauges)
    assert (found.calm, device.now_s) == (calm, pytest.approx(slept_s))


def test_a_number_of_seconds_is_waited_and_off_is_not() -> None:
    """After a fixed pause the last second tells whether it was long enough."""
    device = Cooling(60.0, 20.0)
    found = cool_down(parse_cool_down("12"), Calm(50.0, 5.0), 1.0, device.gauges())
    assert (found.calm, found.now) == (False, Calm(48.0, 14.25))
    assert device.looked == [(11.0, 12.0)]
    assert device.now_s == 12.0
    off = cool_down(parse_cool_down("off"), Calm(40.0), 1.0, device.gauges())
    assert (off.calm, device.now_s) == (False, 12.0)
    assert parse_cool_down("off") == CoolDown(auto=False)
    for text in ("-1", "nan", "soon", "inf"):
        with pytest.raises(UsageError, match="auto, off or seconds"):
            parse_cool_down(text)


def reading(energy_j: float, seconds: float, error_j: float) -> Reading:
    return Reading(
        energy_j, 100.0, 100.0 + seconds, "m", "board", "counter", 9, 0.1, 0, 0.0, error_j, (), ""
    )


def test_net_energy_takes_the_mean_idle_power_off_and_bounds_its_error() -> None:
    """10 s at 5 W net of (2 + 3)/2 W: 25 J; error 1 J + 10 s·(½·1 W + ½·(0.1 + 0.3) W) = 8 J."""
    idle = IdlePower().with_reading("before", reading(4.0, 2.0, 0.2))
    assert net_energy(50.0, 1.0, {1: 10.0}, {1: idle}) == (30.0, None)
    idle = idle.with_reading("after", reading(6.0, 2.0, 0.6))
    net_j, error_j = net_energy(50.0, 1.0, {1: 10.0}, {1: idle})
    assert net_j == pytest.approx(25.0)
    assert error_j == pytest.approx(8.0)
    assert read_idle(idle.as_dict()) == idle


def test_each_sitting_is_net_of_its_own_idle_power() -> None:
    """4 s at 2 W and 6 s at 1 W idle of 50 J leave 36 J; without idle power nothing is known."""
    idle = {1: IdlePower(2.0), 2: IdlePower(1.0, 1.0, 0.0, 0.0)}
    assert net_energy(50.0, 1.0, {1: 4.0, 2: 6.0}, idle) == (36.0, None)
    assert net_energy(50.0, 1.0, {1: 4.0, 3: 6.0}, idle) == (None, None)
    assert net_energy(None, None, {1: 4.0}, idle) == (None, None)


def test_parts_add_up_and_one_without_joules_leaves_the_whole_without() -> None:
    one = Cost(2.0, None, 10.0, 1.0, "", 7.0, Work({"encoder": 3.0}, {"encoder": 1, "decoders": 2}))
    two = Cost(3.0, None, 20.0, 2.0, "", 8.0, Work({"encoder": 4.0}, {"encoder": 3, "decoders": 4}))
    whole = total_cost([one, two])
    assert (whole.time_s, whole.energy_j, whole.energy_error_j) == (5.0, 30.0, 3.0)
    assert (whole.energy_model_j, whole.time_model_s, whole.energy_reason) == (15.0, None, "")
    assert whole.work == Work({"encoder": 7.0}, {"encoder": 4, "decoders": 6})
    spoilt = replace(two, energy_j=None, energy_error_j=None, energy_reason="gap")
    assert total_cost([one, spoilt]).energy_j is None
    assert total_cost([one, spoilt]).energy_reason == "gap"


def test_the_runs_time_goes_on_over_sittings() -> None:
    """One boot: the same zero, pause included. Another boot: on from the last known moment."""
    first = next_session([], 0.0, "boot-a", 500.0)
    assert first == RunSession(1, "boot-a", 500.0)
    assert next_session([first], 20.0, "boot-a", 600.0) == RunSession(2, "boot-a", 500.0)
    assert next_session([first], 20.0, "boot-b", 7.0) == RunSession(2, "boot-b", -13.0)
    assert next_session([RunSession(1, "", 5.0)], 20.0, "", 7.0).zero_s == -13.0  # no word: unknown
    assert read_sessions({"sessions": [first.as_dict()]}) == [first]


@pytest.mark.parametrize(
    ("before", "after", "flags"),
    [
        ((10.0, 1e9), (10.0, 1e9 + 0.4), []),
        ((10.0, 1e9), (10.0, 1e9 - 7200.0), ["clock-step"]),
        ((10.0, 1e9), (70.0, 1e9), ["slept"]),
        ((10.0, 1e9), (70.0, 1e9 + 3600.0), ["slept", "clock-step"]),
    ],
)
def test_a_clock_that_is_set_and_a_host_that_sleeps_are_told_apart(before, after, flags) -> None:
    assert clock_flags(before, after) == flags


def test_a_disk_that_is_too_small_is_refused_with_need_and_have(tmp_path) -> None:
    check_space(tmp_path / "not" / "there", 1.0)
    with pytest.raises(StorageError, match="need about 1000000000 MB"):
        check_space(tmp_path, 1e15)


class _FixedClock:
    """Show three clocks that agree."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def clocks(self) -> HostClocks:
        return HostClocks(*(lambda: self.now_s for _ in range(3)))


def _warm(root: Path, celsius: float, throttled: int) -> None:
    """Write a thermal zone and a core's throttle counter as the kernel shows them."""
    zone = root / "sys/class/thermal/thermal_zone0"
    core = root / "sys/devices/system/cpu/cpu0/thermal_throttle"
    for folder in (zone, core):
        folder.mkdir(parents=True, exist_ok=True)
    (zone / "type").write_text("cpu-thermal\n")
    (zone / "temp").write_text(f"{celsius * 1000:.0f}\n")
    (core / "core_throttle_count").write_text(f"{throttled}\n")


def test_every_look_at_the_board_is_a_row_on_the_clock_of_the_run(tmp_path: Path) -> None:
    """The cell began at 100 s of the host's clock, 40 s after the run; it throttles later on."""
    clock = _FixedClock()
    _warm(tmp_path, 41.5, throttled=3)
    conditions = Conditions(root=tmp_path, clocks=clock.clocks(), zero_s=60.0)
    clock.now_s = 110.0
    _warm(tmp_path, 55.0, throttled=3)
    second = conditions.so_far()
    clock.now_s = 120.0
    _warm(tmp_path, 83.0, throttled=4)
    rows = condition_rows([conditions.first, second, conditions.at_end()])
    assert [(row["t_s"], row["temperature_c"]) for row in rows] == [
        (40.0, 41.5), (50.0, 55.0), (60.0, 83.0),
    ]  # fmt: skip
    assert ["throttled" in str(row["flags"]) for row in rows] == [False, False, True]


def test_a_board_that_shows_nothing_has_no_conditions() -> None:
    """No file is written for looks without temperature and without flags."""
    assert condition_rows([ConditionSample(1.0, None), ConditionSample(2.0, None)]) == []


def test_the_temperature_of_a_card_alone_is_worth_a_row() -> None:
    (row,) = condition_rows([ConditionSample(1.0, None, (), 71.0)])
    assert (row["temperature_c"], row["gpu_temperature_c"], row["flags"]) == (None, 71.0, "")
