"""Choose what measures this host: the meters asked for, or those its profile prefers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from devices.accelerator import CPU, GPU
from devices.errors import DeviceError
from devices.host import Host, detect
from devices.meters.base import Availability
from devices.meters.registry import MADE_UP, choose_meter, split_sum, try_meter
from devices.power_model import PowerModel
from devices.profile import Profile
from harness.core.errors import (
    HarnessError,
    MeterMissingError,
    Problems,
    UsageError,
    raise_all,
    unknown,
)
from harness.measurement.measured_host import HostAsked, settle_host
from harness.measurement.scopes import check_name, split_meters

if TYPE_CHECKING:
    from harness.measurement.measuring import MeasuringSession
    from harness.measurement.meters import MeterSet

PROCESSOR_METERS = ("rapl", "rapl-perf", "pyrapl")
"""Meters of the processor alone, beside which a GPU's own is added."""


@dataclass(frozen=True)
class FoundMeters:
    """Hold meters to add up, as typed.

    `reason` is why there is none, or why those that the host prefers were passed over; `fix` is
    what would make one work.
    """

    totals: tuple[str, ...] = ()
    reason: str = ""
    fix: str = ""

    def require(self) -> None:
        """Do nothing if joules will be measured.

        Raises:
            MeterMissingError: if they will not.
        """
        parts = [part for text in self.totals for part in split_sum(text)]
        made_up = [name for text in parts if (name := text.partition(":")[0]) in MADE_UP]
        if made_up:
            raise MeterMissingError(
                f"energy is not measured: the figures of meter {made_up[0]} are made up",
                "Leave out --require-meter, or name a sensor.",
            )
        if not self.totals:
            raise MeterMissingError(
                f"energy cannot be measured here: {self.reason}",
                self.fix or "Leave out --require-meter, or attach a meter that is listed.",
            )


@dataclass(frozen=True)
class ChosenMeters:
    """Hold what measures: meters to add up and witnesses beside them, as typed.

    Attributes:
        host: the host that is measured.
        profile: what is known of it; None if no profile fits.
        totals: meters whose joules are added up; empty if there is none.
        witnesses: further meters, which are recorded only.
        reason: why there is no meter.
        accelerator: whose figures the power model takes, `cpu` or `gpu`.
        gpu_reason: why the GPU of the host has no meter of its own; empty if it has, or there is
            none.
    """

    host: Host
    profile: Profile | None
    totals: tuple[str, ...]
    witnesses: tuple[str, ...]
    reason: str
    accelerator: str = CPU
    gpu_reason: str = ""

    @property
    def has_gpu(self) -> bool:
        """Say whether the host has a GPU that can work beside its processor."""
        return bool(self.host.gpus) or (self.profile is not None and self.profile.gpu is not None)

    def power_model(self) -> PowerModel | None:
        """Return the power model of the host; None without a profile."""
        if self.profile is None:
            return None
        if self.accelerator == GPU and self.profile.gpu is not None:
            return PowerModel.of_gpu(self.profile.gpu.power)
        return PowerModel.from_profile(self.profile, self.host.cores_usable)

    def session(self, meters: MeterSet) -> MeasuringSession:
        """Return what measures with the chosen meters, which run by now."""
        from harness.measurement.cost import Accountant  # noqa: PLC0415 - not before a meter runs
        from harness.measurement.measuring import MeasuringSession  # noqa: PLC0415

        model = self.power_model()
        accountant = None if model is None else Accountant(model, None)
        return MeasuringSession(meters, accountant=accountant)


def choose_meters(
    asked: str,
    witnesses: Sequence[str] = (),
    *,
    require: bool = False,
    root: Path = Path("/"),
    which: HostAsked | None = None,
) -> ChosenMeters:
    """Find the meters for `auto`, `none`, or names joined by +.

    Raises:
        HarnessError: for unknown names, meters that cannot be used, no measured joules although
            `require` asks for them, and a device that the host is not; all problems at once.
    """
    host = detect(root)
    problems = Problems()
    settled = problems.attempt(lambda: settle_host(which or HostAsked(), host))
    profile, accelerator = settled or (None, CPU)
    found = find_meters(asked, profile, root, problems)
    nvidia = "nvidia" in host.gpus
    answer = try_meter("nvml", root) if nvidia else None
    if asked == "auto" and accelerator == GPU and answer is not None:
        found = _with_gpu(found, answer)
    beside = [text for text in witnesses if problems.attempt(lambda t=text: _usable(t, root))]  # type: ignore[misc]
    if require and not problems.found:
        problems.attempt(found.require)
    raise_all(problems.found)
    gpu_reason = "" if answer is None or answer.usable else f"{answer.reason} ({answer.fix})"
    return ChosenMeters(
        host, profile, found.totals, tuple(beside), found.reason, accelerator, gpu_reason
    )


def _with_gpu(found: FoundMeters, answer: Availability) -> FoundMeters:
    """Return meters that hold the joules of a GPU that is said to do the work."""
    if not found.totals and answer.usable:
        return replace(found, totals=("nvml",))
    if answer.usable or not set(found.totals) <= set(PROCESSOR_METERS) or not found.totals:
        return found
    covered = f"{found.totals[0]} covers the processor alone, and the GPU has no meter"
    return FoundMeters((), f"{covered}: {answer.reason}", answer.fix)


def find_meters(
    asked: str, profile: Profile | None, root: Path, problems: Problems, gpu: str = "nvml"
) -> FoundMeters:
    """Find what can be added up: what is asked for, or what a profile prefers.

    Args:
        asked: `auto`, `none`, or names, joined by +.
        profile: what is known of the host.
        root: root of the file system in which sensors are looked for.
        problems: takes what is wrong with the names.
        gpu: the GPU's meter as typed, which `auto` adds to a processor's; empty if no GPU counts.
    """
    if asked == "none":
        return FoundMeters(reason="no meter was asked for (--meter none)")
    if asked == "auto":
        return _automatic(profile, root, gpu)
    parts = problems.attempt(lambda: split_meters(asked)) or []
    if len(parts) > 1 and {"auto", "none"} & set(parts):
        why = f"--meter {asked}: auto and none stand alone"
        problems.found.append(UsageError(why, "Name the meters to add up."))
        return FoundMeters()
    usable = [t for t in parts if problems.attempt(lambda t=t: _usable(t, root))]  # type: ignore[misc]
    return FoundMeters(tuple(usable))


def _automatic(profile: Profile | None, root: Path, gpu: str) -> FoundMeters:
    """Return the profile's first meter that works, and the GPU's beside a processor's."""
    if profile is None:
        return FoundMeters(reason="no profile fits this host")
    choice = choose_meter(profile, root)
    fix = next((answer.fix for answer in choice.answers if answer.fix), "")
    if choice.spec is None:
        return FoundMeters((), choice.passed_over or "no meter is known for this host", fix)
    found = [choice.spec.text()]
    if gpu and choice.spec.name in PROCESSOR_METERS and try_meter(gpu, root).usable:
        found.append(gpu)
    return FoundMeters(tuple(found), choice.passed_over, fix)


def _usable(text: str, root: Path) -> bool:
    """Return True for a meter that can be opened.

    Raises:
        HarnessError: if it cannot.
    """
    if text in ("auto", "none"):
        raise unknown("meter", text, ["rapl", "nvml", "plug"])
    try:
        check_name(text)
        answer = try_meter(text, root)
    except DeviceError as error:
        raise UsageError(f"meter {text}: {error.message}", error.remedy) from error
    if not answer.usable:
        raise _refused(text, answer)
    return True


def _refused(text: str, answer: Availability) -> HarnessError:
    kind = UsageError if answer.reason_code == "bad-option" else MeterMissingError
    return kind(f"meter {text}: {answer.reason}", answer.fix)
