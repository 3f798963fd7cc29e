"""The collector as a real process, its record file, and its sampling loop."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.collector import Collector
from devices.energy import energy
from devices.errors import DeviceError
from devices.meters.base import MeterInfo, Rail, RawSample
from devices.meters.simulated import SimulatedMeter
from devices.records import RECORD_BYTES, Record, RecordKind, RecordReader, RecordWriter
from devices.sampling import SamplingLoop
from tests.waiting import wait_for

REPOSITORY = Path(__file__).parents[2]
INFO = MeterInfo("test", "counter", "board", (Rail("a"), Rail("b")))


def test_live_tree_is_measured(board, tmp_path):
    """A counter that the test drives is recorded while it runs, and its joules come back.

    The file is rewritten in place at fixed width, as sysfs shows whole numbers only.
    """
    root = board("amd-ryzen")
    path = root / "sys/class/powercap/intel-rapl:0/energy_uj"
    stop = threading.Event()
    origin_s = time.monotonic()
    descriptor = os.open(path, os.O_RDWR)

    def drive():
        while not stop.wait(0.002):
            microjoules = int(20e6 * (time.monotonic() - origin_s))
            os.pwrite(descriptor, f"{microjoules:012d}\n".encode(), 0)

    os.pwrite(descriptor, b"000000000000\n", 0)
    driver = threading.Thread(target=drive)
    driver.start()
    try:
        with Collector("rapl", root, rate_hz=50.0, record_path=tmp_path / "r.bin") as collector:
            start_s = time.monotonic()
            time.sleep(0.6)
            end_s = time.monotonic()
            assert collector.wait_past(end_s)
            reading = energy(collector.streams(), start_s, end_s)
            # RAPL's own limit of 10 Hz holds although 50 Hz were asked for
            assert collector.streams().period_s == pytest.approx(0.1)
    finally:
        stop.set()
        driver.join()
        os.close(descriptor)
    assert reading.energy_j is not None
    assert reading.energy_j == pytest.approx(20.0 * (end_s - start_s), rel=0.2)
    assert reading.meter == "rapl"
    assert collector.cost.cpu_s is not None
    assert collector.cost.cpu_s > 0.0


def test_simulated_square_wave_across_processes(tmp_path):
    """Parent and collector share one clock: a known wave gives its closed-form joules."""
    meter = "simulated:shape=square,low_w=0,high_w=30,period_s=0.1"
    with Collector(meter, rate_hz=200.0, record_path=tmp_path / "r.bin") as collector:
        start_s = time.monotonic()
        time.sleep(0.3)
        end_s = time.monotonic()
        assert collector.wait_past(end_s)
        reading = energy(collector.streams(), start_s, end_s)
    curve = SimulatedMeter(
        options={"shape": "square", "low_w": "0", "high_w": "30", "period_s": "0.1"}
    ).curve
    true_j = curve.energy_j(end_s) - curve.energy_j(start_s)
    assert abs(reading.energy_j - true_j) <= reading.error_j + 1e-6


def test_killed_collector_leaves_a_gap(tmp_path):
    """After the process is killed its figures end: later windows have none and say why."""
    collector = Collector("simulated", rate_hz=100.0, record_path=tmp_path / "r.bin")
    collector.start()
    start_s = time.monotonic()
    time.sleep(0.1)
    end_s = time.monotonic()
    assert collector.wait_past(end_s)
    os.kill(collector.process_id, signal.SIGKILL)
    wait_for(lambda: not collector.alive())
    late_s = time.monotonic() + 1.0
    assert not collector.wait_past(late_s)
    streams = collector.streams()
    assert energy(streams, start_s, end_s).energy_j == pytest.approx(
        10 * (end_s - start_s), rel=1e-3
    )
    after = energy(streams, start_s, late_s)
    assert after.energy_j is None
    assert {"gap", "partial"} <= set(after.flags)
    assert "died" in after.reason
    collector.stop()


def test_stop_is_clean_and_final(tmp_path):
    """A stopped collector wrote its END record and says it was stopped; stopping again is fine."""
    collector = Collector("simulated", rate_hz=100.0, record_path=tmp_path / "r.bin")
    collector.start()
    collector.stop()
    collector.stop()
    assert not collector.alive()
    assert collector.streams().ended == "the collector was stopped"
    with pytest.raises(DeviceError, match="already started"):
        collector.start()


def test_orphan_ends_by_itself(tmp_path):
    """When the process that started a collector is killed, the collector goes away."""
    code = (
        "import sys, time; from pathlib import Path; from devices.collector import Collector;"
        f"c = Collector('simulated', rate_hz=100.0, record_path=Path({str(tmp_path / 'r.bin')!r}));"
        "c.start(); print(c.process_id, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as parent:
        orphan = int(parent.stdout.readline())
        assert os.getsid(orphan) == orphan  # a session of its own: Ctrl-C does not reach it
        parent.kill()

    def gone():
        try:
            status = Path(f"/proc/{orphan}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        return status == "Z"

    wait_for(gone)


def test_unusable_meter_tells_why(tmp_path, board):
    """The child's error reaches the caller with its remedy."""
    collector = Collector("rapl", board("virtual-machine"), record_path=tmp_path / "r.bin")
    with pytest.raises(DeviceError, match="virtual machine") as caught:
        collector.start()
    assert caught.value.remedy
    assert not collector.alive()


@pytest.mark.parametrize("rate_hz", [0.0, -1.0, float("inf"), float("nan")])
def test_impossible_rates(tmp_path, rate_hz):
    """A rate that is no rate is refused at once."""
    with pytest.raises(DeviceError, match="impossible"):
        Collector("simulated", rate_hz=rate_hz, record_path=tmp_path / "r.bin")


def test_unknown_meter_is_refused_at_once(tmp_path):
    """A misspelt meter starts no process."""
    with pytest.raises(DeviceError, match="unknown meter"):
        Collector("simulatd", record_path=tmp_path / "r.bin")


def test_nothing_recorded_is_an_error(tmp_path):
    """Asking for streams before the start is an error, not an empty figure."""
    with pytest.raises(DeviceError, match="recorded nothing"):
        Collector("simulated", record_path=tmp_path / "r.bin").streams()


def written(path, records):
    writer = RecordWriter.open_new(path, INFO, 0.1)
    writer.write(records)
    writer.close()


def test_torn_last_record_is_forgiven(tmp_path):
    """Half a record at the end is not there yet; once whole, it is read, each record once."""
    path = tmp_path / "r.bin"
    samples = [RawSample(n % 2, n, n + 0.5, float(n) if n else None) for n in range(5)]
    written(path, [Record.from_sample(sample) for sample in samples])
    data = path.read_bytes()
    path.write_bytes(data[:-10])
    reader = RecordReader(path)
    assert [record.to_sample() for record in reader.read_new()] == samples[:-1]
    path.write_bytes(data)
    assert [record.to_sample() for record in reader.read_new()] == samples[-1:]
    assert reader.read_new() == []
    assert reader.info == INFO


def test_header_may_arrive_in_pieces(tmp_path):
    """A header that is still being written is waited for."""
    path = tmp_path / "r.bin"
    written(path, [Record(RecordKind.END, 0, 1.0, 1.0, 0.0)])
    data = path.read_bytes()
    reader = RecordReader(path)
    for length in range(len(data) - RECORD_BYTES):
        path.write_bytes(data[:length])
        assert reader.read_new() == []
    path.write_bytes(data)
    assert reader.read_new() == [Record(RecordKind.END, 0, 1.0, 1.0, 0.0)]


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_record_files_never_crash(tmp_path_factory, data):
    """Any damage gives records or the typed error."""
    path = tmp_path_factory.getbasetemp() / "damaged.bin"
    written(path, [Record(RecordKind.SAMPLE, 0, 1.0, 1.0, 2.0)] * 3)
    good = path.read_bytes()
    start = data.draw(st.integers(0, len(good)))
    patch = data.draw(st.binary(max_size=12))
    path.write_bytes(good[:start] + patch + good[start + len(patch) :])
    try:
        records = RecordReader(path).read_new()
    except DeviceError:
        return
    assert all(isinstance(record.kind, RecordKind) for record in records)


class SlowMeter(SimulatedMeter):
    """Take 0.25 s for the third read."""

    reads = 0

    def read(self):
        self.reads += 1
        if self.reads == 3:
            self.clock.sleep(0.25)
        return super().read()


def test_loop_keeps_absolute_deadlines(tmp_path, clock):
    """A slow read skips the deadlines it missed, counts them, and shifts none that follow."""
    path = tmp_path / "r.bin"
    meter = SlowMeter(clock=clock)
    writer = RecordWriter.open_new(path, meter.describe(), 0.1)
    loop = SamplingLoop(
        meter,
        writer,
        0.1,
        keep_going=lambda: clock.now_s < 100.95,
        clock=clock,
        cpu_clock=lambda: 0.5,
        sleep=clock.sleep,
    )
    loop.run()
    writer.close()
    records = RecordReader(path).read_new()
    times = [record.before_s for record in records if record.kind is RecordKind.SAMPLE]
    expected = [100.0, 100.1, 100.45, 100.5, 100.6, 100.7, 100.8, 100.9]
    assert times == pytest.approx(expected)
    assert sum(r.value for r in records if r.kind is RecordKind.LATE) == 2
    assert records[-1].kind is RecordKind.END
    assert {r.value for r in records if r.kind is RecordKind.CPU_SECONDS} == {0.5}
