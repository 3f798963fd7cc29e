"""Simulated and replay meters, the registry, and the two models."""

import gzip
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.energy import energy, power_trace
from devices.errors import DeviceError
from devices.meters.base import MeterInfo, Rail, Rejected
from devices.meters.registry import (
    MADE_UP,
    METERS,
    MeterSpec,
    choose_meter,
    make_meter,
    meter_class,
    probe_meter,
    try_meter,
)
from devices.meters.replay import ReplayMeter, load_trace
from devices.meters.simulated import SimulatedMeter
from devices.power_model import PowerModel
from devices.profile import find_profile
from devices.stream import StreamSet


def sample(meter, clock, times_s, period_s):
    """Read an opened meter at given times."""
    streams = StreamSet(meter.describe(), period_s)
    for time_s in times_s:
        clock.now_s = time_s
        for raw in meter.read():
            streams.append(raw)
    return streams


def test_simulated_counter_through_resolution_and_wrap(clock):
    """A 10 W counter with 1 mJ steps that wraps at 7 J still gives 10 J per second."""
    meter = make_meter("simulated:resolution_j=0.001,wrap_range_j=7", clock=clock)
    meter.open()
    streams = sample(meter, clock, [100 + 0.1 * n for n in range(101)], 0.1)
    reading = energy(streams, 101.0, 109.0)
    assert reading.energy_j == pytest.approx(80.0, abs=0.002)
    assert reading.wraps >= 11
    assert reading.scope == "made up"


def test_simulated_ramp_by_samples(clock):
    """A sampled ramp from 0 to 20 W over 10 s has 100 J."""
    options = "kind=sampled,shape=ramp,low_w=0,high_w=20,period_s=10,start_s=100"
    meter = make_meter(f"simulated:{options}", clock=clock)
    streams = sample(meter, clock, [100 + 0.05 * n for n in range(200)], 0.05)
    # the last 0.1 s before the fall are left out: 100 − ½·20·10·(1 − 0.99²)
    assert energy(streams, 100.0, 109.9).energy_j == pytest.approx(100 * 0.99**2, rel=1e-9)


@pytest.mark.parametrize(
    "options",
    [
        "shape=sine",
        "kind=guess",
        "high_w=much",
        "high_w=inf",
        "period_s=0",
        "duty=2",
        "resolution_j=0",
        "wrap_range_j=-1",
        "speed=3",
    ],
)
def test_senseless_simulations_are_refused(options):
    """Each wrong option is the typed error, and probe says so without raising."""
    with pytest.raises(DeviceError):
        make_meter(f"simulated:{options}")
    answer = probe_meter(f"simulated:{options}")
    assert (answer.usable, answer.reason_code) == (False, "bad-option")


def write_trace(path, rows):
    text = "t_s,rail,power_w,energy_j\n" + "".join(f"{row}\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_replay_of_a_counter(tmp_path, clock):
    """A recorded counter gives the recorded joules, from a compressed file, between its samples."""
    rows = [f"{n * 0.5},package-0,,{n * n * 1.0}" for n in range(21)]
    path = write_trace(tmp_path / "trace.csv.gz", rows)
    meter = make_meter(f"replay:path={path},scope=package", clock=clock)
    meter.open()
    streams = sample(meter, clock, [100 + 0.25 * n for n in range(41)], 0.25)
    reading = energy(streams, 102.0, 108.0)
    # counter values 16 J at 2 s and 256 J at 8 s
    assert reading.energy_j == pytest.approx(240.0)
    assert (reading.meter, reading.scope) == ("replay", "package")


def test_replay_of_samples_keeps_the_gap_and_the_end(tmp_path, clock):
    """Inside a recorded gap and after the end there is no value, so no figure."""
    times = [n * 0.5 for n in range(10)] + [20 + n * 0.5 for n in range(10)]
    path = write_trace(tmp_path / "trace.csv", [f"{t},VDD_IN,4.0," for t in times])
    meter = make_meter(f"replay:path={path}", clock=clock)
    meter.open()
    streams = sample(meter, clock, [100 + 0.5 * n for n in range(80)], 0.5)
    assert energy(streams, 100.0, 104.0).energy_j == pytest.approx(16.0)
    assert energy(streams, 102.0, 122.0).energy_j is None
    assert energy(streams, 120.0, 130.0).energy_j is None
    assert max(power for _, power in power_trace(streams.streams[0])) == 4.0


def test_replay_needs_totals_for_several_rails(tmp_path, clock):
    """Which rails add up is not guessed; named ones are summed, others are witnesses."""
    rows = [f"{t},{rail},{w}," for t in range(5) for rail, w in (("A", 1), ("B", 2), ("C", 3))]
    path = write_trace(tmp_path / "trace.csv", rows)
    plain = make_meter(f"replay:path={path}", clock=clock)
    plain.open()
    assert {rail.role for rail in plain.describe().rails} == {"witness"}
    named = make_meter(f"replay:path={path},totals=A+C", clock=clock)
    named.open()
    streams = sample(named, clock, [100 + n for n in range(5)], 1.0)
    assert energy(streams, 100.0, 104.0).energy_j == pytest.approx(16.0)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "no sample"),
        (["0,A,1,", "0,A,1,"], "backwards"),
        (["0,A,,"], "not a number"),
        (["x,A,1,"], "not a number"),
        (["0,A,nan,"], "not a finite number"),
        (["0,,1,"], "no name"),
        (["0,A,1,", "1,A,1,5"], "on some lines only"),
        (["0,A,1,", "0,B,1,5"], "mixes"),
    ],
)
def test_wrong_traces_are_refused(tmp_path, rows, words):
    """Each fault of a trace is named; probe answers without raising."""
    path = write_trace(tmp_path / "trace.csv", rows)
    with pytest.raises(DeviceError, match=words):
        ReplayMeter(options={"path": str(path)}).load()
    assert probe_meter(f"replay:path={path}").reason_code == "no-file"


def test_replay_without_file(tmp_path):
    """No path, a missing file and a damaged gzip are errors."""
    for options in ("", f":path={tmp_path}/none.csv"):
        assert not probe_meter(f"replay{options}").usable
    bad = tmp_path / "bad.csv.gz"
    whole = gzip.compress(b"t_s,rail,power_w,energy_j\n0,A,1,\n" * 50)
    for data in (whole[:-12], b"no gzip", whole[:15] + b"\x00\xff" + whole[17:]):
        bad.write_bytes(data)
        with pytest.raises(DeviceError):
            load_trace(bad)


def test_decimal_commas_are_refused(tmp_path):
    """A comma inside a number is one field too many, not another number."""
    trace = tmp_path / "trace.csv"
    trace.write_text("t_s,rail,power_w,energy_j\n0.5,in,5,2,\n")
    with pytest.raises(DeviceError, match=r"trace.csv:2: more fields") as caught:
        load_trace(trace)
    assert "point" in caught.value.remedy


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_trace_file_is_survived(tmp_path_factory, data):
    """Random bytes are a trace or the typed error, never another exception."""
    path = tmp_path_factory.getbasetemp() / "fuzzed.csv"
    path.write_bytes(b"t_s,rail,power_w,energy_j\n" + data)
    try:
        rails = load_trace(path)
    except DeviceError:
        return
    assert all(rail.times_s == sorted(rail.times_s) for rail in rails.values())


def test_registry_is_explicit():
    """Every meter is known by its own name, and an unknown one gets a suggestion."""
    assert all(meter.name == name for name, meter in METERS.items())
    assert [name for name, meter in METERS.items() if meter.made_up] == list(MADE_UP)
    assert meter_class("simulated") is SimulatedMeter
    with pytest.raises(DeviceError, match="unknown meter 'rap'") as caught:
        meter_class("rap")
    assert "Did you mean 'rapl'?" in caught.value.remedy


def test_meter_specs():
    """Typed meters survive parsing and printing; broken options are refused."""
    text = "simulated:shape=square,high_w=3"
    assert MeterSpec.parse(text).text() == text
    assert MeterSpec.parse("rapl").options == {}
    for wrong in ("simulated:shape", "simulated:=3", "simulated:duty=1,duty=0"):
        with pytest.raises(DeviceError, match="not an option"):
            MeterSpec.parse(wrong)


def test_choice_follows_the_profile(board):
    """x86 uses RAPL where it can; a host or board without a sensor gets none, with the reason."""
    good = choose_meter(find_profile("x86"), board("intel-i7-7700k"))
    assert good.spec == MeterSpec("rapl", {})
    poor = choose_meter(find_profile("x86"), board("virtual-machine"))
    assert poor.spec is None
    assert poor.answers[0].reason_code == "vm"
    bare = choose_meter(find_profile("raspberry-pi-4"), board("raspberry-pi-4"))
    assert bare.spec is None
    assert [(a.meter, a.reason_code) for a in bare.answers] == [("hwmon", "no-sensor")]


class PromisingMeter(SimulatedMeter):
    """Say that it works, and fail when it is opened, as pyRAPL does that misreads a counter."""

    name = "promising"
    closed = 0

    def open(self):
        raise DeviceError("meter promising: it misreads its counter", "use rapl")

    def close(self):
        type(self).closed += 1
        super().close()


def test_meter_that_fails_when_opened_is_not_chosen(board, monkeypatch):
    """It is refused with its fault before a run begins, and the next one is taken."""
    monkeypatch.setitem(METERS, "promising", PromisingMeter)
    assert probe_meter("promising").usable
    answer = try_meter("promising")
    assert (answer.usable, answer.reason, answer.fix) == (
        False, "it misreads its counter", "use rapl",
    )  # fmt: skip
    assert PromisingMeter.closed == 1
    profile = replace(find_profile("x86"), meters=("promising", "rapl", "battery"))
    choice = choose_meter(profile, board("intel-i7-7700k"))
    assert choice.spec == MeterSpec("rapl", {})
    assert [a.usable for a in choice.answers] == [False, True, False]


def test_unknown_reader_is_not_supported():
    """A meter that a profile names but no file implements is said to be unsupported."""
    assert probe_meter("a-meter-of-next-year").reason_code == "not-supported"


def test_description_survives_json():
    """A meter's description goes through plain data unchanged; a damaged one is an error."""
    info = MeterInfo("m", "counter", "s", (Rail("r", "witness"),), (Rejected("a", "b"),))
    data = info.to_dict()
    assert MeterInfo.from_dict(data) == info
    with pytest.raises(DeviceError):
        MeterInfo.from_dict({**data, "colour": "red"})
    for name, value in (
        ("averaging_s", "x"), ("averaging_s", float("nan")), ("least_power_w", None),
        ("max_rate_hz", True), ("scope", 3), ("rails", [{"name": "a", "resolution_j": "1"}]),
    ):  # fmt: skip
        with pytest.raises(DeviceError, match="cannot be read"):
            MeterInfo.from_dict({**data, name: value})


def test_power_model_by_hand():
    """Idle 3 W, full 7.2 W on four cores: 10 s with 20 core-seconds is 30 + 4.2·5 joules."""
    model = PowerModel.from_profile(find_profile("raspberry-pi-4"))
    assert model.energy_on_host_j(10.0, 20.0) == pytest.approx(3.0 * 10 + 4.2 * 5)
    assert model.energy_on_host_j(10.0, 0.0) == pytest.approx(30.0)
    assert model.energy_on_host_j(10.0, 40.0) == pytest.approx(model.energy_elsewhere_j(10.0))
    assert "HPL" in model.source


def test_power_model_with_other_cores():
    """A PC with eight cores spreads full load over eight."""
    model = PowerModel.from_profile(find_profile("x86"), cores=8)
    assert model.energy_on_host_j(1.0, 8.0) == pytest.approx(65.0)
    with pytest.raises(DeviceError):
        PowerModel.from_profile(find_profile("x86"), cores=0)
