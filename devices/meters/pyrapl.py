"""Read the package counters through the pyRAPL package, as a second opinion on meter `rapl`.

pyRAPL is unmaintained, and its measurement class loses wrapped counters, so only its sensor is used
here: absolute counts, from which the energy arithmetic takes differences. Every known fault of it
becomes a reason: what it would misread is refused before it is asked, its figures are checked once
against the files it reads, and anything odd later on is no value.
"""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from devices.errors import DeviceError
from devices.host import read_text
from devices.meters.base import (
    Availability,
    Clock,
    Meter,
    MeterInfo,
    Rail,
    RawSample,
    Rejected,
)
from devices.meters.powercap import Choice, Zone, choose_zones, find_zones, make_rail
from devices.meters.pyrapl_faults import RAPL_FIX, find_fault, socket_number
from devices.meters.rapl import Opener, RaplMeter, open_readonly, parse_microjoules

PACKAGE_FIX = "pip install pyRAPL"
PKG = 0
DRAM = 1
"""Places of the two counters of a socket in pyRAPL's list."""

MAX_COUNT = 1 << 64


class PyRaplMeter(Meter):
    """Read package and dram counters as pyRAPL's sensor hands them out: in microjoules."""

    name = "pyrapl"

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
        self._info: MeterInfo | None = None

    @classmethod
    def probe(
        cls,
        root: Path = Path("/"),
        options: Mapping[str, str] | None = None,
        module: ModuleType | None = None,
        opener: Opener = open_readonly,
    ) -> Availability:
        """Say whether pyRAPL is there, can read this host, and reads it rightly."""
        try:
            meter = cls(root, options=options, module=module, opener=opener)
        except DeviceError as error:
            return Availability(cls.name, False, "bad-option", error.message, error.remedy)
        answer = RaplMeter.probe(root, opener=opener)
        if not answer.usable:
            return replace(answer, meter=cls.name)
        try:
            meter.connect()
        except DeviceError as error:
            return Availability(cls.name, False, "not-supported", error.message, error.remedy)
        return Availability(cls.name, True)

    def connect(self) -> SensorReader:
        """Start pyRAPL's sensor and check it against the files.

        Raises:
            DeviceError: pyRAPL is not installed, cannot read this host or misreads it.
        """
        choice = choose_zones(find_zones(self.root), self.root)
        reason, fix = find_fault(self.root, choice)
        if reason:
            raise DeviceError(reason, fix)
        reader = SensorReader(self._load(), choice)
        reader.check()
        return reader

    def _load(self) -> ModuleType:
        if self._module is not None:
            return self._module
        if self.root != Path("/"):
            raise DeviceError(f"pyRAPL reads this machine only, not the one under {self.root}")
        level = logging.root.manager.disable
        logging.disable(logging.WARNING)  # pyRAPL warns of output formats nobody asked for
        try:
            return importlib.import_module("pyRAPL")
        except ImportError as error:
            raise DeviceError("the package pyRAPL is not installed", PACKAGE_FIX) from error
        finally:
            logging.disable(level)

    def open(self) -> None:
        """Start the sensor.

        Raises:
            DeviceError: As `probe` says.
        """
        answer = RaplMeter.probe(self.root, opener=self._opener)
        if not answer.usable:
            raise DeviceError(f"meter pyrapl: {answer.reason}", answer.fix)
        try:
            self._reader = self.connect()
        except DeviceError as error:
            raise DeviceError(f"meter pyrapl: {error.message}", error.remedy) from error
        self._info = _describe(self._reader.choice)

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

    def describe(self) -> MeterInfo:
        """Return what is read and what pyRAPL leaves out."""
        if self._info is None:
            raise DeviceError("meter pyrapl is not open")
        return self._info


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
            raise DeviceError(f"the module pyRAPL is not pyRAPL: {error}", PACKAGE_FIX) from error
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
    )
