"""Read the energy counters of x86 processors through the powercap file tree (RAPL)."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

from devices.errors import DeviceError
from devices.meters.base import (
    Availability,
    Clock,
    Meter,
    MeterInfo,
    Rail,
    RawSample,
    read_each,
)
from devices.meters.powercap import (
    LEAST_PACKAGE_W,
    POWERCAP,
    Choice,
    Zone,
    choose_zones,
    find_zones,
    make_rail,
)
from devices.meters.sysfs import Opener, open_readonly

PERMISSION_FIX = (
    'echo \'SUBSYSTEM=="powercap", ACTION=="add", RUN+="/bin/chmod -f a+r /sys%p/energy_uj '
    "/sys%p/max_energy_range_uj\"' | sudo tee /etc/udev/rules.d/70-powercap.rules "
    "&& sudo udevadm control --reload && sudo udevadm trigger -c add -s powercap"
)
CONTAINER_FIX = (
    "start the container with -v /sys/devices/virtual/powercap:/sys/devices/virtual/powercap:ro "
    "and --security-opt systempaths=unconfined, or run on the host"
)
STANDING_FIX = (
    "in a virtual machine only the host can measure: run there, or use a plug; on a real machine:"
    " cat /sys/class/powercap/intel-rapl:*/energy_uj"
)
NO_ZONE_FIX = "sudo modprobe intel_rapl_msr; a kernel without CONFIG_POWERCAP cannot measure"


class RaplMeter(Meter):
    """Read package energy (and dram beside it); psys is recorded as a witness only.

    The counter is updated about every millisecond without a time stamp; reading at 10 Hz keeps
    the edge error small, and energy is end minus start, so it does not depend on the rate.
    """

    name = "rapl"
    trial_fix = STANDING_FIX

    def __init__(
        self,
        root: Path = Path("/"),
        clock: Clock = time.monotonic,
        options: Mapping[str, str] | None = None,
        opener: Opener = open_readonly,
    ) -> None:
        super().__init__(root, clock, options)
        self._opener = opener
        self._descriptors: list[int] = []

    def refusal(self) -> Availability | None:
        """Refuse unless every zone of the total can be read."""
        choice = choose_zones(find_zones(self.root), self.root)
        if not choice.totals:
            return self.refuse_absent(
                self.root, f"no RAPL package zone under /{POWERCAP}", NO_ZONE_FIX, CONTAINER_FIX
            )
        for _, zone in choice.totals:
            refusal = _try_open(zone, self.root, self._opener)
            if refusal is not None:
                return refusal
        return None

    def open(self) -> None:
        """Open every chosen zone once; the descriptors are read again and again.

        Raises:
            DeviceError: There is no zone, or one of the total cannot be read.
        """
        answer = self.judge()
        answer.require()
        self.close()
        choice = choose_zones(find_zones(self.root), self.root)
        notes: list[str] = []
        rails: list[Rail] = []
        try:
            self._open_zones(choice, rails, notes)
        except OSError as error:
            self.close()
            raise DeviceError(f"meter rapl: {error}") from error
        self._info = MeterInfo(
            meter=self.name,
            kind="counter",
            scope=choice.scope,
            rails=tuple(rails),
            rejected=choice.rejected,
            max_rate_hz=10.0,
            notes=tuple(notes),
            least_power_w=LEAST_PACKAGE_W,
        )

    def _open_zones(self, choice: Choice, rails: list[Rail], notes: list[str]) -> None:
        """Open descriptors; a witness that cannot be read is only noted."""
        for name, zone in choice.totals:
            self._descriptors.append(self._opener(zone.energy_path))
            rail, note = make_rail(name, zone, witness=False)
            rails.append(rail)
            notes.extend([note] if note else [])
        for name, zone in choice.witnesses:
            try:
                descriptor = self._opener(zone.energy_path)
            except OSError as error:
                notes.append(f"{name}: not recorded, {error.strerror}")
                continue
            self._descriptors.append(descriptor)
            rail, note = make_rail(name, zone, witness=True)
            rails.append(rail)
            notes.extend([note] if note else [])

    def read(self) -> list[RawSample]:
        """Read every counter once; a counter that cannot be read gives no value."""
        return read_each(self.clock, self._descriptors, _read_joules)

    def close(self) -> None:
        """Close all descriptors."""
        while self._descriptors:
            os.close(self._descriptors.pop())
        self._info = None


def _try_open(zone: Zone, root: Path, opener: Opener) -> Availability | None:
    """Open and close a counter; return why that fails, or None."""
    try:
        os.close(opener(zone.energy_path))
    except PermissionError:
        reason = f"/{zone.energy_path.relative_to(root)} is readable by root only"
        return RaplMeter.refuse("permission", reason, PERMISSION_FIX)
    except OSError as error:
        reason = f"{zone.zone_id} ({zone.name}): {error.strerror}"
        return RaplMeter.refuse("no-sensor", reason)
    return None


def _read_joules(descriptor: int) -> float | None:
    """Return the counter in joules; None if the read fails or is not a number."""
    try:
        text = os.pread(descriptor, 32, 0)
    except OSError:
        return None
    return parse_microjoules(text)


def parse_microjoules(text: bytes) -> float | None:
    """Return joules for the content of an `energy_uj` file; None if it is not a whole number."""
    digits = re.fullmatch(rb"([0-9]{1,20})\s*", text)
    return int(digits.group(1)) / 1e6 if digits else None
