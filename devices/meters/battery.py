"""Read what a laptop draws from its battery, through the kernel's power supply files.

This is the last resort on a laptop without any other meter: the figure includes the screen, and the
embedded controller refreshes it only now and then. It exists only while the battery alone feeds the
laptop: on mains the same file holds 0, the charging power, or the part by which the battery helps.
What a folder is stands in its `type` file; the kernel gives it the driver's name (CMB1,
macsmc-battery), and a mouse has a battery too, whose `scope` is Device.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devices.errors import DeviceError
from devices.host import read_text
from devices.meters.base import Availability, Clock, Meter, MeterInfo, Rail, RawSample
from devices.meters.sysfs import read_integer

POWER_SUPPLY = Path("sys/class/power_supply")
SCOPE = "battery terminal, whole laptop"

REFRESH_S = 60.0
"""Embedded controllers refresh the figure every 1 to 60 s and do not say which: take the worst."""

BATTERY_LIMIT_W = 300.0
"""More than any laptop's battery delivers; a larger figure is a fault of the controller."""

LEAST_W = 0.5
"""Less than any computer draws from its battery, a tablet with its screen off included."""

LARGEST_NUMBER = 10**12
JOULES_PER_MICROWATT_HOUR = 3600e-6
UNPLUG_FIX = "unplug the charger and wait a minute"
RESTING = ("Discharging", "Not charging", "Full")
"""States in which a battery takes no power from the others."""


@dataclass(frozen=True)
class BatteryState:
    """Hold one reading of one battery.

    Attributes:
        status: The kernel's word, such as Discharging; empty if unreadable.
        power_w: Size of the power through the terminal; None if the files do not tell.
    """

    status: str
    power_w: float | None


class BatteryMeter(Meter):
    """Report the discharge power of every battery; together they are the whole laptop."""

    name = "battery"
    trial_fix = "cat /sys/class/power_supply/*/uevent shows what the controller says"

    def __init__(
        self,
        root: Path = Path("/"),
        clock: Clock = time.monotonic,
        options: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(root, clock, options)
        self._batteries: list[Path] = []

    def refusal(self) -> Availability | None:
        """Refuse unless the laptop runs on a battery whose power can be read."""
        batteries = find_batteries(self.root)
        if not batteries:
            return self.refuse("no-sensor", f"no battery under /{POWER_SUPPLY}")
        states = [read_battery(path) for path in batteries]
        if feeding := find_external_power(self.root):
            reason = (
                f"{feeding} is online, so mains or a charger feeds the laptop and the battery gives"
                " a part at most"
            )
            return self.refuse("not-supported", reason, UNPLUG_FIX)
        for path, state in zip(batteries, states, strict=True):
            if state.power_w is None:
                reason = f"{path.name} shows neither power_now nor current_now with voltage_now"
                return self.refuse("not-supported", reason)
        if discharge_powers_w(states) is None:
            shown = ", ".join(
                f"{path.name} is {state.status or 'unreadable'}"
                for path, state in zip(batteries, states, strict=True)
            )
            return self.refuse(
                "not-supported", f"the laptop does not run on its battery: {shown}", UNPLUG_FIX
            )
        return None

    def open(self) -> None:
        """Find the batteries.

        Raises:
            DeviceError: There is none, or it does not discharge.
        """
        answer = self.judge()
        answer.require()
        self._batteries = find_batteries(self.root)

    def read(self) -> list[RawSample]:
        """Read every battery; no battery has a value unless the laptop runs on them all along."""
        before_s = self.clock()
        powers_w = discharge_powers_w([read_battery(path) for path in self._batteries])
        if find_external_power(self.root):
            powers_w = None
        after_s = self.clock()
        return [
            RawSample(index, before_s, after_s, None if powers_w is None else powers_w[index])
            for index in range(len(self._batteries))
        ]

    def close(self) -> None:
        """Forget the batteries."""
        self._batteries = []

    def describe(self) -> MeterInfo:
        """Describe one rail per battery."""
        if not self._batteries:
            raise DeviceError("meter battery is not open")
        notes = [
            "valid only while discharging; includes the screen",
            f"the controller refreshes the figure every 1 to {REFRESH_S:g} s",
        ]
        for path in self._batteries:
            left_j = energy_left_j(path)
            if left_j is not None:
                notes.append(f"{path.name}: {left_j:.0f} J left when described, not used")
        return MeterInfo(
            meter=self.name,
            kind="sampled",
            scope=SCOPE,
            rails=tuple(Rail(path.name, max_power_w=BATTERY_LIMIT_W) for path in self._batteries),
            least_power_w=LEAST_W,
            averaging_s=REFRESH_S,
            max_rate_hz=1.0,
            notes=tuple(notes),
        )


def find_batteries(root: Path) -> list[Path]:
    """Return the folders of the computer's own batteries that are fitted, sorted by name."""
    folders = sorted((root / POWER_SUPPLY).glob("*"))
    return [path for path in folders if _is_own_battery(path) and _is_fitted(path)]


def _is_own_battery(folder: Path) -> bool:
    kind = read_text(folder / "type") or ("Battery" if folder.name.startswith("BAT") else "")
    return kind == "Battery" and read_text(folder / "scope") != "Device"


def _is_fitted(folder: Path) -> bool:
    return read_text(folder / "present") != "0"


def find_external_power(root: Path) -> str:
    """Return the name of a mains adapter or charger that is online; empty if there is none.

    `online` is 1 for a fixed and 2 for a programmable supply. What feeds a device beside the
    computer, such as a charging cradle, says so in its `scope`.
    """
    for folder in sorted((root / POWER_SUPPLY).glob("*")):
        if read_text(folder / "type") in ("Battery", "UPS", "") or _is_own_battery(folder):
            continue
        if read_text(folder / "scope") != "Device" and read_text(folder / "online") in ("1", "2"):
            return folder.name
    return ""


def read_battery(folder: Path) -> BatteryState:
    """Read one battery; the status comes last, so that it covers the reading before it."""
    power_w = _power_w(folder)
    return BatteryState(read_text(folder / "status"), power_w)


def discharge_powers_w(states: list[BatteryState]) -> list[float] | None:
    """Return the power of every battery, or None where it is not the laptop's consumption.

    With two batteries one rests at a read 0 W while the other discharges. Nothing may charge, and
    a laptop that runs draws more than 0 W: a controller that says otherwise has not caught up.
    """
    statuses = [state.status for state in states]
    if "Discharging" not in statuses or not set(statuses) <= set(RESTING):
        return None
    powers_w = [state.power_w for state in states if state.power_w is not None]
    if len(powers_w) < len(states) or sum(powers_w) <= 0.0:
        return None
    return powers_w


def energy_left_j(folder: Path) -> float | None:
    """Return `energy_now` in joules; None on batteries that count charge."""
    energy_uwh = read_integer(folder / "energy_now", LARGEST_NUMBER)
    return None if energy_uwh is None else energy_uwh * JOULES_PER_MICROWATT_HOUR


def _power_w(folder: Path) -> float | None:
    """Return the size of the power: `power_now`, or current × voltage where that file is absent.

    Some drivers give the current a sign and others do not; the direction is in the status.
    """
    power_uw = read_integer(folder / "power_now", LARGEST_NUMBER)
    if power_uw is not None:
        return _plausible_w(power_uw * 1e-6)
    current_ua = read_integer(folder / "current_now", LARGEST_NUMBER)
    voltage_uv = read_integer(folder / "voltage_now", LARGEST_NUMBER)
    if current_ua is None or voltage_uv is None:
        return None
    return _plausible_w(current_ua * 1e-6 * voltage_uv * 1e-6)


def _plausible_w(power_w: float) -> float | None:
    return abs(power_w) if abs(power_w) <= BATTERY_LIMIT_W else None
