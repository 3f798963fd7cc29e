"""The Joulescope through its maker's package, whose device is driven by a fake of its driver."""

import logging
import threading
import time

import pytest

pytest.importorskip("joulescope")

from joulescope.v1.js110 import DeviceJs110
from joulescope.v1.js220 import DeviceJs220

from devices.energy import energy
from devices.errors import DeviceError
from devices.meters.base import RawSample
from devices.meters.joulescope import JoulescopeMeter
from devices.stream import StreamSet

pytestmark = pytest.mark.filterwarnings("ignore")


class Driver:
    """Stand for the package's driver: takes settings, tells statistics of constant power."""

    def __init__(self, power_w, broken=False):
        self.power_w = power_w
        self.broken = broken
        self.told = []
        self.begun = time.monotonic()

    def open(self, path, mode=None, timeout=None):
        if self.broken:
            raise RuntimeError("claim failed")

    def close(self, path, timeout=None):
        self.told.clear()

    def publish(self, topic, value, timeout=None):
        """Take any setting."""

    def query(self, topic, timeout=None):
        return 0

    def subscribe(self, topic, flags, fn, timeout=None):
        if topic.endswith("stats/value"):
            self.told.append(fn)

    def unsubscribe(self, topic, fn, timeout=None):
        """Forget nothing: `close` does."""

    def tick(self):
        """Tell what was counted since the beginning, with some joules of before."""
        now_s = time.monotonic() - self.begun
        samples = int(2e6 * now_s)
        signal = {"avg": {"value": 1.0, "units": "A"}, "std": {"value": 0.0, "units": "A"}}
        for fn in list(self.told):
            fn("stats", {
                "time": {"samples": {"value": [samples - 1_000_000, samples]}},
                "signals": {"current": dict(signal)},
                "accumulators": {
                    "charge": {"value": 0.0},
                    "energy": {"value": 123.0 + self.power_w * now_s},
                },
            })  # fmt: skip


def device(driver, path="u/js220/001234"):
    return (DeviceJs220 if "js220" in path else DeviceJs110)(driver, path)


def test_joules_of_constant_power():
    """6 W told every 0.02 s; the instrument's own count starts somewhere else."""
    driver = Driver(6.0)
    over = threading.Event()

    def play():
        while not over.wait(0.02):
            driver.tick()

    player = threading.Thread(target=play)
    player.start()
    meter = JoulescopeMeter(scan=lambda: [device(driver)])
    try:
        meter.open()
        streams = StreamSet(meter.describe(), 0.1)
        for _ in range(8):
            for sample in meter.read():
                streams.append(sample)
            time.sleep(0.05)
    finally:
        over.set()
        player.join()
        meter.close()
    times_s = streams.streams[0].times_s
    found = energy(streams, times_s[0] + 0.01, times_s[-1] - 0.01)
    assert found.energy_j == pytest.approx(
        6.0 * (found.end_s - found.start_s), abs=found.error_j + 0.05
    )
    assert (found.kind, found.scope) == ("counter", "board")


def test_an_instrument_that_falls_silent_gives_no_value(monkeypatch):
    monkeypatch.setattr("devices.meters.joulescope.PATIENCE_S", 0.05)
    meter = JoulescopeMeter(scan=lambda: [device(Driver(1.0))])
    meter.open()
    assert meter.read()[0].value is None
    meter.close()


@pytest.mark.parametrize("vendor", [True, False])
def test_the_package_finds_none_here(monkeypatch, vendor):
    """As its scan says where there is none; unless USB shows its vendor it is not asked."""
    logging.getLogger("joulescope").setLevel(logging.CRITICAL)
    monkeypatch.setattr("devices.meters.joulescope._may_be_there", lambda root: vendor)
    answer = JoulescopeMeter.probe()
    assert not answer.usable
    assert "no Joulescope is plugged in" in answer.reason
    assert "USB" in answer.fix


def test_several_are_told_apart_by_their_numbers():
    driver = Driver(1.0)
    both = [device(driver), device(driver, "u/js110/000042")]
    with pytest.raises(DeviceError, match="several Joulescopes"):
        JoulescopeMeter(scan=lambda: both).find()
    assert JoulescopeMeter(options={"serial": "000042"}, scan=lambda: both).find() is both[1]
    with pytest.raises(DeviceError, match="no Joulescope 77"):
        JoulescopeMeter(options={"serial": "77"}, scan=lambda: both).find()


def test_one_that_cannot_be_opened_says_why():
    meter = JoulescopeMeter(scan=lambda: [device(Driver(1.0, broken=True))])
    with pytest.raises(DeviceError, match="claim failed"):
        meter.open()
    meter.close()


def test_the_bound_covers_counts_that_are_told_late():
    """From 0 W to 150 W at 10 s, told twice a second and 8 ms late: 1.2 of 75 J are not there yet.

    The edges lie on readings, so nothing else widens the bound.
    """
    meter = JoulescopeMeter(scan=lambda: [device(Driver(1.0))])
    meter.open()
    streams = StreamSet(meter.describe(), 0.5)
    meter.close()
    for half in range(30):
        time_s = 0.5 * half
        counted_j = 150.0 * max(0.0, time_s - 0.008 - 10.0)
        streams.append(RawSample(0, time_s, time_s, counted_j))
    found = energy(streams, 9.5, 10.5)
    assert found.energy_j == pytest.approx(75.0 - 1.2)
    assert 1.2 <= found.error_j <= 3.1
