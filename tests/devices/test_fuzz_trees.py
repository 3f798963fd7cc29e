"""Whole sensor trees whose files hold anything: a figure is what the files say, or none."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.errors import DeviceError
from devices.inspection import inspect_meter
from devices.meters.hwmon import HwmonMeter
from devices.meters.hwmon_probes import MAX_MICROJOULE, MAX_MICROWATT
from devices.meters.ina3221 import Ina3221Meter
from devices.meters.powercap import choose_zones, find_zones
from devices.meters.rapl import RaplMeter
from devices.meters.replay import load_trace

BOARDS = Path(__file__).parents[1] / "fixtures" / "boards"

RUBBISH = st.one_of(
    st.binary(max_size=40),
    st.integers(-(10**30), 10**30).map(lambda number: f"{number}\n".encode()),
    st.floats().map(lambda number: f"{number}\n".encode()),
    st.sampled_from(
        [b"", b"\n", b"1,5\n", b"1.500,0\n", b"nan\n", b"inf\n", b"-\n", b"1e3\n", b"1_000\n",
         b"0x10\n", "１２\n".encode(), b"12 13\n", b"+5\n", b"--5\n", b"5mW\n", b"\x00\n"]
    ),
)  # fmt: skip
NUMBERS = st.integers(-(10**6), 10**6).map(lambda number: f"{number}\n".encode())


def whole_number(data, limit):
    """The number a kernel file holds, judged slowly and apart from the parser."""
    text = data.decode("utf-8", "replace").strip(" \t\n\r\v\f")
    plain = text.removeprefix("-")
    if not plain or len(plain) > 20 or any(letter not in "0123456789" for letter in plain):
        return None
    return int(text) if abs(int(text)) <= limit else None


def build(root, board):
    """Write a board fixture into a root that earlier examples have used."""
    for line in (BOARDS / f"{board}.tsv").read_text().splitlines():
        path, _, content = line.partition("\t")
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content.replace("\\n", "\n").replace("\\0", "\0"))


def opened_values(meter):
    """What an opened meter reads; None if it does not open."""
    try:
        meter.open()
    except DeviceError:
        return None
    try:
        names = [rail.name for rail in meter.describe().rails]
        return dict(zip(names, (sample.value for sample in meter.read()), strict=True))
    finally:
        meter.close()


@given(data=st.one_of(RUBBISH, NUMBERS))
@settings(max_examples=150, deadline=None)
def test_jetpack_4_power_file(tmp_path_factory, data):
    """Milliwatts as written, or the meter does not start: the total is not read."""
    root = tmp_path_factory.getbasetemp() / "fuzzed-iio"
    build(root, "jetson-nano-rails")
    chip = root / "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    (chip / "in_power0_input").write_bytes(data)
    number = whole_number(data, 10**6)
    values = opened_values(Ina3221Meter(root))
    if number is None:
        assert values is None
    else:
        assert values["POM_5V_IN"] == pytest.approx(number / 1000.0)


@given(volts=st.one_of(RUBBISH, NUMBERS), amperes=st.one_of(RUBBISH, NUMBERS))
@settings(max_examples=200, deadline=None)
def test_jetpack_5_voltage_and_current(tmp_path_factory, volts, amperes):
    """Volts times amperes of the files, sign included, or no total."""
    root = tmp_path_factory.getbasetemp() / "fuzzed-hwmon"
    build(root, "jetson-orin-nano-rails")
    (chip,) = root.glob("sys/**/1-0040/hwmon/hwmon1")
    (chip / "in1_input").write_bytes(volts)
    (chip / "curr1_input").write_bytes(amperes)
    numbers = whole_number(volts, 10**5), whole_number(amperes, 10**6)
    values = opened_values(Ina3221Meter(root))
    if None in numbers:
        assert values is None
    else:
        assert values["VDD_IN"] == pytest.approx(numbers[0] * numbers[1] / 1e6)


LABELS = ("in1_label", "in2_label", "in7_label", "name", "update_interval", "samples")


@given(contents=st.lists(RUBBISH, min_size=len(LABELS), max_size=len(LABELS)))
@settings(max_examples=150, deadline=None)
def test_labels_and_attributes_of_a_jetson(tmp_path_factory, contents):
    """Unreadable labels may cost the total but never invent one, and never crash the doctor."""
    root = tmp_path_factory.getbasetemp() / "fuzzed-labels"
    build(root, "jetson-orin-nano-rails")
    (chip,) = root.glob("sys/**/1-0040/hwmon/hwmon1")
    for name, data in zip(LABELS, contents, strict=True):
        (chip / name).write_bytes(data)
    report = inspect_meter("ina3221", root, sleep=lambda seconds: None)
    if report.power_w is not None:
        labels = [whole.decode("utf-8", "replace").strip() for whole in contents[:2]]
        assert "VDD_IN" in labels


@given(power=st.one_of(RUBBISH, NUMBERS), energy=st.one_of(RUBBISH, NUMBERS), shunt=RUBBISH)
@settings(max_examples=200, deadline=None)
def test_probe(tmp_path_factory, power, energy, shunt):
    """A probe's microwatts and microjoules as written, or no figure."""
    root = tmp_path_factory.getbasetemp() / "fuzzed-probe"
    folder = root / "sys/class/hwmon/hwmon0"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "name").write_text("ina228\n")
    for name, data in (
        ("power1_input", power), ("energy1_input", energy), ("shunt_resistor", shunt),
        ("update_interval", shunt),
    ):  # fmt: skip
        (folder / name).write_bytes(data)
    for kind, data in (("sampled", power), ("counter", energy)):
        number = whole_number(data, MAX_MICROWATT if kind == "sampled" else MAX_MICROJOULE)
        values = opened_values(HwmonMeter(root, options={"kind": kind}))
        if number is None:
            assert values is None
        else:
            (value,) = values.values()
            backwards = kind == "counter" and number < 0
            assert value == (None if backwards else pytest.approx(number / 1e6))


ZONE_FILES = ("name", "energy_uj", "max_energy_range_uj")


@given(
    contents=st.lists(RUBBISH, min_size=3, max_size=3),
    zone=st.sampled_from(["intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1", "intel-rapl-mmio:0"]),
)
@settings(max_examples=150, deadline=None)
def test_powercap_tree(tmp_path_factory, contents, zone):
    """Rubbish in one zone leaves the others' sum or none; no zone is counted under two names."""
    root = tmp_path_factory.getbasetemp() / f"fuzzed-{zone.replace(':', '-')}"
    build(root, "amd-ryzen")
    for name, data in zip(ZONE_FILES, contents, strict=True):
        target = root / "sys/class/powercap" / zone / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    names = [name for name, _ in choose_zones(find_zones(root), root).totals]
    assert len(names) == len(set(names))
    values = opened_values(RaplMeter(root))
    if values is not None and "package-0" in values and zone != "intel-rapl:0":
        assert values["package-0"] == 3000.0


CELL = st.one_of(
    st.floats().map(repr),
    st.integers(-5, 5).map(str),
    st.sampled_from(["", "nan", "-inf", "1e999", "1_0", "one", '"', " 2 ", "0x1"]),
)


@given(rows=st.lists(st.tuples(CELL, st.sampled_from(["a", "b", ""]), CELL, CELL), max_size=6))
@settings(max_examples=300, deadline=None)
def test_replayed_rows(tmp_path_factory, rows):
    """A trace that loads holds just the finite numbers of its lines, in order of time."""
    path = tmp_path_factory.getbasetemp() / "fuzzed-rows.csv"
    lines = [",".join(row) for row in rows]
    path.write_text("\n".join(["t_s,rail,power_w,energy_j", *lines]) + "\n")
    try:
        rails = load_trace(path)
    except DeviceError:
        return
    cells = [cell for row in rows for cell in row if cell not in ("", '"')]
    told = {float(cell) for cell in cells if re.search(r"[0-9]", cell) and cell[:2] != "0x"}
    for rail in rails.values():
        assert rail.times_s == sorted(set(rail.times_s))
        assert set(rail.times_s) | set(rail.values) <= told
