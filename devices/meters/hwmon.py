"""Read external power probes (Texas Instruments INA2xx and kin) through the kernel's hwmon tree."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
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
from devices.meters.board_rails import BoardLimits, find_limits
from devices.meters.hwmon_probes import Probe, find_probes
from devices.meters.sysfs import Opener, QuantityReader, open_readonly, try_quantity

RATE_HZ = 20.0
COUNTER_RATE_HZ = 10.0
DEFAULT_SCOPE = "external probe"
NEW_DEVICE_FIX = (
    "wire the chip to I2C bus 1 and name it to the kernel: sudo modprobe ina2xx && "
    "echo ina219 0x40 | sudo tee /sys/bus/i2c/devices/i2c-1/new_device && "
    "echo 100000 | sudo tee /sys/bus/i2c/devices/1-0040/hwmon/hwmon*/shunt_resistor "
    "(microohms, for the mark R100: without it the kernel assumes 10000, ten times too much power)"
)

LEAST_W = 0.05
MOST_W = 1000.0
STALE_AFTER_S = 2.0
STALE_INTERVALS = 3.0
BOARD_SCOPES = ("external probe", "board", "wall")
"""Scopes that stand for the whole device; any other is the person's own, of unknown size."""

STEPS_PER_COUNT = 16.0
"""The accumulators count 16 steps of power times one second. With 40 bits and 6.4 mJ (10 mΩ) they
hold 7 GJ, so a smaller value is a chip that started again and not a counter that wrapped."""


class HwmonMeter(Meter):
    """Read every probe; one probe alone is the total, several need to be told apart.

    Options: `totals` (names of the probes that add up to the figure, joined by +), `scope` (what
    they are wired to, such as board or wall; not guessed), `kind` (counter or sampled; by default
    a counter if every probe of the figure accumulates energy).
    """

    name = "hwmon"
    trial_fix = (
        "compare shunt_resistor (microohms) with the mark on the board, R100 = 100000, and see that"
        " the current flows from the supply to this device: cat /sys/class/hwmon/hwmon*/{name,"
        "shunt_resistor,curr1_input}"
    )
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

    def refusal(self) -> Availability | None:
        """Refuse unless there are probes and the wanted ones can be read."""
        probes, _ = self._choose()
        kind = self._kind(probes)
        if not probes:
            known = "no INA2xx power probe under /sys/class/hwmon"
            return self.refuse("no-sensor", known, NEW_DEVICE_FIX)
        needed = [p for p in probes if self._role(p, probes) == "total"] or probes
        for probe in needed:
            refusal = try_quantity(
                type(self), probe.name, probe.quantity(kind), self.root, self._opener
            )
            if refusal is not None:
                return refusal
        return None

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
        answer = self.judge()
        answer.require()
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
            notes=tuple(_notes(kind, rails, probes)),
            least_power_w=self._limits().least_w,
        )

    def _limits(self) -> BoardLimits:
        """Return what the figure may be; that of the board, if it stands for the whole board."""
        limits = find_limits(self.root)
        whole = self.options.get("scope", DEFAULT_SCOPE) in BOARD_SCOPES
        return BoardLimits(
            limits.least_w if whole and limits.least_w else LEAST_W, limits.most_w or MOST_W
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
        step_w, most_w = probe.step_w(), self._limits().most_w or MOST_W
        if kind == "counter":
            step_j = None if step_w is None else STEPS_PER_COUNT * step_w
            # it adds up once per averaging, so what it shows may lack all that was drawn since
            lag_s = probe.averaging_s()
            stale_s = max(STALE_AFTER_S, STALE_INTERVALS * lag_s)
            jump_j = (step_j or 0.0) + most_w * lag_s
            rail = Rail(probe.name, role, jump_j, max_power_w=most_w, stale_after_s=stale_s)
        else:
            rail = Rail(probe.name, role, resolution_w=step_w, max_power_w=most_w)
        rails.append(rail)

    def read(self) -> list[RawSample]:
        """Read every probe once; one that cannot be read, or counts backwards, gives no value."""
        samples = self._reader.samples(self.clock)
        if self._info is None or self._info.kind == "sampled":
            return samples
        # the accumulators add up magnitudes: what flows back into the supply is no consumption
        return [replace(s, value=None) if (s.value or 0.0) < 0.0 else s for s in samples]

    def close(self) -> None:
        """Close all descriptors."""
        self._reader.close()
        self._info = None


def _averaging_s(probes: list[Probe]) -> float:
    """Return the longest averaging time of any chip."""
    return max((probe.averaging_s() for probe in probes), default=0.0)


def _notes(kind: Kind, rails: list[Rail], probes: list[Probe]) -> list[str]:
    notes = []
    if not any(rail.role == "total" for rail in rails):
        notes.append("several probes: name those that add up with the option totals=A+B")
    read = [probe for probe in probes if any(rail.name == probe.name for rail in rails)]
    unknown = [probe.name for probe in read if probe.step_w() is None]
    if unknown:
        notes.append(f"step of the sensor not known for {', '.join(unknown)}")
    if kind == "counter":
        notes += [
            f"{probe.name}: the counter moves every {1000 * probe.averaging_s():.3g} ms: a step is"
            " bounded by the power limit, and a shorter update_interval narrows the bound"
            for probe in read
        ]
    return notes + [note for probe in probes if (note := probe.shunt_note())]
