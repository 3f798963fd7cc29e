"""Know all meters by name, and pick the first usable one of a device."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from devices.errors import DeviceError
from devices.meters.base import Availability, Clock, Meter
from devices.names import did_you_mean

if TYPE_CHECKING:
    from devices.meters.usability import Sleep
    from devices.profile import Profile


class MeterClasses(MutableMapping[str, type[Meter]]):
    """Find the classes of meters by name; the module of each is imported when it is asked for.

    Behind those of this program stand those that come from outside (`devices.extensions`).

    A collector needs one meter, and some of the others bring whole libraries: for HTTP, statistics.
    """

    def __init__(self, homes: Mapping[str, str]) -> None:
        """Take `module:class` of every meter, the module below `devices.meters`."""
        self._known: dict[str, str | type[Meter]] = dict(homes)

    def __getitem__(self, name: str) -> type[Meter]:
        if name not in self._known:
            return self._outside()[name]
        found = self._known[name]
        if isinstance(found, str):
            module, _, kind = found.partition(":")
            found = getattr(import_module(f"devices.meters.{module}"), kind)
            assert isinstance(found, type)
            self._known[name] = found
        return found

    def __setitem__(self, name: str, kind: type[Meter]) -> None:
        self._known[name] = kind

    def __delitem__(self, name: str) -> None:
        del self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*self._known, *self._outside()))

    def __len__(self) -> int:
        return len(self._known) + len(self._outside())

    def __contains__(self, name: object) -> bool:
        return name in self._known or name in self._outside()

    def _outside(self) -> dict[str, type[Meter]]:
        from devices import extensions  # noqa: PLC0415 - a collector of ours does without

        found = extensions.sound("meters", _faults, tuple(self._known))
        return {name: thing for name, (thing, _) in found.items() if isinstance(thing, type)}


def _faults(thing: object, _: object) -> list[str]:
    """Return everything that is wrong with a meter from outside."""
    if not (isinstance(thing, type) and issubclass(thing, Meter)):
        return ["METER is no subclass of devices.meters.base.Meter"]
    faults = []
    name = getattr(thing, "name", None)
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        faults.append(f"its name {name!r} is not of small letters, digits and -")
    faults += [f"it lacks {method}()" for method in sorted(thing.__abstractmethods__)]
    options = thing.option_names
    if not isinstance(options, tuple) or not all(isinstance(option, str) for option in options):
        faults.append("option_names is no tuple of texts")
    return faults


METERS = MeterClasses({
    "rapl": "rapl:RaplMeter",
    "rapl-perf": "rapl_perf:RaplPerfMeter",
    "pyrapl": "pyrapl:PyRaplMeter",
    "nvml": "nvml:NvmlMeter",
    "battery": "battery:BatteryMeter",
    "ina3221": "ina3221:Ina3221Meter",
    "tegrastats": "tegrastats:TegrastatsMeter",
    "pmic": "pmic:PmicMeter",
    "hwmon": "hwmon:HwmonMeter",
    "jtop": "jtop:JtopMeter",
    "plug": "plug:PlugMeter",
    "kasa": "kasa:KasaMeter",
    "joulescope": "joulescope:JoulescopeMeter",
    "simulated": "simulated:SimulatedMeter",
    "replay": "replay:ReplayMeter",
})  # fmt: skip

MADE_UP = ("simulated",)
"""Meters whose figures nobody measured: they never satisfy a demand for a meter. Their classes say
so too (`made_up`), but need not be imported for it."""


@dataclass(frozen=True)
class MeterSpec:
    """Hold a meter's name and options as typed: `name` or `name:key=value,key=value`."""

    name: str
    options: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> MeterSpec:
        """Split a typed meter.

        Raises:
            DeviceError: An option has no value or is given twice.
        """
        name, _, rest = text.partition(":")
        options: dict[str, str] = {}
        for part in filter(None, rest.split(",")):
            key, equals, value = part.partition("=")
            if not equals or not key or key in options:
                raise DeviceError(f"{part!r} is not an option of a meter", "write key=value, once")
            options[key] = value
        return cls(name, options)

    def text(self) -> str:
        """Return the typed form."""
        options = ",".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.name}:{options}" if options else self.name


@dataclass(frozen=True)
class MeterChoice:
    """Hold the first meter that works, or None, and the answer of every meter that was asked."""

    spec: MeterSpec | None
    answers: tuple[Availability, ...]

    @property
    def passed_over(self) -> str:
        """Say why the meters before the one that works were not taken; empty if it is the first."""
        before = itertools.takewhile(lambda answer: not answer.usable, self.answers)
        return "; ".join(f"{answer.meter}: {answer.reason}" for answer in before)


def meter_class(name: str) -> type[Meter]:
    """Return the class of a meter.

    Raises:
        DeviceError: There is no such meter.
    """
    if name in METERS:
        return METERS[name]
    hint = f"{did_you_mean(name, METERS)}Meters are: {', '.join(METERS)}"
    raise DeviceError(f"unknown meter {name!r}", hint)


def split_sum(text: str) -> list[str]:
    """Return the meters of a sum as typed: `rapl+nvml` are two.

    A + inside an option, as in `replay:scope=package+dram`, is no sum.
    """
    found: list[str] = []
    for part in text.split("+"):
        if found and ":" in found[-1] and part.partition(":")[0] not in METERS:
            found[-1] += f"+{part}"
        else:
            found.append(part)
    return found


def make_meter(text: str, root: Path = Path("/"), clock: Clock = time.monotonic) -> Meter:
    """Build a meter from its typed form, not yet opened; a sum is read as one meter.

    Raises:
        DeviceError: Unknown meter or option.
    """
    parts = split_sum(text)
    if len(parts) > 1:
        from devices.meters.joint import JointMeter  # noqa: PLC0415 - most runs have one meter

        return JointMeter([make_meter(part, root, clock) for part in parts], root, clock)
    spec = MeterSpec.parse(text)
    return meter_class(spec.name)(root, clock, spec.options)


def probe_meter(text: str, root: Path = Path("/")) -> Availability:
    """Ask one meter whether it can be used; a meter without reader here is "not-supported".

    A sum can if all of it can.
    """
    parts = split_sum(text)
    if len(parts) > 1:
        answers = [probe_meter(part, root) for part in parts]
        return next((no for no in answers if not no.usable), Availability(text, True))
    spec = MeterSpec.parse(text)
    if spec.name not in METERS:
        reason = f"this version has no reader for {spec.name}"
        return Availability(spec.name, False, "not-supported", reason)
    return METERS[spec.name].probe(root, spec.options)


def try_meter(
    text: str,
    root: Path = Path("/"),
    clock: Clock = time.monotonic,
    sleep: Sleep = time.sleep,
) -> Availability:
    """Probe one meter and, if it promises well, open and read it: most faults show only then.

    It takes two of the meter's periods (`devices.meters.usability`).

    Raises:
        DeviceError: Unknown meter or option.
    """
    answer = probe_meter(text, root)
    if not answer.usable:
        return answer
    from devices.meters.usability import try_out, without_total  # noqa: PLC0415 - a trial is rare

    meter = make_meter(text, root, clock)
    try:
        meter.open()
        trial = try_out(meter, sleep)
        fault = trial.fault or without_total(trial.info)
    except DeviceError as error:
        reason = error.message.removeprefix(f"meter {answer.meter}: ")
        return Availability(answer.meter, False, "not-supported", reason, error.remedy)
    finally:
        meter.close()
    if fault:
        fix = meter.trial_fix if trial.fault else ""
        return Availability(answer.meter, False, "no-sensor", fault, fix)
    return answer


def choose_meter(
    profile: Profile,
    root: Path = Path("/"),
    clock: Clock = time.monotonic,
    sleep: Sleep = time.sleep,
) -> MeterChoice:
    """Pick the first meter in the profile's order of preference that works when it is read.

    Those after it are only asked, not tried.
    """
    answers: list[Availability] = []
    spec: MeterSpec | None = None
    for name in profile.meters:
        answer = probe_meter(name, root) if spec else try_meter(name, root, clock, sleep)
        answers.append(answer)
        if answer.usable and spec is None:
            spec = MeterSpec(answer.meter, {})
    return MeterChoice(spec, tuple(answers))
