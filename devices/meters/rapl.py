"""Read the energy counters of x86 processors through the powercap file tree (RAPL)."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from devices.errors import DeviceError
from devices.host import find_virtualisation
from devices.meters.base import (
    Availability,
    Clock,
    Meter,
    MeterInfo,
    Rail,
    RawSample,
)
from devices.meters.powercap import POWERCAP, Choice, Zone, choose_zones, find_zones, make_rail

Opener = Callable[[Path], int]

PERMISSION_FIX = (
    'echo \'SUBSYSTEM=="powercap", ACTION=="add", RUN+="/bin/chmod -f a+r /sys%p/energy_uj '
    "/sys%p/max_energy_range_uj\"' | sudo tee /etc/udev/rules.d/70-powercap.rules "
    "&& sudo udevadm control --reload && sudo udevadm trigger -c add -s powercap"
)
CONTAINER_FIX = (
    "start the container with -v /sys/devices/virtual/powercap:/sys/devices/virtual/powercap:ro "
    "and --security-opt systempaths=unconfined, or run on the host"
)


def open_readonly(path: Path) -> int:
    """Open a file for reading and return its descriptor."""
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


class RaplMeter(Meter):
    """Read package energy (and dram beside it); psys is recorded as a witness only.

    The counter is updated about every millisecond without a time stamp; reading at 10 Hz keeps
    the edge error small, and energy is end minus start, so it does not depend on the rate.
    """

    name = "rapl"

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
        self._info: MeterInfo | None = None

    @classmethod
    def probe(
        cls,
        root: Path = Path("/"),
        options: Mapping[str, str] | None = None,
        opener: Opener = open_readonly,
    ) -> Availability:
        """Say whether every zone of the total can be read."""
        if options:
            known = "it has none"
            return Availability(cls.name, False, "bad-option", "unknown option", known)
        choice = choose_zones(find_zones(root), root)
        if not choice.totals:
            return _absent(root)
        for _, zone in choice.totals:
            refusal = _try_open(zone, root, opener)
            if refusal is not None:
                return refusal
        return Availability(cls.name, True)

    def open(self) -> None:
        """Open every chosen zone once; the descriptors are read again and again.

        Raises:
            DeviceError: There is no zone, or one of the total cannot be read.
        """
        answer = self.probe(self.root, self.options, self._opener)
        if not answer.usable:
            raise DeviceError(f"meter rapl: {answer.reason}", answer.fix)
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
        samples = []
        for index, descriptor in enumerate(self._descriptors):
            before_s = self.clock()
            value = _read_joules(descriptor)
            samples.append(RawSample(index, before_s, self.clock(), value))
        return samples

    def close(self) -> None:
        """Close all descriptors."""
        while self._descriptors:
            os.close(self._descriptors.pop())
        self._info = None

    def describe(self) -> MeterInfo:
        """Return what is read and what was left out."""
        if self._info is None:
            raise DeviceError("meter rapl is not open")
        return self._info


def _try_open(zone: Zone, root: Path, opener: Opener) -> Availability | None:
    """Open and close a counter; return why that fails, or None."""
    try:
        os.close(opener(zone.energy_path))
    except PermissionError:
        reason = f"/{zone.energy_path.relative_to(root)} is readable by root only"
        return Availability(RaplMeter.name, False, "permission", reason, PERMISSION_FIX)
    except OSError as error:
        reason = f"{zone.zone_id} ({zone.name}): {error.strerror}"
        return Availability(RaplMeter.name, False, "no-sensor", reason)
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


def _absent(root: Path) -> Availability:
    """Say why there is no zone."""
    virtual, shown = find_virtualisation(root)
    missing = f"no RAPL package zone under /{POWERCAP}"
    if virtual == "vm":
        reason = f"{missing}: this is a virtual machine ({shown})"
        return Availability("rapl", False, "vm", reason, "run on the bare machine")
    if virtual == "container":
        reason = f"{missing}: this is a container ({shown})"
        return Availability("rapl", False, "container", reason, CONTAINER_FIX)
    fix = "sudo modprobe intel_rapl_msr; a kernel without CONFIG_POWERCAP cannot measure"
    return Availability("rapl", False, "no-sensor", missing, fix)
