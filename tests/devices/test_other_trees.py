"""Trees as other kernels, carriers and mounts show them; nothing here is in a published capture.

Each follows from the description of its format; a board's total must stay right or be absent.
"""

import shutil

import pytest

from devices.inspection import inspect_meter
from devices.meters.ina3221 import Ina3221Meter
from devices.meters.powercap import choose_zones, find_zones

CLASS = "sys/class/powercap"


def still(seconds):
    """Do not wait between readings."""


def seen(meter, root):
    """What a meter says of a tree: its total in watts or joules, and its report."""
    report = inspect_meter(meter, root, sleep=still)
    return (report.energy_j if report.energy_j is not None else report.power_w), report


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def move(root, old, new):
    (root / new).parent.mkdir(parents=True, exist_ok=True)
    (root / old).rename(root / new)


NANO = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
NANO_PLACES = (
    "sys/bus/i2c/drivers/ina3221x/6-0040/iio_device",
    "sys/bus/i2c/devices/6-0040/iio:device0",
    "sys/bus/iio/devices/iio:device0",
    "sys/devices/7000c400.i2c/i2c-6/6-0040/iio:device0",
    "sys/devices/50000000.host1x/546c0000.i2c/i2c-6/6-0040/iio:device0",
)


@pytest.mark.parametrize("place", NANO_PLACES)
def test_jetpack_4_monitor_in_other_folders(board, place):
    """Wherever a mount shows the chip, its input rail is the total."""
    root = board("jetson-nano-rails")
    move(root, NANO, place)
    total, report = seen("ina3221", root)
    assert total == pytest.approx(1.022)
    assert [rail.name for rail in report.info.rails] == ["POM_5V_IN", "POM_5V_GPU", "POM_5V_CPU"]


def test_one_chip_in_many_folders_is_one_chip(board):
    """The same chip seen through driver, bus and class is read once."""
    root = board("jetson-nano-rails")
    for place in NANO_PLACES[1:]:
        shutil.copytree(root / NANO, root / place)
    total, report = seen("ina3221", root)
    assert total == pytest.approx(1.022)
    assert len(report.info.rails) == 3


def test_jetpack_4_without_power_files(board):
    """A kernel that shows no milliwatts still shows volts and amperes."""
    root = board("jetson-nano-rails")
    for path in (root / NANO).glob("in_power*"):
        path.unlink()
    assert seen("ina3221", root)[0] == pytest.approx(5.112 * 0.200)


ORIN_NANO = "sys/devices/platform/bus@0/c240000.i2c/i2c-1/1-0040/hwmon/hwmon1"


@pytest.mark.parametrize(
    "place",
    [
        "sys/class/hwmon/hwmon7",
        "sys/bus/i2c/devices/1-0040/hwmon/hwmon3",
        "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon12",
    ],
)
def test_jetpack_6_monitor_in_other_folders(board, place):
    """The number of the folder changes from boot to boot and means nothing."""
    root = board("jetson-orin-nano-rails")
    move(root, ORIN_NANO, place)
    assert seen("ina3221", root)[0] == pytest.approx(4.984 * 1.856)


def orin_nano(root, files):
    write(root, {f"{ORIN_NANO}/{name}": text for name, text in files.items()})


@pytest.mark.parametrize(
    ("files", "total"),
    [
        ({"curr1_input": "-8\n"}, None),  # a module that runs does not feed its supply
        ({"curr1_input": "0\n"}, None),
        ({"curr1_input": "900000\n"}, None),  # 4.5 kW
        ({"in1_label": "VDD_IN  \n", "in1_input": " 4984 \n"}, 4.984 * 1.856),
        ({"in4_input": "9999\n", "curr4_input": "99999\n"}, 4.984 * 1.856),  # sums are no rail
        ({"in1_label": "vdd_in\n"}, None),
        ({"in1_label": "VDD_IN_2\n"}, None),
        ({"in2_label": "VDD_IN\n"}, None),  # which of the two is the total?
        ({"curr1_input": "1,856\n"}, None),
        ({"curr1_input": "1.856\n"}, None),
        ({"curr1_input": "1856 mA\n"}, None),
        ({"curr1_input": ""}, None),
        ({"in1_enable": "0\n"}, None),
    ],
)  # fmt: skip
def test_module_input_is_right_or_absent(board, files, total):
    """Odd files of one channel move the total as the format says, or leave none."""
    root = board("jetson-orin-nano-rails")
    orin_nano(root, files)
    found, report = seen("ina3221", root)
    if total is None:
        assert found is None
        assert report.reason
    else:
        assert found == pytest.approx(total)


def test_unconnected_channels_may_be_anywhere(board):
    """AGX Orin with its chips' numbers swapped: three rails are the module, NC and VDDQ are not."""
    root = board("jetson-agx-orin-rails")
    before, _ = seen("ina3221", root)
    chips = sorted(root.glob("sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*"))
    for number, chip in enumerate(chips, 21):
        chip.rename(chip.with_name(f"hwmon{100 - number}"))
    after, report = seen("ina3221", root)
    assert after == before is not None
    assert "VDDQ_VDD2_1V8AO" not in [r.name for r in report.info.rails if r.role == "total"]
    assert not [r for r in report.info.rails if r.name == "NC"]


def test_carrier_chip_of_a_tx2_is_beside_the_total(board):
    """The carrier's own monitors show what is before the module's input; nothing is added."""
    root = board("jetson-tx2-rails")
    before, _ = seen("ina3221", root)
    carrier = "sys/bus/i2c/drivers/ina3221x/0-0042/iio:device2"
    write(root, {f"{carrier}/rail_name_0": "VDD_MUX\n", f"{carrier}/in_power0_input": "7654\n"})
    after, report = seen("ina3221", root)
    assert after == before is not None
    assert {r.name: r.role for r in report.info.rails}["VDD_MUX"] == "witness"


def test_unknown_jetson_shows_rails_and_no_total(board):
    """A module that no profile knows: every rail is shown, nothing is added up."""
    root = board("jetson-orin-nano-rails")
    write(root, {"proc/device-tree/compatible": "nvidia,p9999-0000\0nvidia,tegra999\0",
                 "proc/device-tree/model": "NVIDIA Jetson Next\0"})  # fmt: skip
    total, report = seen("ina3221", root)
    assert total is None
    assert Ina3221Meter.probe(root).usable
    assert {rail.role for rail in report.info.rails} == {"witness"}
    assert all(value is not None for value in report.values)


def zones(root, **names):
    """Write powercap zones: `z0_1="dram"` is intel-rapl:0:1."""
    for key, name in names.items():
        zone = "intel-rapl:" + key.removeprefix("z").replace("_", ":")
        write(root, {f"{CLASS}/{zone}/name": f"{name}\n", f"{CLASS}/{zone}/energy_uj": "5000000\n",
                     f"{CLASS}/{zone}/max_energy_range_uj": "262143328850\n"})  # fmt: skip


def totals(root):
    return sorted(name for name, _ in choose_zones(find_zones(root), root).totals)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"z0": "psys", "z1": "package-0", "z1_0": "core"}, ["package-0"]),
        ({"z0": "package-0", "z1": "psys", "z2": "package-1"}, ["package-0", "package-1"]),
        ({"z0": "package-0", "z0_0": "uncore", "z0_1": "core"}, ["package-0"]),
        ({"z0": "package-0", "z0_0": "dram", "z1": "package-1", "z1_0": "dram"},
         ["package-0", "package-0/dram", "package-1", "package-1/dram"]),
        ({"z0": "package-0-die-0", "z1": "package-0-die-1", "z2": "package-1-die-0"},
         ["package-0-die-0", "package-0-die-1", "package-1-die-0"]),
        ({"z0": "package-0", "z1": "package-0"}, ["package-0"]),
        ({"z0": "psys"}, []),
        ({"z0": "package-zero"}, []),
        ({"z0_0": "dram"}, []),
        ({"z0": "package-10", "z1": "package-2"}, ["package-10", "package-2"]),
    ],
)  # fmt: skip
def test_intel_zones_are_chosen_by_name(tmp_path, names, expected):
    """Packages and their memory are the total; psys, parts, twins and odd names never are."""
    write(tmp_path, {"proc/cpuinfo": "processor\t: 0\nvendor_id\t: GenuineIntel\n"})
    zones(tmp_path, **names)
    assert totals(tmp_path) == expected
    total, _ = seen("rapl", tmp_path)
    assert total == (pytest.approx(5.0 * len(expected)) if expected else None)
