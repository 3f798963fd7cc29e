"""Read the package counters through the pyRAPL package, as a second opinion on meter `rapl`.

pyRAPL is unmaintained, and its measurement class loses wrapped counters, so only its sensor is used
here: absolute counts, from which the energy arithmetic takes differences. Every known fault of it
becomes a reason: what version 0.2.3 would misread, by its source, is told from the file tree before
pyRAPL is imported; its figures are checked once against the files it reads; and anything odd later
on is no value.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from devices.errors import DeviceError
from devices.host import parse_cpu_list, read_text
from devices.meters.base import Availability, Clock, Meter, MeterInfo, Rail, RawSample, Rejected
from devices.meters.packages import Package
from devices.meters.powercap import (
    LEAST_PACKAGE_W,
    Choice,
    Zone,
    choose_zones,
    find_zones,
    make_rail,
)
from devices.meters.rapl import STANDING_FIX, RaplMeter, parse_microjoules
from devices.meters.sysfs import Opener, open_readonly

PACKAGE = Package("pyRAPL", "pyRAPL", "pip install pyRAPL")
CPUS = Path("sys/devices/system/cpu")
ONLINE_FIX = (
    "echo on | sudo tee /sys/devices/system/cpu/smt/control; "
    "echo 1 | sudo tee /sys/devices/system/cpu/cpu*/online; or use meter rapl"
)
RAPL_FIX = "use meter rapl"

PKG = 0
DRAM = 1
"""Places of the two counters of a socket in pyRAPL's list."""

MAX_COUNT = 1 << 64


class PyRaplMeter(Meter):
    """Read package and dram counters as pyRAPL's sensor hands them out: in microjoules."""

    name = "pyrapl"
    trial_fix = STANDING_FIX

    def __init__(
        self,
        root: Path = Path("/"),
        clock: Clock = time.monotonic,
        options: Mapping[str, str] | None = None,
        module: ModuleType | None = None,
        opener: Opener = open_readonly,
    ) -> None:
        super().__init__(root, clock, options)
        self._module = module
        self._opener = opener
        self._reader: SensorReader | None = None

    def refusal(self) -> Availability | None:
        """Refuse unless pyRAPL is here and can read this host; `open` checks how it reads it."""
        answer = RaplMeter.probe(self.root, opener=self._opener)
        if not answer.usable:
            return replace(answer, meter=self.name)
        try:
            self.check()
        except DeviceError as error:
            return self.refuse("not-supported", error.message, error.remedy)
        return None

    def check(self) -> Choice:
        """Return the zones pyRAPL should read, without importing it.

        Raises:
            DeviceError: pyRAPL is not installed, or cannot read this host.
        """
        choice = choose_zones(find_zones(self.root), self.root)
        reason, fix = find_fault(self.root, choice)
        if reason:
            raise DeviceError(reason, fix)
        if self._module is None:
            PACKAGE.check(self.root)
        return choice

    def _load(self) -> ModuleType:
        if self._module is not None:
            return self._module
        level = logging.root.manager.disable
        logging.disable(logging.WARNING)  # pyRAPL warns of output formats nobody asked for
        try:
            return PACKAGE.load(self.root)
        finally:
            logging.disable(level)

    def open(self) -> None:
        """Import pyRAPL, start its sensor and check it against the files.

        Raises:
            DeviceError: pyRAPL cannot be used, as `probe` says, or misreads a counter.
        """
        answer = replace(RaplMeter.probe(self.root, opener=self._opener), meter=self.name)
        answer.require()
        try:
            choice = self.check()
            self._reader = SensorReader(self._load(), choice)
            self._reader.check()
        except DeviceError as error:
            self.close()
            raise DeviceError(f"meter pyrapl: {error.message}", error.remedy) from error
        self._info = _describe(choice)

    def read(self) -> list[RawSample]:
        """Read all counters in pyRAPL's one call, which stamps no times of its own."""
        if self._reader is None or self._info is None:
            return []
        before_s = self.clock()
        values = self._reader.read_joules()
        after_s = self.clock()
        return [RawSample(index, before_s, after_s, value) for index, value in enumerate(values)]

    def close(self) -> None:
        """Let go of the sensor, which closes its files."""
        self._reader = None
        self._info = None


def find_fault(root: Path, choice: Choice) -> tuple[str, str]:
    """Return why pyRAPL cannot read this host and what helps; two empty texts if it can.

    Args:
        root: Root of the file system.
        choice: The zones that add up to the figure, as meter `rapl` finds them.
    """
    sockets: set[int] = set()
    for cpu in parse_cpu_list(read_text(root / CPUS / "present")):
        package = read_text(root / CPUS / f"cpu{cpu}/topology/physical_package_id")
        if not re.fullmatch(r"[0-9]{1,6}", package):
            reason = f"cpu{cpu} is offline: pyRAPL asks every present processor for its socket"
            return reason, ONLINE_FIX
        sockets.add(int(package))
    if not sockets:
        return f"the processors under /{CPUS} cannot be listed", RAPL_FIX
    reachable = _reachable_zones(root)
    beyond = [zone.zone_id for _, zone in choice.totals if _top_id(zone.zone_id) not in reachable]
    if beyond:
        return f"pyRAPL stops at a gap in the zones and misses {beyond[0]}", RAPL_FIX
    seen = [name for name in reachable.values() if socket_number(name) in sockets]
    if len(seen) != len(sockets):
        reason = f"pyRAPL wants one package zone per socket: {len(seen)} zones for {len(sockets)}"
        return reason, RAPL_FIX
    return "", ""


def _reachable_zones(root: Path) -> dict[str, str]:
    """Return id and name of the top zones up to the first gap, as pyRAPL walks them."""
    names = {zone.zone_id: zone.name for zone in find_zones(root)}
    reached: dict[str, str] = {}
    while f"intel-rapl:{len(reached)}" in names:
        zone_id = f"intel-rapl:{len(reached)}"
        reached[zone_id] = names[zone_id]
    return reached


def _top_id(zone_id: str) -> str:
    return ":".join(zone_id.split(":")[:2])


def socket_number(name: str) -> int | None:
    """Return the socket pyRAPL reads from a zone's name; None if it skips the zone."""
    found = re.match(r"package-([0-9]{1,6})", name)
    return int(found.group(1)) if found else None


class SensorReader:
    """Ask pyRAPL's sensor and pick the counters that add up to the whole.

    Attributes:
        choice: The zones that add up to the figure, as meter `rapl` finds them.
    """

    def __init__(self, module: ModuleType, choice: Choice) -> None:
        self.choice = choice
        self._places = [_place(zone, choice) for _, zone in choice.totals]
        try:
            self._faults: tuple[type[Exception], ...] = (
                module.PyRAPLException,
                OSError,
                ValueError,
                IndexError,
            )
            self._sensor = module.Sensor()
        except AttributeError as error:
            raise DeviceError(f"the module pyRAPL is not pyRAPL: {error}", PACKAGE.fix) from error
        except self._faults as error:
            text = str(error) or type(error).__name__
            raise DeviceError(f"pyRAPL cannot start: {text}", RAPL_FIX) from error

    def read_joules(self) -> list[float | None]:
        """Return the counters in joules; None for each that pyRAPL does not give."""
        return [None if value is None else value / 1e6 for value in self._microjoules()]

    def _microjoules(self) -> list[float | None]:
        try:
            values = list(self._sensor.energy())
        except self._faults:
            return [None] * len(self._places)
        return [_value(values, place) for place in self._places]

    def check(self) -> None:
        """Compare every counter with its file, read just before and just after.

        It finds counters that pyRAPL leaves out, mixes up, or gives in another unit.

        Raises:
            DeviceError: A counter is missing or is not what the file says.
        """
        before_j = self._files_j()
        values = self.read_joules()
        after_j = self._files_j()
        names = [name for name, _ in self.choice.totals]
        for name, low_j, value_j, high_j in zip(names, before_j, values, after_j, strict=True):
            if value_j is None:
                raise DeviceError(f"pyRAPL gives no figure for {name}", RAPL_FIX)
            if low_j is None or high_j is None:
                raise DeviceError(f"the counter of {name} cannot be read to check pyRAPL")
            wrapped = high_j < low_j
            if not wrapped and not low_j <= value_j <= high_j:
                raise DeviceError(f"pyRAPL's figure for {name} is not its counter", RAPL_FIX)

    def _files_j(self) -> list[float | None]:
        texts = [read_text(zone.energy_path) for _, zone in self.choice.totals]
        return [parse_microjoules(text.encode()) for text in texts]


def _place(zone: Zone, choice: Choice) -> int:
    """Return the place of a zone in pyRAPL's list, which holds package and dram of each socket.

    Raises:
        DeviceError: The zone is neither a package nor below one.
    """
    packages = {package.zone_id: package.name for _, package in choice.totals}
    socket = socket_number(packages.get(zone.parent_id, zone.name))
    if socket is None:
        raise DeviceError(f"pyRAPL does not read {zone.zone_id} ({zone.name})", RAPL_FIX)
    return 2 * socket + (DRAM if zone.parent_id else PKG)


def _value(values: list[object], place: int) -> float | None:
    """Return a count; pyRAPL writes -1 where it has none, and NaN is in no range."""
    value = values[place] if place < len(values) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < MAX_COUNT else None


def _describe(choice: Choice) -> MeterInfo:
    rails: list[Rail] = []
    notes = ["read through pyRAPL: package and dram only"]
    for name, zone in choice.totals:
        rail, note = make_rail(name, zone, witness=False)
        rails.append(rail)
        notes.extend([note] if note else [])
    unread = [Rejected(name, "pyRAPL does not read it") for name, _ in choice.witnesses]
    return MeterInfo(
        meter=PyRaplMeter.name,
        kind="counter",
        scope=choice.scope,
        rails=tuple(rails),
        rejected=(*choice.rejected, *unread),
        max_rate_hz=10.0,
        notes=tuple(notes),
        least_power_w=LEAST_PACKAGE_W,
    )
