"""A meter is usable once it was read, more than once, and its figures can be."""

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from devices.inspection import inspect_meter
from devices.meters import usability
from devices.meters.base import Meter, MeterInfo, Rail, RawSample
from devices.meters.registry import METERS, MeterSpec, choose_meter, try_meter
from devices.meters.simulated import SimulatedMeter
from devices.meters.usability import try_out
from devices.profile import find_profile

SAMPLED = MeterInfo("scripted", "sampled", "board", (Rail("in", max_power_w=30.0),), max_rate_hz=4)
WALL = replace(SAMPLED, least_power_w=0.5)
COUNTER = replace(SAMPLED, kind="counter", rails=(Rail("p", max_power_w=50.0, stale_after_s=1.0),))


class Scripted(Meter):
    """Read a script: one value a round, or one list of values for several rails."""

    name = "scripted"

    def __init__(self, info, script, clock, root=Path("/")):
        super().__init__(root, clock)
        self._info = info
        self._script = list(script)
        self.reads = 0

    @classmethod
    def probe(cls, root=Path("/"), options=None):
        raise NotImplementedError

    def refusal(self):
        """Let itself be tried."""

    def open(self):
        """Do nothing."""

    def close(self):
        """Do nothing."""

    def read(self):
        values = self._script[min(self.reads, len(self._script) - 1)]
        self.reads += 1
        values = values if isinstance(values, list) else [values]
        now_s = self.clock()
        return [RawSample(i, now_s, now_s, value) for i, value in enumerate(values)]


def tried(info, script, clock, root=Path("/")):
    meter = Scripted(info, script, clock, root)
    return try_out(meter, clock.sleep), meter


@pytest.mark.parametrize(
    ("info", "script"),
    [
        (SAMPLED, [5.0]),  # sampled power may be constant
        (SAMPLED, [5.0, None, 5.1, 5.2]),  # one lost answer
        (SAMPLED, [5.0, 9999.0, 5.1, 5.2]),  # one slip
        (WALL, [0.5]),
        (COUNTER, [7.0, 8.0, 9.0]),
        (COUNTER, [99.0, 3.0, 6.0]),  # it wrapped
        (COUNTER, [7.0, 7.0, 7.0, 7.0, 8.0]),  # slow, but within its second
        (COUNTER, [0.0, 1.0, 2.0]),  # one that begins when it is opened
    ],
)
def test_what_works(clock, info, script):
    """Values arrive, move where they must, and can be: no fault."""
    assert tried(info, script, clock)[0].fault == ""


@pytest.mark.parametrize(
    ("info", "script", "words"),
    [
        (SAMPLED, [None], "gave 0 readings in 3 reads"),
        (SAMPLED, [[]], "gave 0 readings in 6 reads"),
        (SAMPLED, [5.0, None], "gave 1 readings in 6 reads, 3 are needed"),
        (SAMPLED, [math.nan], "gave 0 readings"),
        (SAMPLED, [0.0], "reads 0 W, below what a device of this kind draws at rest"),
        (WALL, [0.3], r"reads 0.3 W, below .* \(0.5 W\)"),
        (SAMPLED, [-50.0], "reads -50 W, below zero: it charges or feeds in"),
        (SAMPLED, [31.0], r"reads 31 W, more than this device can draw \(30 W\)"),
        (COUNTER, [0.0], "stands at 0 J"),
        (COUNTER, [12345.0], "stands at 12345 J and did not move"),
        (COUNTER, [0.0, 1000.0, 2000.0], "more than this device can draw"),
        (COUNTER, [None], "gave 0 readings"),
        (replace(COUNTER, least_power_w=0.05), [7.0, 7.0, 7.001], "below what a device"),
    ],
)
def test_what_does_not(clock, info, script, words):
    """Each kind of dead or impossible reading is named."""
    assert re.search(words, tried(info, script, clock)[0].fault)


def test_every_rail_of_the_total_counts_and_no_witness(clock):
    """One dead rail of the total is the meter's end; a dead witness is not."""
    rails = (Rail("a"), Rail("b"), Rail("w", role="witness"))
    info = replace(SAMPLED, rails=rails)
    assert tried(info, [[2.0, 3.0, None]], clock)[0].fault == ""
    assert "b gave 0 readings" in tried(info, [[2.0, None, 1.0]], clock)[0].fault
    moving = replace(COUNTER, rails=(COUNTER.rails[0], replace(COUNTER.rails[0], name="q")))
    dead = [[float(n), 0.0] for n in range(9)]
    assert "q stands at 0 J" in tried(moving, dead, clock)[0].fault


@pytest.mark.parametrize(("rate_hz", "took_s"), [(10.0, 0.2), (1.0, 2.0), (0.01, 2.0)])
def test_it_takes_two_periods(clock, rate_hz, took_s):
    """Three reads over two of the meter's periods, and never more than two seconds for that."""
    start_s = clock.now_s
    tried(replace(SAMPLED, max_rate_hz=rate_hz), [5.0], clock)
    assert clock.now_s - start_s == pytest.approx(took_s)


def test_recorded_files_are_judged_by_their_values(clock, tmp_path):
    """A copy of a counter's file cannot move: said in a note. One at zero is still no meter."""
    trial, meter = tried(COUNTER, [12345.0], clock, tmp_path)
    assert trial.fault == ""
    assert any("does not move" in note for note in trial.info.notes)
    assert meter.reads == 3
    assert "stands at 0 J" in tried(COUNTER, [0.0], clock, tmp_path)[0].fault


def test_meter_that_stands_is_passed_over(board, monkeypatch):
    """On a tree that lives, a counter that does not move loses its place, with its reason."""
    monkeypatch.setattr(usability, "is_live", lambda root: True)
    monkeypatch.setitem(METERS, "simulated", SimulatedMeter)
    profile = replace(find_profile("x86"), meters=("rapl", "simulated"))
    choice = choose_meter(profile, board("intel-i7-7700k"), sleep=lambda seconds: None)
    assert choice.spec == MeterSpec("simulated", {})
    assert "stands at" in choice.answers[0].reason
    assert choice.passed_over == f"rapl: {choice.answers[0].reason}"
    assert choice.answers[0].fix


@pytest.mark.parametrize(
    ("zone", "text", "words"),
    [
        ("intel-rapl:0", "0\n", "package-0 stands at 0 J"),
        ("intel-rapl:1/intel-rapl:1:0", "0\n", "dram stands at 0 J"),
        ("intel-rapl:1", "none\n", "package-1 gave 0 readings"),
        ("intel-rapl:0", "", "package-0 gave 0 readings"),
    ],
)
def test_any_zone_of_the_total_decides(board, zone, text, words):
    """A zone at zero, or one whose reads fail, is found by reading: in run and doctor alike."""
    root = board("intel-xeon-2s-dram-psys")
    paths = [p for p in root.rglob("energy_uj") if p.parent.name == zone.rpartition("/")[2]]
    assert paths
    for path in paths:
        path.write_text(text)
    answer = try_meter("rapl", root, sleep=lambda seconds: None)
    assert not answer.usable
    assert words in answer.reason
    report = inspect_meter("rapl", root, sleep=lambda seconds: None)
    assert (report.usable, report.measures) == (False, False)
    assert words in report.reason


def test_made_up_figures_are_no_measurement():
    """A simulated meter can be read, and measures nothing."""
    report = inspect_meter("simulated", sleep=lambda seconds: None)
    assert report.usable
    assert not report.measures


def test_rails_that_stand_for_no_whole_are_no_meter(board):
    """Witnesses alone give no joules: refused at the start, with what would make a total."""
    root = board("raspberry-pi-4")
    for number in (1, 2):
        folder = root / f"sys/class/hwmon/hwmon{number}"
        folder.mkdir(parents=True)
        (folder / "name").write_text("ina219\n")
        (folder / "power1_input").write_text("3000000\n")
    answer = try_meter("hwmon", root, sleep=lambda seconds: None)
    assert not answer.usable
    assert "totals=A+B" in answer.reason
    assert try_meter("hwmon:totals=ina219@hwmon1", root, sleep=lambda seconds: None).usable
