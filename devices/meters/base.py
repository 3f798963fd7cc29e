"""Define what a meter is: the small interface that every sensor family implements.

A meter turns a sensor into raw samples and describes itself well enough that the energy arithmetic
(`devices.energy`) needs to know nothing about hardware. Adding a sensor family means one file with
one subclass of `Meter` and one line in `devices.meters.registry`.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from devices.errors import DeviceError
from devices.virtual import find_virtualisation

Kind = Literal["counter", "sampled"]
Role = Literal["total", "witness"]
ReasonCode = Literal[
    "", "no-sensor", "permission", "vm", "container", "not-supported", "bad-option", "no-file"
]
Clock = Callable[[], float]
STEPS_BELOW_ZERO = 2.0
UNKNOWN_STEP_W = 1.0
"""What a sensor of unknown step may show below zero: that of 19 V across 2 mΩ is 0.4 W."""

Source = TypeVar("Source")


@dataclass(frozen=True)
class Availability:
    """Answer whether a meter can be used here; never a number.

    Attributes:
        meter: Name of the meter that was asked.
        usable: True if `open` is expected to succeed.
        reason_code: Short machine-readable reason; empty if usable.
        reason: The same for people.
        fix: One command or sentence that would make the meter usable; empty if none is known.
    """

    meter: str
    usable: bool
    reason_code: ReasonCode = ""
    reason: str = ""
    fix: str = ""

    def require(self) -> None:
        """Raise `DeviceError` with reason and fix unless the meter can be used."""
        if not self.usable:
            raise DeviceError(f"meter {self.meter}: {self.reason}", self.fix)


@dataclass(frozen=True)
class Rail:
    """Describe one channel of a meter.

    Attributes:
        name: The sensor's own name of the channel.
        role: "total" rails are added up to the meter's figure; a "witness" is recorded beside it.
        resolution_j: Most by which a counter moves at once, in joules: one count, and all that can
            be drawn between two updates, of which it shows nothing until the next one.
        resolution_w: Smallest step of sampled power, in watts.
        wrap_range_j: Value at which a counter starts again from zero; None if it never does.
        max_power_w: Power that the device cannot draw: a counter's step above it is taken for a
            reset, a sample above it for a failed read.
        min_power_w: Power below which a sample is taken for a failed read; None allows what a
            sensor shows around zero.
        stale_after_s: A counter that stands still this long is broken; None if it may stand still.
    """

    name: str
    role: Role = "total"
    resolution_j: float | None = None
    resolution_w: float | None = None
    wrap_range_j: float | None = None
    max_power_w: float = 1000.0
    min_power_w: float | None = None
    stale_after_s: float | None = None

    def can_draw(self, power_w: float) -> bool:
        """Say whether a sample is a power this rail's device can draw.

        A few steps below zero are what converters show at no load and are kept, since without
        them the mean would be too high; more than that is a load that feeds in, charging, or a
        sensor wired the wrong way round, and none of these is consumption.
        """
        least_w = self.min_power_w
        if least_w is None:
            step_w = self.resolution_w
            least_w = -STEPS_BELOW_ZERO * step_w if step_w else -UNKNOWN_STEP_W
        return least_w <= power_w <= self.max_power_w


@dataclass(frozen=True)
class Rejected:
    """Name a channel that was found but is not read, and say why."""

    name: str
    reason: str


@dataclass(frozen=True)
class MeterInfo:
    """Describe an opened meter: what its figure covers and how far it can be trusted.

    Attributes:
        meter: Name of the meter.
        kind: "counter" (accumulates joules) or "sampled" (reports watts).
        scope: What the sum of the total rails covers: package, module, board, wall, …
        rails: Channels in the order of `RawSample.rail`.
        rejected: Channels left out, with reasons.
        averaging_s: Time over which the sensor itself averages; 0 if it does not or for counters.
        least_power_w: Less than the whole of what is covered can draw while it runs, even at rest.
        max_rate_hz: Reading faster than this adds no information.
        notes: Facts that limit the figure, such as an assumed wrap range.
    """

    meter: str
    kind: Kind
    scope: str
    rails: tuple[Rail, ...]
    rejected: tuple[Rejected, ...] = ()
    averaging_s: float = 0.0
    max_rate_hz: float = 10.0
    notes: tuple[str, ...] = ()
    least_power_w: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and dictionaries that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> MeterInfo:
        """Rebuild the description from `to_dict`.

        Raises:
            DeviceError: A field is missing, unknown, or of another kind: a manifest may be a
                stranger's.
        """
        fields = dict(data)
        try:
            fields["rails"] = tuple(Rail(**rail) for rail in fields["rails"])
            fields["rejected"] = tuple(Rejected(**item) for item in fields["rejected"])
            fields["notes"] = tuple(fields["notes"])
            info = cls(**fields)
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise DeviceError(f"the description of a meter cannot be read: {error}") from error
        for thing in (info, *info.rails, *info.rejected):
            for name, value in vars(thing).items():
                if not _is_of(str(thing.__annotations__[name]), value):
                    told = f"{name} is {value!r}"
                    raise DeviceError(f"the description of a meter cannot be read: {told}")
        return info


def _is_of(annotation: str, value: object) -> bool:
    """Say whether a value is what the annotation of a field asks for, as far as it is plain."""
    if annotation == "str":
        return isinstance(value, str)
    if not annotation.startswith("float"):
        return True
    if value is None:
        return annotation.endswith("None")
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    return known and not math.isnan(value)  # type: ignore[arg-type]


@dataclass(frozen=True)
class RawSample:
    """Hold one reading of one rail.

    Attributes:
        rail: Index into `MeterInfo.rails`.
        before_s: Monotonic time just before the sensor was read.
        after_s: Monotonic time just after.
        value: Joules (counter) or watts (sampled); None if the read failed.
    """

    rail: int
    before_s: float
    after_s: float
    value: float | None


def read_each(
    clock: Clock, sources: Iterable[Source], read: Callable[[Source], float | None]
) -> list[RawSample]:
    """Read one rail after another, each between two looks at the clock.

    Args:
        clock: Monotonic clock.
        sources: What is read, in the order of the rails.
        read: Returns joules (counter) or watts (sampled); None if the read failed.
    """
    samples = []
    for index, source in enumerate(sources):
        before_s = clock()
        value = read(source)
        samples.append(RawSample(index, before_s, clock(), value))
    return samples


class Meter(ABC):
    """Read one sensor family.

    `probe` answers without side effects; `open` may raise `DeviceError`; `read` never raises for a
    sensor that fails while running, it returns a sample without value.
    """

    name: ClassVar[str]
    option_names: ClassVar[tuple[str, ...]] = ()
    made_up: ClassVar[bool] = False
    """Whether its figures are invented: they are never a measurement."""

    trial_fix: ClassVar[str] = ""
    """What to look at if the meter answers with figures that cannot be right."""

    def __init__(
        self,
        root: Path = Path("/"),
        clock: Clock = time.monotonic,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.root = root
        self.clock = clock
        self.options = dict(options or {})
        self._info: MeterInfo | None = None
        self._refuse_unknown_options()

    def _refuse_unknown_options(self) -> None:
        unknown = sorted(set(self.options) - set(self.option_names))
        if unknown:
            known = ", ".join(self.option_names) or "none"
            raise DeviceError(
                f"meter {self.name} has no option {unknown[0]!r}", f"its options are: {known}"
            )

    @classmethod
    def refuse(cls, code: ReasonCode, reason: str, fix: str = "") -> Availability:
        """Return the answer of a meter that cannot be used."""
        return Availability(cls.name, False, code, reason, fix)

    @classmethod
    def refuse_absent(
        cls, root: Path, missing: str, fix: str, container_fix: str = ""
    ) -> Availability:
        """Return why a sensor is missing: hidden by a virtual machine or container, or not there.

        Args:
            root: Root of the file system.
            missing: What was looked for and where.
            fix: What helps on a real machine.
            container_fix: What shows the sensor to a container; empty if nothing is known to.
        """
        virtual, shown = find_virtualisation(root)
        if virtual == "vm":
            reason = f"{missing}: this is a virtual machine ({shown})"
            return cls.refuse("vm", reason, "run on the bare machine")
        if virtual == "container" and container_fix:
            return cls.refuse(
                "container", f"{missing}: this is a container ({shown})", container_fix
            )
        return cls.refuse("no-sensor", missing, fix)

    def float_option(self, key: str, default: float) -> float:
        """Return a numeric option.

        Raises:
            DeviceError: The text is not a finite number.
        """
        text = self.options.get(key)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError as error:
            raise DeviceError(f"{self.name}: {key}={text!r} is not a number") from error
        if value - value != 0.0:  # infinities and NaN
            raise DeviceError(f"{self.name}: {key}={text!r} is not a finite number")
        return value

    @classmethod
    def probe(
        cls,
        root: Path = Path("/"),
        options: Mapping[str, str] | None = None,
        *parts: Any,  # noqa: ANN401 - what its constructor takes beside
        **named: Any,  # noqa: ANN401
    ) -> Availability:
        """Say whether this meter can be used on the host whose files lie under `root`.

        `parts` and `named` stand in for what it reads with: files, programs, packages.
        """
        try:
            return cls(root, time.monotonic, options, *parts, **named).judge()
        except DeviceError as error:
            return cls.refuse("bad-option", error.message, error.remedy)

    def judge(self) -> Availability:
        """Say whether this meter can be used; nothing stays open.

        Raises:
            DeviceError: An option names what is not there.
        """
        return self.refusal() or Availability(self.name, True)

    @abstractmethod
    def refusal(self) -> Availability | None:
        """Say what stands in the way of reading; None if nothing does."""

    @abstractmethod
    def open(self) -> None:
        """Find the rails and keep them open; raise `DeviceError` if that fails."""

    @abstractmethod
    def read(self) -> list[RawSample]:
        """Read every rail once, in order."""

    @abstractmethod
    def close(self) -> None:
        """Release what `open` took; harmless if nothing is open."""

    def describe(self) -> MeterInfo:
        """Return what is read and what was left out.

        Raises:
            DeviceError: The meter is not open.
        """
        if self._info is None:
            raise DeviceError(f"meter {self.name} is not open")
        return self._info
