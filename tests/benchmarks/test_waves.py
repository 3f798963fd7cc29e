"""Closed forms of the waves and of what sensors show of them, against slow sums."""

import math

import pytest

from tests.benchmarks.player import parse_source, play
from tests.benchmarks.table import quantile
from tests.benchmarks.waves import WAVES, AveragingSensor, EnergyCounter, Wave

SHAPES = [
    Wave("constant", idle_w=3.0, low_w=5.0, high_w=35.0, idle_s=0.5, body_s=2.0),
    Wave("steps", 3.0, 5.0, 35.0, period_s=0.1, idle_s=0.5, body_s=2.0),
    Wave("ramps", 3.0, 5.0, 35.0, period_s=0.8, idle_s=0.5, body_s=2.4),
]


def power_w(wave, time_s):
    """The power as the shapes are described, independent of their integrals."""
    inside_s = time_s % wave.cycle_s - wave.idle_s
    if not 0.0 <= inside_s < wave.body_s:
        return wave.idle_w
    if wave.shape == "constant":
        return 0.5 * (wave.low_w + wave.high_w)
    share = inside_s % wave.period_s / wave.period_s
    if wave.shape == "steps":
        return wave.high_w if share < 0.5 else wave.low_w
    rise = 2.0 * share if share < 0.5 else 2.0 - 2.0 * share
    return wave.low_w + (wave.high_w - wave.low_w) * rise


@pytest.mark.parametrize("wave", SHAPES, ids=lambda wave: wave.shape)
@pytest.mark.parametrize("edges_s", [(0.0, 1.0), (0.3, 0.7), (0.61, 2.17), (1.0, 9.37)])
def test_energy_is_the_integral_of_the_power(wave, edges_s):
    """Midpoint sums of 50 µs agree with the closed form, across cycles too."""
    start_s, end_s = edges_s
    count = round((end_s - start_s) / 50e-6)
    step_s = (end_s - start_s) / count
    true_j = math.fsum(
        power_w(wave, start_s + (index + 0.5) * step_s) * step_s for index in range(count)
    )
    found_j = wave.energy_j(end_s) - wave.energy_j(start_s)
    assert found_j == pytest.approx(true_j, rel=1e-4)
    assert wave.mean_w(start_s, end_s) == pytest.approx(true_j / (end_s - start_s), rel=1e-4)


def test_all_played_waves_have_one_energy_per_cycle():
    """20 W for 8 s and a mean of 80 W for 22 s are 1920 J, whatever the shape."""
    for wave in WAVES:
        assert wave.energy_j(wave.cycle_s) == pytest.approx(1920.0)
        assert wave.energy_j(3 * wave.cycle_s) == pytest.approx(3 * 1920.0)


def test_a_shape_holds_whole_periods():
    """Otherwise its mean would not be midway."""
    with pytest.raises(ValueError, match="whole periods"):
        Wave("steps", period_s=0.3, body_s=1.0)


def test_counter_counts_units_and_starts_again():
    """Constant 20 W: after 3 s 60 J, in units of 61 µJ; at its range it starts from zero."""
    wave = Wave("constant", idle_w=20.0, idle_s=10.0)
    counter = EnergyCounter(wave, range_uj=100_000_000)
    assert counter.text(0.0) == "000000000000000\n"
    assert int(counter.text(3.0)) == pytest.approx(60e6, abs=62)
    assert int(counter.text(7.0)) == pytest.approx(40e6, abs=62)
    shifted = EnergyCounter(wave, range_uj=100_000_000, start_uj=50_000_000)
    assert int(shifted.text(3.0)) == pytest.approx(10e6, abs=62)
    assert len(counter.text(9.9)) == len(counter.text(0.0))


def test_sensor_shows_the_mean_of_its_last_whole_block():
    """A block that holds 0.2 s of 20 W and 0.2 s of 80 W shows 50 W, 10 A at 5 V."""
    wave = Wave("constant", idle_s=1.0, body_s=22.0)
    sensor = AveragingSensor(wave, block_s=0.4, step_ma=8)
    assert int(sensor.text(0.79)) == 4000
    assert int(sensor.text(1.21)) == 10000
    assert int(sensor.text(1.59)) == 10000
    assert int(sensor.text(1.61)) == 16000
    coarse = AveragingSensor(wave, block_s=0.4, step_ma=3000)
    assert int(coarse.text(0.79)) == 3000


def test_player_writes_what_sources_show(tmp_path):
    """Given its clock the player is determined: at the end each file shows its last moment."""
    paths = [tmp_path / "energy_uj", tmp_path / "curr1_input"]
    sources = [parse_source("counter:steps:900000000:5"), parse_source("sensor:ramps:0.45")]
    for path, source in zip(paths, sources, strict=True):
        path.write_text(source.text(0.45))
    now = [0.0]

    def sleep(seconds):
        now[0] += 0.37

    play(list(zip(paths, sources, strict=True)), lambda: now[0], sleep, lambda: now[0] < 10 * 0.37)
    for path, source in zip(paths, sources, strict=True):
        assert path.read_text() == source.text(9 * 0.37)


def test_quantile():
    """95 of 100 values are at most the 95th."""
    assert quantile(range(1, 101), 0.95) == 95
    assert quantile([7.0], 0.95) == 7.0
    assert quantile(range(1, 11), 0.95) == 10
