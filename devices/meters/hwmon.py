"""Read external power probes (Texas Instruments INA2xx and kin) through the kernel's hwmon tree.

Files, after the kernel documents hwmon/ina2xx and hwmon/ina238: `power1_input` in microwatts and,
on chips that accumulate, `energy1_input` in microjoules.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from devices.errors import DeviceError
from devices.host import detect
from devices.meters.base import (
    Availability,
    Clock,
    Kind,
    Meter,
    MeterInfo,
    Rail,
    RawSample,
    Rejected,
    Role,
)
from devices.meters.hwmon_probes import STEPS_PER_COUNT, Probe, find_probes
from devices.meters.sysfs import Opener, QuantityReader, open_readonly, read_integer

RATE_HZ = 20.0
COUNTER_RATE_HZ = 10.0
DEFAULT_SCOPE = "external probe"
NEW_DEVICE_FIX = (
    "wire the chip to I2C bus 1 and name it to the kernel: sudo modprobe ina2xx && "
    "echo ina219 0x40 | sudo tee /sys/bus/i2c/devices/i2c-1/new_device"
)


class HwmonMeter(Meter):
    """Read every probe; one probe alone is the total, several need to be told apart.

    Options: `totals` (names of the probes that add up to the figure, joined by +), `scope` (what
    they are wired to, such as board or wall; not guessed), `kind` (counter or sampled; by default
    a counter if every probe of the figure accumulates energy).
    """

    name = "hwmon"
    option_names = ("totals", "scope", "kind")

    def __init__(
        self,
        root: Path = Path("/"),
        clock: Clock = time.monotonic,
        options: Mapping[str, str] | None = None,
        opener: Opener = open_readonly,
    ) -> None:
        super().__init__(root, clock, options)
        if self.options.get("kind", "counter") not in ("counter", "sampled"):
            raise DeviceError(f"hwmon: unknown kind {self.options['kind']!r}", "counter or sampled")
        self._opener = opener
        self._reader = QuantityReader(opener)
        self._info: MeterInfo | None = None

    @classmethod
    def probe(
        cls,
        root: Path = Path("/"),
        options: Mapping[str, str] | None = None,
        opener: Opener = open_readonly,
    ) -> Availability:
        """Say whether there are probes and the wanted ones can be read."""
        try:
            meter = cls(root, options=options, opener=opener)
            probes, _ = meter._choose()
            kind = meter._kind(probes)
        except DeviceError as error:
            return Availability(cls.name, False, "bad-option", error.message, error.remedy)
        if not probes:
            known = "no INA2xx power probe under /sys/class/hwmon"
            return Availability(cls.name, False, "no-sensor", known, NEW_DEVICE_FIX)
        needed = [p for p in probes if meter._role(p, probes) == "total"] or probes
        for probe in needed:
            refusal = _try_read(probe, kind, root, opener)
            if refusal is not None:
                return refusal
        return Availability(cls.name, True)

    def _totals(self) -> list[str]:
        return [name for name in self.options.get("totals", "").split("+") if name]

    def _choose(self) -> tuple[list[Probe], list[Rejected]]:
        """Return the probes to read and those left out.

        Raises:
            DeviceError: `totals` names a probe that is not here.
        """
        found = find_probes(self.root)
        wanted = self._totals()
        names = [probe.name for probe in found]
        for name in wanted:
            if name not in names:
                raise DeviceError(f"hwmon: no probe {name!r}", f"probes: {', '.join(names)}")
        on_tegra = any(name.startswith("nvidia,tegra") for name in detect(self.root).compatible)
        own = [p for p in found if on_tegra and p.chip == "ina238" and p.name not in wanted]
        reason = "belongs to the board: see meter ina3221"
        kept = [probe for probe in found if probe not in own]
        return kept, [Rejected(probe.name, reason) for probe in own]

    def _role(self, probe: Probe, probes: list[Probe]) -> Role:
        wanted = self._totals()
        total = probe.name in wanted if wanted else len(probes) == 1
        return "total" if total else "witness"

    def _kind(self, probes: list[Probe]) -> Kind:
        """Return how the figure is made.

        Raises:
            DeviceError: Counters are asked for and a probe of the figure has none.
        """
        needed = [p for p in probes if self._role(p, probes) == "total"] or probes
        silent = [probe.name for probe in needed if not probe.counts]
        if self.options.get("kind") == "counter" and silent:
            raise DeviceError(f"hwmon: {silent[0]} accumulates no energy", "use kind=sampled")
        return "sampled" if silent or self.options.get("kind") == "sampled" else "counter"

    def open(self) -> None:
        """Open every probe once; the descriptors are read again and again.

        Raises:
            DeviceError: There is no probe, or one of the total cannot be read.
        """
        answer = self.probe(self.root, self.options, self._opener)
        if not answer.usable:
            raise DeviceError(f"meter {self.name}: {answer.reason}", answer.fix)
        self.close()
        probes, rejected = self._choose()
        kind = self._kind(probes)
        rails: list[Rail] = []
        try:
            for probe in probes:
                self._open_probe(probe, kind, self._role(probe, probes), rails, rejected)
        except OSError as error:
            self.close()
            raise DeviceError(f"meter {self.name}: {error}") from error
        self._info = MeterInfo(
            meter=self.name,
            kind=kind,
            scope=self.options.get("scope", DEFAULT_SCOPE),
            rails=tuple(rails),
            rejected=tuple(rejected),
            averaging_s=_averaging_s(probes) if kind == "sampled" else 0.0,
            max_rate_hz=COUNTER_RATE_HZ if kind == "counter" else RATE_HZ,
            notes=tuple(_notes(rails)),
        )

    def _open_probe(
        self, probe: Probe, kind: Kind, role: Role, rails: list[Rail], rejected: list[Rejected]
    ) -> None:
        """Open one probe; a witness that cannot be read is left out with its reason."""
        if kind == "counter" and not probe.counts:
            rejected.append(Rejected(probe.name, "reports power only, the figure counts energy"))
            return
        try:
            self._reader.add(probe.quantity(kind))
        except OSError as error:
            if role == "total":
                raise
            rejected.append(Rejected(probe.name, f"cannot be read: {error.strerror}"))
            return
        step_w = probe.step_w()
        if kind == "counter":
            step_j = None if step_w is None else STEPS_PER_COUNT * step_w
            rails.append(Rail(probe.name, role, resolution_j=step_j))
        else:
            rails.append(Rail(probe.name, role, resolution_w=step_w))

    def read(self) -> list[RawSample]:
        """Read every probe once; a probe that cannot be read gives no value."""
        return self._reader.samples(self.clock)

    def close(self) -> None:
        """Close all descriptors."""
        self._reader.close()
        self._info = None

    def describe(self) -> MeterInfo:
        """Return what is read and what was left out."""
        if self._info is None:
            raise DeviceError(f"meter {self.name} is not open")
        return self._info


def _averaging_s(probes: list[Probe]) -> float:
    """Return the longest averaging time that a chip tells; the INA219 does not average."""
    told = [read_integer(probe.folder / "update_interval", 60_000) for probe in probes]
    return max((value / 1000.0 for value in told if value and value > 0), default=0.0)


def _notes(rails: list[Rail]) -> list[str]:
    notes = []
    if not any(rail.role == "total" for rail in rails):
        notes.append("several probes: name those that add up with the option totals=A+B")
    unknown = [r.name for r in rails if r.resolution_w is None and r.resolution_j is None]
    if unknown:
        notes.append(f"step of the sensor not known for {', '.join(unknown)}")
    return notes


def _try_read(probe: Probe, kind: Kind, root: Path, opener: Opener) -> Availability | None:
    """Open and read a probe; return why that fails, or None."""
    quantity = probe.quantity(kind)
    file = f"/{quantity.factors[0][0].relative_to(root)}"
    reader = QuantityReader(opener)
    try:
        reader.add(quantity)
        value = reader.value(0)
    except PermissionError:
        reason = f"{probe.name}: no permission to read {file}"
        return Availability(HwmonMeter.name, False, "permission", reason, f"sudo chmod a+r {file}")
    except OSError as error:
        return Availability(
            HwmonMeter.name, False, "no-sensor", f"{probe.name}: {error.strerror}", f"cat {file}"
        )
    finally:
        reader.close()
    if value is None:
        reason = f"{probe.name}: {file} cannot be read or holds no number"
        return Availability(HwmonMeter.name, False, "no-sensor", reason, f"cat {file}")
    return None
