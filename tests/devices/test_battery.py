"""Laptop batteries: only while discharging, in watts, whatever files the controller offers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.energy import energy
from devices.errors import DeviceError
from devices.meters.battery import BatteryMeter, find_batteries, read_battery
from devices.stream import StreamSet

ENERGY_TYPE = {"status": "Discharging", "power_now": "5156000", "energy_now": "23600000"}
CHARGE_TYPE = {
    "status": "Discharging",
    "voltage_now": "12600000",
    "current_now": "756000",
    "charge_now": "4723000",
}


def fit(root, name="BAT0", **files):
    """Write a battery's files."""
    folder = root / "sys/class/power_supply" / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        (folder / file).write_text(f"{text}\n")
    return folder


def opened(root, clock):
    meter = BatteryMeter(root, clock)
    meter.open()
    return meter


def values(meter):
    return [sample.value for sample in meter.read()]


@pytest.mark.parametrize(
    ("files", "power_w"),
    [
        (ENERGY_TYPE, 5.156),
        (CHARGE_TYPE, 12.6 * 0.756),
        ({**CHARGE_TYPE, "current_now": "-756000"}, 12.6 * 0.756),
        ({**CHARGE_TYPE, "power_now": "9000000"}, 9.0),
    ],
)
def test_both_kinds_of_battery(tmp_path, clock, files, power_w):
    """power_now counts; without it current × voltage, whose sign depends on the driver."""
    fit(tmp_path, **files)
    assert BatteryMeter.probe(tmp_path).usable
    assert values(opened(tmp_path, clock)) == [pytest.approx(power_w)]


@pytest.mark.parametrize("status", ["Charging", "Not charging", "Full", "Unknown", ""])
def test_mains_is_no_measurement(tmp_path, clock, status):
    """On mains the figure is none, and the meter says to unplug."""
    fit(tmp_path, **{**ENERGY_TYPE, "status": status})
    answer = BatteryMeter.probe(tmp_path)
    assert (answer.usable, answer.reason_code) == (False, "not-supported")
    assert "unplug" in answer.fix
    with pytest.raises(DeviceError, match="does not run on its battery"):
        opened(tmp_path, clock)


def test_no_battery(tmp_path, clock):
    """No folder, an empty bay, and a mains adapter are no sensor."""
    assert BatteryMeter.probe(tmp_path).reason_code == "no-sensor"
    fit(tmp_path, "BAT1", **ENERGY_TYPE, present="0")
    fit(tmp_path, "AC", online="1")
    assert BatteryMeter.probe(tmp_path).reason_code == "no-sensor"
    assert find_batteries(tmp_path) == []


def test_energy_alone_is_refused(tmp_path):
    """A battery that only counts what is left shows no power, and none is derived."""
    fit(tmp_path, status="Discharging", energy_now="23600000")
    answer = BatteryMeter.probe(tmp_path)
    assert (answer.usable, answer.reason_code) == (False, "not-supported")
    assert "power_now" in answer.reason


def test_two_batteries_add_up(tmp_path, clock):
    """The resting battery's 0 W is read; one that charges spoils the figure."""
    fit(tmp_path, "BAT0", **ENERGY_TYPE)
    rest = fit(tmp_path, "BAT1", status="Not charging", power_now="0")
    meter = opened(tmp_path, clock)
    assert values(meter) == [pytest.approx(5.156), 0.0]
    (rest / "status").write_text("Charging")
    assert values(meter) == [None, None]


def test_zero_watts_is_a_controller_that_lags(tmp_path, clock):
    """Just unplugged, some controllers still report 0 W: that is no figure."""
    folder = fit(tmp_path, **ENERGY_TYPE)
    meter = opened(tmp_path, clock)
    (folder / "power_now").write_text("0")
    assert values(meter) == [None]


def test_charger_plugged_in_during_the_run(tmp_path, clock):
    """From the moment the charger is in there is no value, so no joules; before it there are."""
    folder = fit(tmp_path, **{**ENERGY_TYPE, "power_now": "10000000"})
    meter = opened(tmp_path, clock)
    streams = StreamSet(meter.describe(), 1.0)
    for second in range(40):
        clock.now_s = 100.0 + second
        if second == 20:
            (folder / "status").write_text("Charging")
        for sample in meter.read():
            streams.append(sample)
    assert energy(streams, 100.0, 119.0).energy_j == pytest.approx(190.0)
    assert energy(streams, 110.0, 130.0).energy_j is None


def test_vanished_battery(tmp_path, clock):
    """A battery taken out gives no value."""
    folder = fit(tmp_path, **ENERGY_TYPE)
    meter = opened(tmp_path, clock)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    assert values(meter) == [None]


def test_description(tmp_path, clock):
    """The scope names the whole laptop, the slow refresh is declared, and 23.6 Wh are 84960 J."""
    fit(tmp_path, **ENERGY_TYPE)
    meter = opened(tmp_path, clock)
    info = meter.describe()
    assert (info.kind, info.scope) == ("sampled", "battery terminal, whole laptop")
    assert info.averaging_s == 60.0
    assert info.max_rate_hz <= 1.0
    assert any("84960 J" in note for note in info.notes)
    meter.close()
    with pytest.raises(DeviceError, match="not open"):
        meter.describe()
    with pytest.raises(DeviceError, match="no option"):
        BatteryMeter(tmp_path, options={"rate": "1"})


@given(
    name=st.sampled_from(["power_now", "current_now", "voltage_now", "status"]),
    data=st.one_of(
        st.binary(max_size=30),
        st.sampled_from([b"5,156", b"nan", b"inf", b"1e6", b"-", b"9" * 400, b"999999999999"]),
    ),
)
def test_any_content_is_watts_or_nothing(tmp_path_factory, name, data):
    """Random file contents give a plausible power or none, never an exception."""
    root = tmp_path_factory.getbasetemp() / "fuzzed-battery"
    folder = fit(root, **CHARGE_TYPE)
    (folder / "power_now").unlink(missing_ok=True)
    (folder / name).write_bytes(data)
    power_w = read_battery(folder).power_w
    if name == "power_now" and data.strip().isdigit() and len(data.strip()) < 9:
        assert power_w == pytest.approx(int(data) / 1e6)
    assert power_w is None or 0.0 <= power_w <= 300.0


NAMES = ["CMB1", "macsmc-battery", "qcom-battmgr-bat", "BAT0", "sbs-5-000b"]


@pytest.mark.parametrize("name", NAMES)
def test_a_battery_is_what_its_type_says(tmp_path, clock, name):
    """The folder has the driver's name; the battery of a mouse and a supply of another type count
    for nothing.
    """
    fit(tmp_path, name, **ENERGY_TYPE, type="Battery", scope="System")
    fit(tmp_path, "hidpp_battery_0", **ENERGY_TYPE, type="Battery", scope="Device")
    fit(tmp_path, "ups", **ENERGY_TYPE, type="UPS")
    fit(tmp_path, "AC", type="Mains", online="0")
    assert BatteryMeter.probe(tmp_path).usable
    assert [path.name for path in find_batteries(tmp_path)] == [name]
    assert values(opened(tmp_path, clock)) == [pytest.approx(5.156)]


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("ACAD", {"type": "Mains", "online": "1"}),
        ("ucsi-source-psy-USBC000:001", {"type": "USB", "online": "1"}),
        ("usb", {"type": "USB_PD", "online": "2"}),
        ("wireless", {"type": "Wireless", "online": "1"}),
    ],
)
def test_a_battery_that_helps_the_mains_out_is_no_figure(tmp_path, clock, name, files):
    """Discharging while a charger is online: the battery gives a part of the power only."""
    fit(tmp_path, **ENERGY_TYPE)
    charger = fit(tmp_path, name, **{**files, "online": "0"})
    meter = opened(tmp_path, clock)
    assert values(meter) == [pytest.approx(5.156)]
    (charger / "online").write_text(files["online"])
    assert values(meter) == [None]
    answer = BatteryMeter.probe(tmp_path)
    assert (answer.usable, answer.reason_code) == (False, "not-supported")
    assert f"{name} is online" in answer.reason
    assert "unplug" in answer.fix


@pytest.mark.parametrize("status", ["Charging", "Unknown", ""])
def test_a_second_battery_that_may_charge_spoils_the_figure(tmp_path, status):
    """What flows into the other battery is no consumption."""
    fit(tmp_path, "BAT0", **ENERGY_TYPE)
    fit(tmp_path, "BAT1", status=status, power_now="3000000")
    assert not BatteryMeter.probe(tmp_path).usable
