"""tegrastats: a program that is followed, and that may stop, hang or print rubbish."""

import time
from pathlib import Path

import pytest

from devices.collector import Collector
from devices.energy import energy
from devices.errors import DeviceError
from devices.meters.tegrastats import TegrastatsMeter
from devices.stream import StreamSet

CAPTURES = Path(__file__).parents[1] / "fixtures" / "boards" / "captures"

LINE = (CAPTURES / "tegrastats_agx_orin_jp5_root.txt").read_text().strip()


def install(root, body):
    """Write a fake tegrastats that runs a shell script with `$2` milliseconds."""
    program = root / "usr/bin/tegrastats"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return root


def collected(meter, count):
    """Read until so many samples came."""
    samples = []
    deadline_s = time.monotonic() + 5.0
    while len(samples) < count and time.monotonic() < deadline_s:
        samples += meter.read()
        time.sleep(0.01)
    return samples


REPEATING = f"echo '{LINE}'; while sleep 0.05; do echo '{LINE}'; done"


def test_meter_follows_the_program(board):
    """Rails, roles and watts of an AGX Orin come from its lines; steps from the kernel's files."""
    root = install(board("jetson-agx-orin-rails"), REPEATING)
    assert TegrastatsMeter.probe(root).usable
    meter = TegrastatsMeter(root, options={"interval_ms": "50"})
    meter.open()
    info = meter.describe()
    samples = collected(meter, 12)
    meter.close()
    totals = [rail.name for rail in info.rails if rail.role == "total"]
    assert totals == ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"]
    assert [rail.name for rail in info.rails if rail.role == "witness"] == ["VDDQ_VDD2_1V8AO"]
    assert (info.scope, info.kind, info.max_rate_hz) == ("module", "sampled", 20.0)
    assert info.rails[0].resolution_w == pytest.approx(0.4)
    assert [sample.value for sample in samples[:4]] == [4.788, 0.798, 3.842, 0.707]
    streams = StreamSet(info, 0.05)
    for sample in samples:
        streams.append(sample)
    assert len(streams.streams[0]) >= 3


def test_lines_carry_the_injected_clock(board, clock):
    """A line is stamped when it arrives, by the clock that was given."""
    root = install(board("jetson-agx-orin-rails"), REPEATING)
    clock.now_s = 4711.0
    meter = TegrastatsMeter(root, clock, {"interval_ms": "50"})
    meter.open()
    samples = collected(meter, 4)
    meter.close()
    assert {(sample.before_s, sample.after_s) for sample in samples} == {(4711.0, 4711.0)}


def test_lines_in_one_piece_leave_the_last(board):
    """Of lines that were buffered together only the last has a known age."""
    burst = "printf 'VDD_IN 1000/1\\nVDD_IN 2000/1\\nVDD_IN 3000/1\\nVDD_IN 40'; exec sleep 20"
    meter = TegrastatsMeter(install(board("jetson-nano-jp4"), burst), options={"board": "x86"})
    meter.open()
    samples = meter.read()
    meter.close()
    assert [sample.value for sample in samples] == [3.0]


@pytest.mark.parametrize("trap", ["", "trap '' TERM; "])
def test_the_whole_group_is_killed(board, tmp_path, trap, until, group_is_gone):
    """Closing ends the program and its children, even if they ignore the polite signal."""
    note = tmp_path / "pid"
    root = install(board("jetson-agx-orin-rails"), f"{trap}echo $$ > {note}; {REPEATING}")
    meter = TegrastatsMeter(root, options={"interval_ms": "50"})
    meter.open()
    pid = int(note.read_text())
    assert not group_is_gone(pid)
    meter.close()
    until(lambda: group_is_gone(pid))


def test_probe_and_failed_open_leave_nothing_behind(board, tmp_path, until, group_is_gone):
    """A program that was only asked, or refused, does not go on running."""
    note = tmp_path / "pid"
    other = REPEATING.replace("VIN_SYS_5V0", "OTHER")
    root = install(board("jetson-agx-orin-rails"), f"echo $$ > {note}; {other}")
    answer = TegrastatsMeter.probe(root)
    assert not answer.usable
    assert "VIN_SYS_5V0" in answer.reason
    until(lambda: group_is_gone(int(note.read_text())))
    with pytest.raises(DeviceError, match="VIN_SYS_5V0"):
        TegrastatsMeter(root).open()
    until(lambda: group_is_gone(int(note.read_text())))


@pytest.mark.parametrize("end", ["exit 0", "exec sleep 20", "echo 'RAM 1/2MB'; exec sleep 20"])
def test_a_program_that_falls_silent(board, clock, end):
    """After four intervals without a reading every rail has failed reads, not its last value."""
    root = install(board("jetson-agx-orin-rails"), f"echo '{LINE}'; {end}")
    meter = TegrastatsMeter(root, clock)
    meter.open()
    assert next(sample.value for sample in meter.read()) == 4.788
    clock.sleep(1.0)
    assert meter.read() == []
    clock.sleep(1.5)
    assert [sample.value for sample in meter.read()] == [None] * 4
    meter.close()


def test_a_rail_that_disappears(board):
    """A rail that a later line lacks has a failed read there; the others go on."""
    second = LINE.replace("VDD_CPU_CV 798mW/798mW", "")
    root = install(board("jetson-agx-orin-rails"), f"echo '{LINE}'; sleep 0.2; echo '{second}'")
    meter = TegrastatsMeter(root)
    meter.open()
    samples = collected(meter, 8)
    meter.close()
    assert [sample.value for sample in samples[4:8]] == [4.788, None, 3.842, 0.707]


def test_unknown_board_has_no_total(board):
    """On a board without rule the rails are witnesses."""
    root = install(board("raspberry-pi-4"), REPEATING)
    meter = TegrastatsMeter(root)
    meter.open()
    info = meter.describe()
    meter.close()
    assert {rail.role for rail in info.rails} == {"witness"}
    assert any("witnesses" in note for note in info.notes)


def test_reasons(board):
    """Missing, silent and broken programs and wrong options are told apart, each with a way out."""
    root = board("jetson-agx-orin-rails")
    missing = TegrastatsMeter.probe(root)
    assert (missing.reason_code, missing.fix[:16]) == ("no-sensor", "sudo apt install")
    silent = TegrastatsMeter.probe(install(root, "echo 'RAM 1/2MB CPU [0%@1]'"))
    assert (silent.usable, silent.reason_code) == (False, "no-sensor")
    assert "root" in silent.fix
    (root / "usr/bin/tegrastats").write_text("#!/no/such/shell\n")
    broken = TegrastatsMeter.probe(root)
    assert (broken.usable, broken.reason_code) == (False, "no-sensor")
    for options in ({"interval_ms": "1"}, {"interval_ms": "2000"}, {"board": "y"}, {"z": "1"}):
        assert TegrastatsMeter.probe(root, options).reason_code == "bad-option"


def test_collector_process(board, tmp_path, until, group_is_gone):
    """In a process of its own the meter finds the board by itself and ends with the collector."""
    note = tmp_path / "pid"
    root = install(board("jetson-agx-orin-rails"), f"echo $$ > {note}; {REPEATING}")
    records = tmp_path / "records.bin"
    with Collector("tegrastats:interval_ms=50", root, record_path=records) as collector:
        start_s = time.monotonic()
        until(lambda: time.monotonic() > start_s + 0.6)
        assert collector.wait_past(start_s + 0.4)
        reading = energy(collector.streams(), start_s + 0.1, start_s + 0.4)
    # constant readings, so joules are watts times seconds whatever the times of the lines
    assert reading.energy_j == pytest.approx((4.788 + 0.798 + 3.842) * 0.3)
    assert reading.scope == "module"
    until(lambda: group_is_gone(int(note.read_text())))


def test_not_open():
    """Without a program there are neither samples nor a description."""
    meter = TegrastatsMeter()
    assert meter.read() == []
    with pytest.raises(DeviceError, match="not open"):
        meter.describe()


def test_a_flood_of_lines_costs_no_core(board):
    """A program that prints without pause is read a few times an interval, no more."""
    body = f"line='{LINE}'; exec yes \"$line\""
    meter = TegrastatsMeter(install(board("jetson-agx-orin-rails"), body))
    meter.open()
    start_s, start_cpu_s = time.monotonic(), time.process_time()
    samples = collected(meter, 20)
    cpu_s, time_s = time.process_time() - start_cpu_s, time.monotonic() - start_s
    meter.close()
    assert [sample.value for sample in samples[:4]] == [4.788, 0.798, 3.842, 0.707]
    assert len(samples) <= 4 * (time_s / 0.125 + 2)
    assert cpu_s < 0.2 * time_s


@pytest.mark.parametrize(
    ("milliwatt", "possible"),
    [(-5000, False), (100, False), (9_999_999, False), (5000, True), (33_000, True)],
)
def test_the_board_bounds_its_input_rail(board, milliwatt, possible):
    """An Orin Nano takes neither 10 kW nor a tenth of a watt, and feeds nothing in."""
    root = install(board("jetson-orin-nano-rails"), f"echo 'VDD_IN {milliwatt}mW/1mW "
                   "VDD_CPU_GPU_CV 900mW/1mW VDD_SOC 900mW/1mW'; exec sleep 20")  # fmt: skip
    meter = TegrastatsMeter(root)
    meter.open()
    rail, info = meter.describe().rails[0], meter.describe()
    (value, *_) = [sample.value for sample in meter.read()]
    meter.close()
    assert value == milliwatt / 1000.0
    assert rail.can_draw(value) is possible
    assert info.least_power_w == pytest.approx(0.25 * 4.8)
    assert rail.max_power_w == pytest.approx(4.0 * 8.5)
