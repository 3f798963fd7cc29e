"""Jetson power monitors that are missing, closed, stuck or gone."""

import os
import shutil

import pytest

from devices.errors import DeviceError
from devices.meters.ina3221 import Ina3221Meter
from devices.meters.sysfs import open_readonly

NANO = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"


def opened(root, clock, opener=open_readonly, **options):
    meter = Ina3221Meter(root, clock, options, opener)
    meter.open()
    return meter


def described(root, clock, opener=open_readonly, **options):
    meter = opened(root, clock, opener, **options)
    info = meter.describe()
    meter.close()
    return info


def names(info, role):
    return [rail.name for rail in info.rails if rail.role == role]


def test_a_probe_alone_is_no_jetson(board):
    """An INA238 without module monitors belongs to the meter for probes."""
    root = board("jetson-thor-rails")
    shutil.rmtree(root / "sys/bus/i2c/drivers/ina3221")
    answer = Ina3221Meter.probe(root)
    assert (answer.usable, answer.reason_code) == (False, "no-sensor")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("raspberry-pi-4", "no-sensor"),
        ("intel-i7-7700k", "no-sensor"),
        ("container", "container"),
        ("virtual-machine", "vm"),
    ],
)
def test_hosts_without_monitor(board, clock, name, code):
    """Elsewhere the answer is a reason with a way out, not a number."""
    root = board(name)
    answer = Ina3221Meter.probe(root)
    assert (answer.usable, answer.reason_code) == (False, code)
    assert answer.fix
    with pytest.raises(DeviceError, match="no INA3221"):
        opened(root, clock)


def closed_opener(part):
    def opener(path):
        if part in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return open_readonly(path)

    return opener


def test_closed_total_is_refused_and_closed_witness_is_named(board, clock):
    """Root-only files cost the figure only where they belong to it; the fix names them."""
    root = board("jetson-orin-nano-rails")
    answer = Ina3221Meter.probe(root, opener=closed_opener("curr1_input"))
    assert (answer.usable, answer.reason_code) == (False, "permission")
    assert answer.fix.startswith("sudo chmod a+r /sys/")
    assert "curr1_input" in answer.fix
    with pytest.raises(DeviceError, match="no permission"):
        opened(root, clock, closed_opener("curr1_input"))
    info = opened(root, clock, closed_opener("curr3_input")).describe()
    assert names(info, "total") == ["VDD_IN"]
    assert any(item.name == "VDD_SOC" for item in info.rejected)


@pytest.mark.parametrize("text", ["", "rubbish", "nan", "4,984", "12.5", "9" * 30, "99999999"])
def test_a_sensor_that_fails_while_running(board, clock, text):
    """Rubbish, nothing or an impossible number is a failed read of that rail alone."""
    root = board("jetson-nano-rails")
    meter = opened(root, clock)
    (root / NANO / "in_power0_input").write_text(text)
    values = [sample.value for sample in meter.read()]
    meter.close()
    assert values == [None, 0.0, pytest.approx(0.204)]


def test_a_sensor_that_vanishes(board, clock):
    """Once the descriptor answers with an error the rail has no value, without an exception."""
    root = board("jetson-nano-rails")
    pipes = []

    def opener(path):
        if path.name != "in_power2_input":
            return open_readonly(path)
        reader, writer = os.pipe()  # a pipe cannot be read at a position: ESPIPE
        pipes.append(writer)
        return reader

    meter = opened(root, clock, opener)
    values = [sample.value for sample in meter.read()]
    meter.close()
    for writer in pipes:
        os.close(writer)
    assert values == [pytest.approx(1.022), 0.0, None]


def test_rubbish_at_the_start_is_refused(board):
    """A total that holds no number is no usable meter."""
    root = board("jetson-nano-rails")
    (root / NANO / "in_power0_input").write_text("-\n")
    answer = Ina3221Meter.probe(root)
    assert (answer.usable, answer.reason_code) == (False, "no-sensor")
    assert answer.fix.startswith("cat /sys/")


def test_closed_meter_describes_nothing(board, clock):
    """Before `open` and after `close` there is no description."""
    meter = opened(board("jetson-nano-rails"), clock)
    meter.close()
    meter.close()
    with pytest.raises(DeviceError, match="not open"):
        meter.describe()
