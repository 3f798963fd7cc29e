"""Find the power monitors of a Jetson module and their channels in the kernel's file tree.

JetPack 4 (driver `ina3221x`): an IIO device with `rail_name_<n>` and milliwatts, n = 0 to 2.
JetPack 5 to 7 (driver `ina3221`, kernel document hwmon/ina3221): a hwmon device with millivolts and
milliamperes, n = 1 to 3, and no power file; in4 to in6 are shunt voltages, in7 and curr4 their
sums. Thor's carrier adds an INA238 (kernel document hwmon/ina238) that reports microwatts of the
whole kit's input.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from devices.host import read_text
from devices.meters.base import Rejected
from devices.meters.sysfs import Quantity, i2c_address, read_integer

ChipKind = Literal["iio", "hwmon", "ina238"]

AVERAGING_S = 0.43
"""2 × 140 µs × 3 channels × 512 samples, which the vendor's start script sets on its boards."""

USEFUL_HZ = 5.0
"""Reading faster adds no information where the chips average over 0.43 s."""

FASTEST_HZ = 20.0
"""Reading one register takes about 0.55 ms; beyond this rate the reader itself costs energy."""

SHUNT_STEP_V = 40e-6
"""Step of the shunt voltage (INA3221 data sheet): 13 bits over ±163.8 mV."""

INA238_POWER_STEP_V = 4e-6
"""Step of power times shunt: the driver scales to 0.2 mW at 20 mΩ."""

SHUNT_OHM = {"p3701": 2e-3, "p3834": 2e-3, "p3767": 5e-3}
"""Shunts by module, for kernels that do not show them: AGX Orin and Orin Nano/NX after public
device-tree sources, Thor after the 20 mA steps of published readings."""

TOTAL_INPUT = "VIN"
MAX_MILLIVOLT = 100_000
MAX_MILLIAMPERE = 1_000_000
MAX_MILLIWATT = 1_000_000
MAX_MICROWATT = 1_000_000_000
MAX_MICROOHM = 10_000_000

# The driver's folder comes first because it names chip and address; the others serve trees that
# show only a part, such as a container's.
_IIO_PLACES = (
    "sys/bus/i2c/drivers/ina3221x/*/iio[:_]device*",
    "sys/bus/i2c/devices/*-00*/iio[:_]device*",
    "sys/bus/iio/devices/iio:device*",
    "sys/devices/*.i2c/i2c-*/*-00*/iio[:_]device*",
    "sys/devices/*/*.i2c/i2c-*/*-00*/iio[:_]device*",
)
_HWMON_PLACES = (
    "sys/bus/i2c/drivers/{name}/*/hwmon/hwmon*",
    "sys/bus/i2c/devices/*-00*/hwmon/hwmon*",
    "sys/class/hwmon/hwmon*",
    "sys/devices/platform/*.i2c/i2c-*/*-00*/hwmon/hwmon*",
    "sys/devices/platform/*/*.i2c/i2c-*/*-00*/hwmon/hwmon*",
)


@dataclass(frozen=True)
class Chip:
    """Hold one power monitor.

    Attributes:
        kind: Which files it has.
        folder: Its folder.
        address: Bus and address, such as `1-0040`, or the folder's name if the tree hides them.
    """

    kind: ChipKind
    folder: Path
    address: str


@dataclass(frozen=True)
class Channel:
    """Hold one channel of a power monitor.

    Attributes:
        name: The rail's name.
        power: Where its watts come from.
        resolution_w: Step of the power at the present bus voltage; None if the shunt is unknown.
    """

    name: str
    power: Quantity
    resolution_w: float | None


@dataclass(frozen=True)
class Timing:
    """Say how fast the chips answer, and whether they told so themselves."""

    averaging_s: float
    max_rate_hz: float
    note: str


def find_chips(root: Path) -> list[Chip]:
    """List every power monitor under `root` once, in order of address."""
    found: dict[str, Chip] = {}
    seen_folders: set[str] = set()
    for kind, folder in _candidates(root):
        address = i2c_address(folder)
        # Folder numbers are unique in one kernel; a folder without address may be a second view.
        if address in found or (not address and folder.name in seen_folders):
            continue
        seen_folders.add(folder.name)
        name = address or folder.name
        found[name] = Chip(kind, folder, name)
    return [found[name] for name in sorted(found)]


def _candidates(root: Path) -> list[tuple[ChipKind, Path]]:
    folders: list[tuple[ChipKind, Path]] = []
    for place in _IIO_PLACES:
        paths = sorted(root.glob(place))
        folders += [("iio", path) for path in paths if any(path.glob("rail_name_[0-2]"))]
    kinds: tuple[tuple[str, ChipKind], ...] = (("ina3221", "hwmon"), ("ina238", "ina238"))
    for name, kind in kinds:
        for place in _HWMON_PLACES:
            driver = "{name}" in place
            for path in sorted(root.glob(place.format(name=name))):
                if driver or read_text(path / "name") == name:
                    folders.append((kind, path))
    return folders


def find_channels(
    chips: list[Chip], compatible: tuple[str, ...]
) -> tuple[list[Channel], list[Rejected]]:
    """List the channels worth reading, and those left out with reasons.

    Args:
        chips: The power monitors.
        compatible: Device-tree strings, for the table of shunts.
    """
    channels: list[Channel] = []
    rejected: list[Rejected] = []
    shunt_ohm = _module_shunt_ohm(compatible)
    for chip in chips:
        numbers = {"iio": (0, 1, 2), "hwmon": (1, 2, 3), "ina238": (1,)}[chip.kind]
        for number in numbers:
            _add_channel(chip, number, shunt_ohm, channels, rejected)
        if chip.kind == "hwmon" and (chip.folder / "in7_label").exists():
            reason = "sums shunt voltages: not a rail"
            rejected.append(Rejected(f"{chip.address}/in7", reason))
    return channels, rejected


def _add_channel(
    chip: Chip,
    number: int,
    shunt_ohm: float | None,
    channels: list[Channel],
    rejected: list[Rejected],
) -> None:
    label = _label(chip, number)
    place = f"{chip.address}/{number}"
    if label is None:
        return
    quantity = _power(chip, number)
    if label.upper() == "NC":
        rejected.append(Rejected(f"{place} (NC)", "not connected"))
    elif chip.kind == "hwmon" and read_text(chip.folder / f"in{number}_enable") == "0":
        rejected.append(Rejected(f"{place} ({label})", "switched off in the driver"))
    elif quantity is None:
        rejected.append(Rejected(f"{place} ({label})", "no file with its power"))
    else:
        step_w = _resolution_w(chip, number, shunt_ohm)
        channels.append(Channel(label or place, quantity, step_w))


def _label(chip: Chip, number: int) -> str | None:
    """Return a channel's name, empty if it has none; None if there is no such channel."""
    if chip.kind == "ina238":
        return read_text(chip.folder / "power1_label") or TOTAL_INPUT
    label = f"rail_name_{number}" if chip.kind == "iio" else f"in{number}_label"
    if (chip.folder / label).exists():
        return read_text(chip.folder / label)
    return "" if _power(chip, number) else None


def _power(chip: Chip, number: int) -> Quantity | None:
    """Return where the watts of a channel come from; None if no file tells."""
    folder = chip.folder
    if chip.kind == "ina238":
        current = folder / "curr1_input"  # has the sign that the power register lacks
        direction = (current, MAX_MILLIAMPERE) if current.exists() else None
        direct = Quantity(((folder / "power1_input", MAX_MICROWATT),), 1e-6, direction)
    elif chip.kind == "iio":
        direct = Quantity(((folder / f"in_power{number}_input", MAX_MILLIWATT),), 1e-3)
    else:
        direct = Quantity((), 1.0)
    if direct.factors and direct.factors[0][0].exists():
        return direct
    volts, amperes = _voltage_path(chip, number), _current_path(chip, number)
    if volts.exists() and amperes.exists():
        return Quantity(((volts, MAX_MILLIVOLT), (amperes, MAX_MILLIAMPERE)), 1e-6)
    return None


def _voltage_path(chip: Chip, number: int) -> Path:
    name = f"in_voltage{number}_input" if chip.kind == "iio" else f"in{number}_input"
    return chip.folder / name


def _current_path(chip: Chip, number: int) -> Path:
    name = f"in_current{number}_input" if chip.kind == "iio" else f"curr{number}_input"
    return chip.folder / name


def _module_shunt_ohm(compatible: tuple[str, ...]) -> float | None:
    parts = re.findall(r"p[0-9]{4}", " ".join(compatible))
    return next((SHUNT_OHM[part] for part in parts if part in SHUNT_OHM), None)


def _resolution_w(chip: Chip, number: int, module_shunt_ohm: float | None) -> float | None:
    """Return the step of a channel's power; the shunt's step times the bus voltage."""
    name = "shunt_resistor" if chip.kind == "ina238" else f"shunt{number}_resistor"
    micro_ohm = read_integer(chip.folder / name, MAX_MICROOHM)
    shown_ohm = micro_ohm / 1e6 if micro_ohm and micro_ohm > 0 else None
    if chip.kind == "ina238":
        return INA238_POWER_STEP_V / shown_ohm if shown_ohm else None
    shunt_ohm = shown_ohm or module_shunt_ohm
    millivolt = read_integer(_voltage_path(chip, number), MAX_MILLIVOLT)
    if shunt_ohm is None or not millivolt:
        return None
    return SHUNT_STEP_V / shunt_ohm * abs(millivolt) / 1000.0


def shunts_in_doubt(chips: list[Chip], compatible: tuple[str, ...]) -> list[str]:
    """Name the shunts that the kernel takes for others than this module carries.

    All watts are in inverse proportion to it, as with a device tree of another module.
    """
    expected_ohm = _module_shunt_ohm(compatible)
    notes = []
    for chip in chips if expected_ohm else ():
        for path in sorted(chip.folder.glob("shunt[1-3]_resistor")):
            micro_ohm = read_integer(path, MAX_MICROOHM)
            if micro_ohm and not math.isclose(micro_ohm / 1e6, expected_ohm or 0.0, rel_tol=0.01):
                notes.append(
                    f"{chip.address}: {path.name} is {micro_ohm / 1000:g} mΩ, this module is known"
                    f" for {1000 * (expected_ohm or 0.0):g} mΩ: watts may be off by that ratio"
                )
    return notes


def find_timing(chips: list[Chip]) -> Timing:
    """Return how long the chips average and how often reading them makes sense.

    `update_interval` is the time of one whole round: channels × samples × conversion times.
    """
    intervals_ms = [read_integer(chip.folder / "update_interval", 60_000) for chip in chips]
    told_ms = [value for value in intervals_ms if value is not None and value > 0]
    samples = [read_text(chip.folder / "samples") for chip in chips]
    shown = ", ".join(dict.fromkeys(filter(None, samples))) or "not readable"
    if not told_ms:
        note = f"averaging over {AVERAGING_S} s is assumed: update_interval not readable"
        return Timing(AVERAGING_S, _rate_hz(AVERAGING_S), f"{note}; samples: {shown}")
    averaging_s = max(told_ms) / 1000.0
    note = f"the chip averages over {averaging_s:g} s; samples: {shown}"
    return Timing(averaging_s, _rate_hz(averaging_s), note)


def _rate_hz(averaging_s: float) -> float:
    """Return a rate that meets each of the chip's readings equally often.

    A rate in between would meet some readings twice and others three times; with power that
    changes in step with that, the sum is off by more than a percent.
    """
    readings = max(1, math.floor(USEFUL_HZ * averaging_s))
    return min(readings / averaging_s, FASTEST_HZ)
