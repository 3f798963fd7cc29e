"""Know all meters by name, and pick the first usable one of a device."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from pathlib import Path

from devices.errors import DeviceError
from devices.meters.base import Availability, Clock, Meter
from devices.meters.battery import BatteryMeter
from devices.meters.hwmon import HwmonMeter
from devices.meters.ina3221 import Ina3221Meter
from devices.meters.jtop import JtopMeter
from devices.meters.nvml import NvmlMeter
from devices.meters.plug import PlugMeter
from devices.meters.pmic import PmicMeter
from devices.meters.pyrapl import PyRaplMeter
from devices.meters.rapl import RaplMeter
from devices.meters.rapl_perf import RaplPerfMeter
from devices.meters.replay import ReplayMeter
from devices.meters.simulated import SimulatedMeter
from devices.meters.tegrastats import TegrastatsMeter
from devices.meters.usability import Sleep, try_out, without_total
from devices.names import did_you_mean
from devices.profile import Profile

METERS: dict[str, type[Meter]] = {
    "rapl": RaplMeter,
    "rapl-perf": RaplPerfMeter,
    "pyrapl": PyRaplMeter,
    "nvml": NvmlMeter,
    "battery": BatteryMeter,
    "ina3221": Ina3221Meter,
    "tegrastats": TegrastatsMeter,
    "pmic": PmicMeter,
    "hwmon": HwmonMeter,
    "jtop": JtopMeter,
    "plug": PlugMeter,
    "simulated": SimulatedMeter,
    "replay": ReplayMeter,
}


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


def make_meter(text: str, root: Path = Path("/"), clock: Clock = time.monotonic) -> Meter:
    """Build a meter from its typed form, not yet opened.

    Raises:
        DeviceError: Unknown meter or option.
    """
    spec = MeterSpec.parse(text)
    return meter_class(spec.name)(root, clock, spec.options)


def probe_meter(text: str, root: Path = Path("/")) -> Availability:
    """Ask one meter whether it can be used; a meter without reader here is "not-supported"."""
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
