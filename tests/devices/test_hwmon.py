"""External probes: watts and joules by chip, several probes, and chips that fail."""

import math
import random

import pytest

from devices.energy import energy
from devices.errors import DeviceError
from devices.meters.hwmon import HwmonMeter
from devices.meters.registry import MeterSpec, make_meter, probe_meter, try_meter
from devices.meters.sysfs import open_readonly
from devices.stream import StreamSet


def add_probe(root, number, chip, address, **files):
    """Write one chip as the kernel shows it: the class folder is a link into the I2C device."""
    folder = root / f"sys/devices/platform/soc/fe804000.i2c/i2c-1/{address}/hwmon/hwmon{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{chip}\n")
    for name, text in files.items():
        (folder / name).write_text(f"{text}\n")
    link = root / "sys/class/hwmon"
    link.mkdir(parents=True, exist_ok=True)
    (link / f"hwmon{number}").symlink_to(folder)
    return folder


def opened(root, clock, opener=open_readonly, **options):
    meter = HwmonMeter(root, clock, options, opener)
    meter.open()
    return meter


def described(root, clock, opener=open_readonly, **options):
    meter = opened(root, clock, opener, **options)
    info = meter.describe()
    meter.close()
    return info


@pytest.mark.parametrize(
    ("chip", "shunt", "step_w"),
    [
        # 20 × 10 µV and 25 × 2.5 µV over 0.1 Ω; 10 mW whatever the shunt; 4 µV over 0.1 Ω
        ("ina219", "100000", 2e-3),
        ("ina226", "100000", 0.625e-3),
        ("ina260", None, 10e-3),
        ("ina238", "100000", 40e-6),
        ("ina219", None, None),
        ("ina219", "0", None),
        ("ina234", "100000", None),
    ],
)
def test_one_probe_is_the_total(board, clock, chip, shunt, step_w):
    """Microwatts become watts; the step is the chip's, or unknown and said so."""
    root = board("raspberry-pi-4")
    files = {"power1_input": "5432100"} | ({"shunt_resistor": shunt} if shunt else {})
    add_probe(root, 3, chip, "1-0040", **files)
    meter = opened(root, clock, scope="board")
    info = meter.describe()
    samples = meter.read()
    meter.close()
    assert [(rail.name, rail.role) for rail in info.rails] == [(f"{chip}@1-0040", "total")]
    assert (info.scope, info.kind) == ("board", "sampled")
    assert [sample.value for sample in samples] == [pytest.approx(5.4321)]
    assert info.rails[0].resolution_w == (None if step_w is None else pytest.approx(step_w))
    assert any("step" in note for note in info.notes) == (step_w is None)


def test_accumulating_chip_is_a_counter(board, clock):
    """An INA228's microjoules are differences: 10 W for 10 s are 100 J."""
    root = board("raspberry-pi-4")
    files = {"power1_input": "10000000", "energy1_input": "0", "shunt_resistor": "10000"}
    folder = add_probe(root, 2, "ina228", "1-0045", **files)
    meter = opened(root, clock)
    info = meter.describe()
    streams = StreamSet(info, 0.1)
    for step in range(130):
        (folder / "energy1_input").write_text(f"{step * 1_000_000}\n")
        for sample in meter.read():
            streams.append(sample)
        clock.sleep(0.1)
    meter.close()
    assert info.kind == "counter"
    assert energy(streams, 101.0, 111.0).energy_j == pytest.approx(100.0)
    assert info.averaging_s == 0.0


@pytest.mark.parametrize(
    ("told", "lag_s"), [({"update_interval": "1000"}, 1.0), ({}, 3 * 16 * 1052e-6)]
)
def test_a_counter_that_averages_moves_by_what_is_drawn_meanwhile(board, clock, told, lag_s):
    """16 × 4 µV / 10 mΩ × 1 s of a count, and a second (or what the driver sets) at the limit."""
    root = board("raspberry-pi-4")
    files = {"energy1_input": "0", "shunt_resistor": "10000", **told}
    add_probe(root, 2, "ina228", "1-0045", **files)
    info = described(root, clock)
    (rail,) = info.rails
    assert rail.resolution_j == pytest.approx(6.4e-3 + rail.max_power_w * lag_s)
    assert any("update_interval" in note for note in info.notes)


def test_the_bound_of_a_counter_that_lags_holds(board, clock):
    """1 W, and 9 W from 10.3 s to 15 s; the chip adds up at whole seconds and is read at 10 Hz."""
    root = board("raspberry-pi-4")
    folder = add_probe(
        root, 2, "ina228", "1-0045",
        energy1_input="0", shunt_resistor="10000", update_interval="1000",
    )  # fmt: skip

    def true_j(time_s):
        return time_s + 8.0 * max(0.0, min(time_s, 15.0) - 10.3)

    meter = opened(root, clock)
    streams = StreamSet(meter.describe(), 0.1)
    clock.now_s = 0.01
    for _ in range(250):
        shown_j = true_j(float(math.floor(clock.now_s)))
        (folder / "energy1_input").write_text(f"{round(1e6 * shown_j)}\n")
        for sample in meter.read():
            streams.append(sample)
        clock.sleep(0.1)
    meter.close()
    rng = random.Random(1)
    for _ in range(300):
        start_s = rng.uniform(5.0, 18.0)
        end_s = start_s + rng.uniform(1.0, 6.0)
        found = energy(streams, start_s, end_s)
        assert abs(found.energy_j - (true_j(end_s) - true_j(start_s))) <= found.error_j


def test_all_that_a_chip_adds_up_at_once_is_no_reset(board, clock):
    """At nine tenths of the limit it moves once a second, by nine times a reading's worth."""
    root = board("raspberry-pi-4")
    folder = add_probe(
        root, 2, "ina228", "1-0045",
        energy1_input="0", shunt_resistor="10000", update_interval="1000",
    )  # fmt: skip
    meter = opened(root, clock)
    info = meter.describe()
    power_w = 0.9 * info.rails[0].max_power_w
    streams = StreamSet(info, 0.1)
    for step in range(60):
        (folder / "energy1_input").write_text(f"{round(1e6 * power_w * (step // 10))}\n")
        for sample in meter.read():
            streams.append(sample)
        clock.sleep(0.1)
    meter.close()
    found = energy(streams, 101.0, 105.0)
    assert "reset" not in found.flags
    assert found.energy_j == pytest.approx(4.0 * power_w, rel=0.25)


@pytest.mark.parametrize(("chip", "averaging_s"), [("ina238", 0.0505), ("ina219", 0.0)])
def test_a_chip_that_averages_untold_does_so_when_sampled_too(board, clock, chip, averaging_s):
    """The driver's own setting of the INA238 family; an INA219 does not average."""
    root = board("raspberry-pi-4")
    add_probe(root, 2, chip, "1-0040", power1_input="1000000")
    assert described(root, clock).averaging_s == pytest.approx(averaging_s, abs=1e-4)


def test_a_counter_that_starts_again_is_a_reset(board, clock):
    """A smaller value is a chip that lost power, not a wrapped counter."""
    root = board("raspberry-pi-4")
    folder = add_probe(root, 2, "ina228", "1-0045", energy1_input="900000000")
    meter = opened(root, clock)
    streams = StreamSet(meter.describe(), 0.1)
    for step in range(40):
        (folder / "energy1_input").write_text(f"{900_000_000 * (step < 20) + step}\n")
        for sample in meter.read():
            streams.append(sample)
        clock.sleep(0.1)
    meter.close()
    reading = energy(streams, 100.5, 103.5)
    assert reading.energy_j is None
    assert "reset" in reading.flags


def test_kind_can_be_chosen(board, clock):
    """Samples of a counting chip can be asked for; counts of a chip without are refused."""
    root = board("raspberry-pi-4")
    add_probe(root, 2, "ina228", "1-0045", power1_input="2500000", energy1_input="77")
    meter = opened(root, clock, kind="sampled")
    assert meter.describe().kind == "sampled"
    assert [sample.value for sample in meter.read()] == [2.5]
    meter.close()
    add_probe(root, 3, "ina219", "1-0040", power1_input="1")
    answer = HwmonMeter.probe(root, {"kind": "counter", "totals": "ina219@1-0040"})
    assert answer.reason_code == "bad-option"
    assert HwmonMeter.probe(root, {"kind": "guess"}).reason_code == "bad-option"


def test_several_probes_need_names(board, clock):
    """Which of several probes add up is not guessed; named ones are summed."""
    root = board("raspberry-pi-4")
    add_probe(root, 5, "ina226", "1-0040", power1_input="4000000", update_interval="35")
    add_probe(root, 1, "ina219", "1-0041", power1_input="1000000")
    add_probe(root, 0, "ina219", "10-0041", power1_input="2000000")
    plain = described(root, clock)
    assert {rail.role for rail in plain.rails} == {"witness"}
    assert any("totals=" in note for note in plain.notes)
    meter = make_meter("hwmon:totals=ina219@1-0041+ina226@1-0040,scope=board", root, clock)
    meter.open()
    info = meter.describe()
    watts = {info.rails[sample.rail].name: sample.value for sample in meter.read()}
    meter.close()
    totals = [rail.name for rail in info.rails if rail.role == "total"]
    assert totals == ["ina219@1-0041", "ina226@1-0040"]
    assert watts == {"ina219@1-0041": 1.0, "ina226@1-0040": 4.0, "ina219@10-0041": 2.0}
    assert info.averaging_s == pytest.approx(0.035)
    answer = probe_meter("hwmon:totals=ina219@9-0040", root)
    assert answer.reason_code == "bad-option"
    assert "ina226@1-0040" in answer.fix


def test_counter_beside_a_chip_without(board, clock):
    """A figure of counters leaves out a witness that has power only, with the reason."""
    root = board("raspberry-pi-4")
    add_probe(root, 1, "ina228", "1-0045", power1_input="1", energy1_input="5000000")
    add_probe(root, 2, "ina219", "1-0040", power1_input="1000000")
    info = described(root, clock, totals="ina228@1-0045")
    assert info.kind == "counter"
    assert [rail.name for rail in info.rails] == ["ina228@1-0045"]
    assert "power only" in info.rejected[0].reason


def test_other_hwmon_chips_are_left_alone(board):
    """Fans and thermometers are no probes; neither is a chip without power file."""
    root = board("raspberry-pi-4")
    add_probe(root, 0, "rpi_volt", "1-0010", in0_lcrit_alarm="0")
    add_probe(root, 1, "nct6775", "1-0011", power1_input="1")
    add_probe(root, 2, "ina3221", "1-0042", in1_input="5000")
    add_probe(root, 3, "ina219", "1-0043", in1_input="5000")
    answer = HwmonMeter.probe(root)
    assert (answer.usable, answer.reason_code) == (False, "no-sensor")
    assert "new_device" in answer.fix


def test_a_jetsons_own_chip_is_not_an_external_probe(board, clock):
    """Thor's carrier chip belongs to the board unless the user names it."""
    root = board("jetson-thor-rails")
    add_probe(root, 6, "ina238", "2-0044", power1_input="19780000", shunt_resistor="2000")
    assert HwmonMeter.probe(root).reason_code == "no-sensor"
    info = described(root, clock, totals="ina238@2-0044", scope="kit")
    assert [rail.role for rail in info.rails] == ["total"]


def closed_opener(part):
    def opener(path):
        if part in str(path.resolve()):
            raise PermissionError(13, "Permission denied", str(path))
        return open_readonly(path)

    return opener


def test_permission(board, clock):
    """A closed total is refused with the command that opens it; a closed witness is left out."""
    root = board("raspberry-pi-4")
    add_probe(root, 1, "ina219", "1-0040", power1_input="1000000")
    add_probe(root, 2, "ina219", "1-0041", power1_input="2000000")
    options = {"totals": "ina219@1-0040"}
    answer = HwmonMeter.probe(root, options, closed_opener("1-0040"))
    assert (answer.usable, answer.reason_code) == (False, "permission")
    assert answer.fix == "sudo chmod a+r /sys/class/hwmon/hwmon1/power1_input"
    with pytest.raises(DeviceError, match="no permission"):
        opened(root, clock, closed_opener("1-0040"), **options)
    info = described(root, clock, closed_opener("1-0041"), **options)
    assert [rail.name for rail in info.rails] == ["ina219@1-0040"]
    assert info.rejected[0].name == "ina219@1-0041"


@pytest.mark.parametrize("text", ["", "nan", "5,4", "5.4", "-", "0x10", "9" * 25])
def test_a_probe_that_fails(board, clock, text):
    """Rubbish at the start is refused with a reason; later it is a failed read."""
    root = board("raspberry-pi-4")
    folder = add_probe(root, 1, "ina219", "1-0040", power1_input="1000000")
    meter = opened(root, clock)
    (folder / "power1_input").write_text(text)
    assert [sample.value for sample in meter.read()] == [None]
    meter.close()
    answer = HwmonMeter.probe(root)
    assert (answer.usable, answer.reason_code) == (False, "no-sensor")
    assert answer.fix.startswith("cat /sys/")


def test_address_hidden(board, clock):
    """A tree that hides the I2C device names the probe by its folder."""
    root = board("raspberry-pi-4")
    folder = root / "sys/class/hwmon/hwmon4"
    folder.mkdir(parents=True)
    (folder / "name").write_text("ina219\n")
    (folder / "power1_input").write_text("-40000\n")
    meter = opened(root, clock)
    assert meter.describe().rails[0].name == "ina219@hwmon4"
    assert [sample.value for sample in meter.read()] == [pytest.approx(-0.04)]
    meter.close()
    (root / "sys/bus/i2c/drivers/ina2xx/1-0041/hwmon/hwmon4").mkdir(parents=True)
    assert described(root, clock).rails[0].name == "ina219@1-0041"


def test_not_open(board):
    """Before `open` there is no description, and closing is harmless."""
    meter = HwmonMeter(board("raspberry-pi-4"))
    meter.close()
    with pytest.raises(DeviceError, match="not open"):
        meter.describe()
    with pytest.raises(DeviceError, match="no INA2xx"):
        meter.open()


@pytest.mark.parametrize("chip", ["ina219", "ina226", "ina238", "ina260"])
def test_the_current_gives_the_power_its_sign(board, clock, chip):
    """power1_input is a magnitude on all these chips: what flows back is never consumption."""
    root = board("raspberry-pi-4")
    files = {"power1_input": "6000000", "curr1_input": "1200", "shunt_resistor": "100000"}
    folder = add_probe(root, 3, chip, "1-0040", **files)
    assert try_meter("hwmon", root, sleep=lambda seconds: None).usable
    (folder / "curr1_input").write_text("-1200\n")
    meter = opened(root, clock)
    assert [sample.value for sample in meter.read()] == [-6.0]
    assert not meter.describe().rails[0].can_draw(-6.0)
    meter.close()
    answer = try_meter("hwmon", root, sleep=lambda seconds: None)
    assert not answer.usable
    assert "below zero" in answer.reason
    assert "supply to this device" in answer.fix


def test_an_accumulator_that_counts_what_flows_back_gives_nothing(board, clock):
    """The INA228 adds up magnitudes: with a current below zero its joules are not consumption."""
    root = board("raspberry-pi-4")
    files = {"power1_input": "10000000", "energy1_input": "5000000", "curr1_input": "900"}
    folder = add_probe(root, 2, "ina228", "1-0045", **files)
    meter = opened(root, clock)
    assert [sample.value for sample in meter.read()] == [5.0]
    (folder / "curr1_input").write_text("-900\n")
    assert [sample.value for sample in meter.read()] == [None]
    meter.close()


@pytest.mark.parametrize(
    ("chip", "shunt", "words"),
    [
        ("ina219", "10000", "ten times too high; then: echo 100000 | sudo tee /sys/class/hwmon/"),
        ("ina226", "10000", "kernel's assumption"),
        ("ina219", "100000", "shunt_resistor is 100 mΩ: compare"),
        ("ina226", "2000", "shunt_resistor is 2 mΩ: compare"),
        ("ina219", None, "cannot be seen"),
        ("ina260", None, ""),
    ],
)
def test_the_shunt_that_figures_rest_on_is_named(board, clock, chip, shunt, words):
    """The kernel takes it for 10 mΩ unless told; a chip with its own has none to doubt."""
    root = board("raspberry-pi-4")
    files = {"power1_input": "3000000"} | ({"shunt_resistor": shunt} if shunt else {})
    add_probe(root, 3, chip, "1-0040", **files)
    notes = " ".join(described(root, clock).notes)
    assert words in notes
    assert ("shunt" in notes) == bool(words)


def test_the_remedy_does_not_lead_to_ten_times_too_much(board):
    """Whoever names the chip to the kernel as told also tells it the shunt."""
    fix = probe_meter("hwmon", board("raspberry-pi-4")).fix
    assert fix.index("new_device") < fix.index("100000") < fix.index("shunt_resistor")


@pytest.mark.parametrize(
    ("microwatt", "options", "usable"),
    [
        ("20240000", {}, False),  # a tenth of the shunt assumed: 20 W where 2.5 × 7.2 W is the most
        ("2024000", {}, True),
        ("700000", {}, False),  # a quarter of 3 W is the least
        ("700000", {"scope": "3V3 rail"}, True),  # a part of the board may take less
        ("0", {"scope": "3V3 rail"}, False),
    ],
)
def test_what_a_pi_4_can_draw(board, microwatt, options, usable):
    """The profile of the board bounds what the probe may show."""
    root = board("raspberry-pi-4")
    add_probe(root, 3, "ina219", "1-0040", power1_input=microwatt, shunt_resistor="100000")
    text = MeterSpec("hwmon", options).text()
    answer = try_meter(text, root, sleep=lambda seconds: None)
    assert answer.usable is usable
    assert usable or "shunt_resistor" in answer.fix
