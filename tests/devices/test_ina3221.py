"""Jetson power monitors: which rails count, what they read and how well."""

import shutil

import pytest

from devices.energy import energy
from devices.errors import DeviceError
from devices.meters.ina3221 import Ina3221Meter
from devices.meters.registry import choose_meter, make_meter, try_meter
from devices.meters.sysfs import open_readonly
from devices.profile import find_profile
from devices.stream import StreamSet

AGX_ORIN = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"
NANO = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
THOR_VIN = "sys/bus/i2c/drivers/ina238/2-0044"


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


def readings(root, clock, **options):
    meter = opened(root, clock, **options)
    info = meter.describe()
    watts = {info.rails[sample.rail].name: sample.value for sample in meter.read()}
    meter.close()
    return watts


# Watts by hand: milliwatts on JetPack 4, millivolts × milliamperes after it.
BOARDS = {
    "jetson-nano-rails": (
        "module",
        {"POM_5V_IN": 1.022},
        {"POM_5V_GPU": 0.0, "POM_5V_CPU": 0.204},
    ),
    "jetson-tx2-rails": (
        "module",
        {"VDD_IN": 3.056},
        {
            "VDD_SYS_GPU": 0.152,
            "VDD_SYS_SOC": 0.687,
            "VDD_4V0_WIFI": 0.0,
            "VDD_SYS_CPU": 0.152,
            "VDD_SYS_DDR": 0.883,
        },
    ),
    "jetson-xavier-nx-rails": (
        "module",
        {"VDD_IN": 4.0},
        {"VDD_CPU_GPU_CV": 0.75, "VDD_SOC": 1.35},
    ),
    "jetson-agx-xavier-rails": (
        "module",
        {"GPU": 0.475, "CPU": 0.475, "SOC": 1.235, "CV": 0.0, "VDDRQ": 0.304, "SYS5V": 2.75},
        {},
    ),
    "jetson-orin-nano-rails": (
        "module",
        {"VDD_IN": 9.250304},
        {"VDD_CPU_GPU_CV": 1.9904, "VDD_SOC": 1.472896},
    ),
    "jetson-agx-orin-rails": (
        "module",
        {"VDD_GPU_SOC": 4.8, "VDD_CPU_CV": 0.8, "VIN_SYS_5V0": 3.8},
        {"VDDQ_VDD2_1V8AO": 0.7},
    ),
    "jetson-thor-rails": (
        "kit",
        {"VIN": 19.78},
        {"VDD_GPU": -0.39248, "VDD_CPU_SOC_MSS": 5.8872, "VIN_SYS_5V0": 5.6},
    ),
}


@pytest.mark.parametrize("name", BOARDS)
def test_rails_of_known_boards(board, clock, name):
    """Every board sums exactly its own total; all other rails are read beside it, signs kept."""
    scope, totals, witnesses = BOARDS[name]
    root = board(name)
    assert Ina3221Meter.probe(root).usable
    info = described(root, clock)
    assert info.scope == scope
    assert info.kind == "sampled"
    assert sorted(names(info, "total")) == sorted(totals)
    assert sorted(names(info, "witness")) == sorted(witnesses)
    assert readings(root, clock) == pytest.approx({**totals, **witnesses})
    assert not any("permuted" in note for note in info.notes)


def test_never_in_the_list(board, clock):
    """Unconnected channels and sums of shunt voltages are named with their reasons, not read."""
    meter = opened(board("jetson-agx-orin-rails"), clock)
    info = meter.describe()
    meter.close()
    reasons = {item.name: item.reason for item in info.rejected}
    assert "not connected" in reasons["1-0041/1 (NC)"]
    assert "not connected" in reasons["1-0041/3 (NC)"]
    assert "not a rail" in reasons["1-0040/in7"]
    assert len(info.rails) == 4


def test_energy_is_that_of_the_total(board, clock):
    """Ten seconds of constant readings give watts times seconds of the summed rails only."""
    meter = opened(board("jetson-agx-orin-rails"), clock)
    streams = StreamSet(meter.describe(), 0.2)
    for _ in range(60):
        for sample in meter.read():
            streams.append(sample)
        clock.sleep(0.2)
    meter.close()
    reading = energy(streams, 101.0, 111.0)
    assert reading.energy_j == pytest.approx((4.8 + 0.8 + 3.8) * 10.0)
    # half a step of each rail all along: 20 mA at 20 V, 20 V and 5 V
    assert reading.resolution_j == pytest.approx(0.5 * (0.4 + 0.4 + 0.1) * 10.0)


def test_thor_has_two_figures(board, clock):
    """Without the carrier's input, or when asked for it, Thor gives the module and says so."""
    root = board("jetson-thor-rails")
    module = described(root, clock, scope="module")
    shutil.rmtree(root / THOR_VIN)
    alone = described(root, clock)
    three = ["VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"]
    for info in (module, alone):
        assert info.scope == "module"
        assert names(info, "total") == three
    answer = Ina3221Meter.probe(root, {"scope": "kit"})
    assert not answer.usable
    assert "VIN" in answer.reason


def test_older_names_of_the_tx2(board, clock):
    """Older releases call the parts differently; the total is the same."""
    root = board("jetson-tx2-rails")
    (root / "sys/bus/i2c/drivers/ina3221x/0-0040/iio:device0/rail_name_0").write_text("VDD_GPU\n")
    info = described(root, clock)
    assert names(info, "total") == ["VDD_IN"]
    assert "VDD_GPU" in names(info, "witness")


def test_unknown_board_has_witnesses_only(board, clock):
    """A board without profile shows its rails but no total, and says why."""
    root = board("jetson-xavier-nx-rails")
    (root / "proc/device-tree/compatible").write_text("somebody,carrier\0")
    (root / "proc/device-tree/model").write_text("Carrier\0")
    assert Ina3221Meter.probe(root).usable
    meter = opened(root, clock)
    info = meter.describe()
    streams = StreamSet(info, 0.2)
    for _ in range(20):
        for sample in meter.read():
            streams.append(sample)
        clock.sleep(0.2)
    assert names(info, "total") == []
    assert any("witnesses" in note for note in info.notes)
    assert energy(streams, 101.0, 102.0).energy_j is None


def test_board_can_be_named(board, clock):
    """On a carrier that hides the module the user names the board; a wrong name is an error."""
    root = board("jetson-xavier-nx-rails")
    (root / "proc/device-tree/compatible").write_text("somebody,carrier\0")
    (root / "proc/device-tree/model").write_text("Carrier\0")
    meter = make_meter("ina3221:board=jetson-xavier-nx", root, clock)
    meter.open()
    assert names(meter.describe(), "total") == ["VDD_IN"]
    assert Ina3221Meter.probe(root, {"board": "jetson-9"}).reason_code == "bad-option"
    assert Ina3221Meter.probe(root, {"speed": "3"}).reason_code == "bad-option"


def test_known_board_without_its_total_is_refused(board, clock):
    """If a rail of the sum is missing the rest is no figure, and the next meter is asked."""
    root = board("jetson-agx-orin-rails")
    (root / AGX_ORIN / "in2_label").write_text("NC\n")
    answer = Ina3221Meter.probe(root)
    assert not answer.usable
    assert "VDD_CPU_CV" in answer.reason
    with pytest.raises(DeviceError, match="VDD_CPU_CV"):
        opened(root, clock)


def test_permuted_labels_are_noted(board, clock):
    """A part above the whole is named in the notes; the readings stay as they are."""
    root = board("jetson-nano-rails")
    (root / NANO / "in_power1_input").write_text("2500\n")
    info = described(root, clock)
    assert any("POM_5V_GPU" in note and "permuted" in note for note in info.notes)


def test_parts_that_outgrow_the_whole_are_noted(board, clock):
    """Parts may read a tenth and one step more than the whole together, not more than that."""
    root = board("jetson-orin-nano-rails")
    (chip,) = root.glob("sys/**/1-0040/hwmon/hwmon1")
    (chip / "curr1_input").write_text("1000\n")  # 4.984 W in, steps of 0.04 W
    (chip / "curr2_input").write_text("560\n")
    (chip / "curr3_input").write_text("552\n")  # 5.533 W in parts
    assert not any("add up" in note for note in described(root, clock).notes)
    (chip / "curr3_input").write_text("656\n")  # 6.051 W
    notes = [note for note in described(root, clock).notes if "add up" in note]
    assert notes == ["VDD_CPU_GPU_CV, VDD_SOC add up to 6.051 W, the total VDD_IN reads 4.984 W"]


def test_steps_of_the_sensor(board, clock):
    """The step is 40 µV over the shunt times the voltage; a shunt that the kernel shows wins."""
    root = board("jetson-agx-orin-rails")
    steps = {rail.name: rail.resolution_w for rail in described(root, clock).rails}
    assert steps["VDD_GPU_SOC"] == pytest.approx(0.4)
    assert steps["VIN_SYS_5V0"] == pytest.approx(0.1)
    (root / AGX_ORIN / "shunt1_resistor").write_text("4000\n")
    shown = {rail.name: rail.resolution_w for rail in described(root, clock).rails}
    assert shown["VDD_GPU_SOC"] == pytest.approx(0.2)
    nano = described(board("jetson-nano-rails"), clock)
    assert nano.rails[0].resolution_w is None
    assert any("step of the sensor not known" in note for note in nano.notes)


@pytest.mark.parametrize(
    ("interval", "averaging_s", "rate_hz"),
    [
        ("430", 0.43, 2 / 0.43),
        ("", 0.43, 2 / 0.43),
        ("rubbish", 0.43, 2 / 0.43),
        ("100", 0.1, 10.0),
        ("1000", 1.0, 5.0),
        ("1", 0.001, 20.0),
    ],
)
def test_averaging(board, clock, interval, averaging_s, rate_hz):
    """The chip's own interval is used where it is readable, otherwise the vendor's 0.43 s.

    The rate is a whole multiple of the chip's, not above 5 Hz unless the chip itself is faster.
    """
    root = board("jetson-agx-orin-rails")
    for chip in ("1-0040/hwmon/hwmon3", "1-0041/hwmon/hwmon4"):
        (root / "sys/bus/i2c/drivers/ina3221" / chip / "update_interval").write_text(interval)
    info = described(root, clock)
    assert info.averaging_s == averaging_s
    assert info.max_rate_hz == pytest.approx(rate_hz)
    assert any("512" in note for note in info.notes)


def test_folder_numbers_and_second_views_do_not_matter(board, clock):
    """Another hwmon number, and the class folder that shows the chip again, change nothing."""
    root = board("jetson-agx-orin-rails")
    before = readings(root, clock)
    (root / AGX_ORIN).rename(root / AGX_ORIN.replace("hwmon3", "hwmon7"))
    link = root / "sys/class/hwmon"
    link.mkdir(parents=True)
    (link / "hwmon7").symlink_to(root / AGX_ORIN.replace("hwmon3", "hwmon7"))
    shutil.copytree(root / "sys/bus/i2c/drivers/ina3221/1-0041/hwmon/hwmon4", link / "hwmon4")
    assert readings(root, clock) == before


def test_disabled_channel(board, clock):
    """A channel that is switched off in the driver is not read."""
    root = board("jetson-agx-orin-rails")
    chip = root / "sys/bus/i2c/drivers/ina3221/1-0041/hwmon/hwmon4"
    (chip / "in2_enable").write_text("0\n")
    info = described(root, clock)
    assert "VDDQ_VDD2_1V8AO" not in [rail.name for rail in info.rails]
    assert any("switched off" in item.reason for item in info.rejected)


def test_voltage_and_current_without_power(board, clock):
    """A JetPack 4 channel without power file is volts times amperes."""
    root = board("jetson-nano-rails")
    (root / NANO / "in_power0_input").unlink()
    assert readings(root, clock)["POM_5V_IN"] == pytest.approx(5.112 * 0.2)


def test_unnamed_channel_is_a_witness(board, clock):
    """A channel without label is read under its place and never summed."""
    root = board("jetson-agx-orin-rails")
    (root / "sys/bus/i2c/drivers/ina3221/1-0041/hwmon/hwmon4/in2_label").unlink()
    assert "1-0041/2" in names(described(root, clock), "witness")


def test_repeated_total_is_no_total(board, clock):
    """Two rails of the name that counts cannot be told apart, so neither is the figure."""
    root = board("jetson-nano-rails")
    (root / NANO / "rail_name_1").write_text("POM_5V_IN\n")
    assert not Ina3221Meter.probe(root).usable
    (root / NANO / "rail_name_1").write_text("POM_5V_CPU\n")
    info = described(root, clock)
    assert names(info, "witness") == ["POM_5V_CPU", "POM_5V_CPU (2)"]


def test_profile_picks_this_meter(board):
    """On a Jetson the first choice is the kernel's files."""
    choice = choose_meter(find_profile("jetson-nano"), board("jetson-nano-rails"))
    assert choice.spec is not None
    assert choice.spec.name == "ina3221"


@pytest.mark.parametrize(("microohm", "doubted"), [("2000", False), ("5000", True), ("0", False)])
def test_a_shunt_of_another_module_is_named(board, clock, microohm, doubted):
    """An AGX Orin carries 2 mΩ: with 5 mΩ in the device tree all watts are 2.5 times too low."""
    root = board("jetson-agx-orin-rails")
    (root / AGX_ORIN / "shunt1_resistor").write_text(f"{microohm}\n")
    notes = " ".join(described(root, clock).notes)
    assert ("shunt1_resistor is 5 mΩ, this module is known for 2 mΩ" in notes) is doubted


def test_thor_s_input_has_the_sign_of_its_current(board, clock):
    """The INA238's power is a magnitude: a kit that feeds its supply is not measured."""
    root = board("jetson-thor-rails")
    chip = next(root.glob(f"{THOR_VIN}/hwmon/hwmon*"))
    (chip / "curr1_input").write_text("-1500\n")
    assert readings(root, clock)["VIN"] < 0.0
    (rail,) = [r for r in described(root, clock).rails if r.name == "VIN"]
    assert not rail.can_draw(readings(root, clock)["VIN"])


@pytest.mark.parametrize("name", ["jetson-nano-rails", "jetson-tx2-rails", "jetson-agx-orin-rails",
                                  "jetson-orin-nano-rails", "jetson-thor-rails"])  # fmt: skip
def test_recorded_boards_are_usable(board, name):
    """What real boards read at rest lies within what their profiles allow."""
    assert try_meter("ina3221", board(name), sleep=lambda seconds: None).usable
