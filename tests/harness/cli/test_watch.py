"""`harness.watch` shows what meters read, at 80 columns, and nothing that is stale."""

import csv

import pytest

from devices.meters.base import Rail
from devices.stream import Stream
from harness.cli.watch import PLAIN_BARS, main, prometheus, rail_now, screen, spark


def stream(*watts: float) -> Stream:
    """Return power read once a second from 0 on."""
    found = Stream(Rail("VDD_IN"), "sampled")
    for second, power_w in enumerate(watts):
        found.append(float(second), power_w)
    return found


def test_a_rail_shows_now_most_and_joules():
    """Trapezoids of 2, 6 and 4 W: 4 J and 5 J."""
    found = rail_now("ina3221", stream(2.0, 6.0, 4.0), 5.0, 2.5)
    assert (found.power_w, found.max_power_w, found.energy_j) == (4.0, 6.0, 9.0)


def test_a_stale_reading_is_none():
    assert rail_now("ina3221", stream(2.0, 6.0), 5.0, 60.0).power_w is None


def test_the_screen_fits_80_columns():
    rail = rail_now("ina3221-and-more", stream(*range(100)), 5.0, 99.0)
    assert max(map(len, screen([rail], 1e6))) <= 80
    assert all(c.isascii() for c in "".join(screen([rail], 1.0, PLAIN_BARS)))


def test_sparks_rise_with_power():
    assert spark([0.0, 5.0, 10.0]) == "▁▅█"
    assert spark([0.0, 0.0]) == "▁▁"
    assert spark([]) == ""


def test_prometheus_leaves_out_what_is_not_known():
    text = prometheus([rail_now("plug", stream(3.0), 5.0, 0.0)])
    assert 'harness_power_watts{meter="plug",rail="VDD_IN"} 3.0' in text
    assert "joules_total{" not in text


def test_looks_are_written(tmp_path, capsys):
    table, text = tmp_path / "w.csv", tmp_path / "w.prom"
    words = ["--meter", "simulated:high_w=10", "--every", "0.3", "--count", "2"]
    assert main([*words, "--csv", str(table), "--prometheus", str(text)]) == 0
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [float(r["power_w"]) for r in rows] == pytest.approx([10.0, 10.0], rel=0.02)
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert "harness_power_watts" in text.read_text()


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--every", "0"], 2),
        (["--count", "1.5"], 2),
        (["--meter", "nvlm"], 2),
        (["--meter", "simulated", "--csv", "/nowhere/x.csv"], 9),
    ],
)
def test_bad_input(words, status, capsys):
    assert main(words) == status


def test_a_host_without_a_meter_says_so(tmp_path):
    assert main(["--root", str(tmp_path)]) == 3
