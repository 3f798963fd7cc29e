"""Find the power probes in the kernel's hwmon tree and say what their files mean.

Files, after the kernel documents hwmon/ina2xx and hwmon/ina238: `power1_input` in microwatts and,
on chips that accumulate, `energy1_input` in microjoules. Neither has a sign; that of `curr1_input`
tells whether the board takes or gives. All are in proportion to `shunt_resistor`, which the kernel
takes for 10 mΩ unless it is told, where the boards that are sold carry 100 mΩ (marked R100).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from devices.host import read_text
from devices.meters.base import Kind
from devices.meters.sysfs import Quantity, i2c_address, read_integer

MAX_MICROWATT = 100_000_000_000
MAX_MICROJOULE = 2**63
MAX_MICROOHM = 100_000_000
MAX_MILLIAMPERE = 1_000_000
MAX_MILLISECOND = 60_000

ASSUMED_MICROOHM = 10_000
"""What the kernel's driver takes the shunt for unless it is told (drivers/hwmon/ina2xx.c)."""

POWER_STEP_V = {
    "ina219": 200e-6,
    "ina220": 200e-6,
    "ina226": 62.5e-6,
    "ina230": 62.5e-6,
    "ina231": 62.5e-6,
    "ina237": 4e-6,
    "ina238": 4e-6,
    "ina228": 4e-6,
}
"""Step of power times shunt, as the kernel's drivers calibrate the chips: 20 × 10 µV, 25 × 2.5 µV,
and 0.2 mW at 20 mΩ."""

POWER_STEP_W = {"ina260": 10e-3, "ina700": 96e-6, "ina780": 480e-6}
"""The same for chips with a built-in shunt (data sheets)."""

AVERAGING_CHIPS = ("ina228", "ina237", "ina238", "ina700", "ina780", "sq52206")
"""Chips that the kernel's driver ina238 sets up; all that accumulate energy are among them."""

USUAL_AVERAGING_S = 3 * 16 * 1.052e-3
"""What that driver sets, and tells in its newest versions only: the mean of 16 rounds of three
conversions of 1052 µs each (drivers/hwmon/ina238.c)."""

CHIPS = (*POWER_STEP_V, *POWER_STEP_W, "ina232", "ina234", "sq52206", "sy24655")


@dataclass(frozen=True)
class Probe:
    """Hold one chip.

    Attributes:
        name: Chip and I2C address, such as `ina226@1-0040`; the same on every boot.
        chip: Its `name` file.
        folder: Its hwmon folder.
        counts: Whether it accumulates energy.
    """

    name: str
    chip: str
    folder: Path
    counts: bool

    def quantity(self, kind: Kind) -> Quantity:
        """Return where joules (counter) or watts (sampled) come from."""
        current = self.folder / "curr1_input"
        direction = (current, MAX_MILLIAMPERE) if current.exists() else None
        if kind == "counter":
            return Quantity(((self.folder / "energy1_input", MAX_MICROJOULE),), 1e-6, direction)
        return Quantity(((self.folder / "power1_input", MAX_MICROWATT),), 1e-6, direction)

    def averaging_s(self) -> float:
        """Return how far apart its figures are, power or energy; the INA219 does not average."""
        told = read_integer(self.folder / "update_interval", MAX_MILLISECOND)
        if told is not None and told > 0:
            return told / 1000.0
        return USUAL_AVERAGING_S if self.counts or self.chip in AVERAGING_CHIPS else 0.0

    def shunt_microohm(self) -> int | None:
        """Return what the kernel takes the shunt for; None if it does not tell."""
        return read_integer(self.folder / "shunt_resistor", MAX_MICROOHM)

    def shunt_note(self) -> str:
        """Name the shunt that the figures rest on; empty for a chip with a built-in one."""
        if self.chip in POWER_STEP_W:
            return ""
        micro_ohm = self.shunt_microohm()
        if micro_ohm is None:
            return f"{self.name}: the shunt_resistor that the kernel assumes cannot be seen"
        text = f"{self.name}: shunt_resistor is {micro_ohm / 1000:g} mΩ"
        if micro_ohm != ASSUMED_MICROOHM:
            return f"{text}: compare it with the mark on the board"
        return (
            f"{text}, the kernel's assumption: with a board marked R100 (100 mΩ) all figures are"
            " ten times too high; then: echo 100000 | sudo tee"
            f" /sys/class/hwmon/{self.folder.name}/shunt_resistor"
        )

    def step_w(self) -> float | None:
        """Return the step of its power; None if the shunt or the chip's scale is not known."""
        if self.chip in POWER_STEP_W:
            return POWER_STEP_W[self.chip]
        micro_ohm = self.shunt_microohm()
        if self.chip not in POWER_STEP_V or micro_ohm is None or micro_ohm <= 0:
            return None
        return POWER_STEP_V[self.chip] / (micro_ohm / 1e6)


def find_probes(root: Path) -> list[Probe]:
    """List all known chips under `root` that report power or energy, by name."""
    probes = []
    for folder in (root / "sys/class/hwmon").glob("hwmon*"):
        chip = read_text(folder / "name").lower()
        counts = (folder / "energy1_input").exists()
        if chip in CHIPS and (counts or (folder / "power1_input").exists()):
            name = f"{chip}@{_address(root, folder)}"
            probes.append(Probe(name, chip, folder, counts))
    return sorted(probes, key=lambda probe: probe.name)


def _address(root: Path, folder: Path) -> str:
    """Return the chip's I2C address; in a copied tree, whose links are lost, from its driver."""
    drivers = sorted(root.glob(f"sys/bus/i2c/drivers/*/*/hwmon/{folder.name}"))
    addresses = (i2c_address(place) for place in (folder, *drivers))
    return next(filter(None, addresses), folder.name)
