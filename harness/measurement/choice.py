"""Choose what measures this host: the meters asked for, or those its profile prefers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devices.errors import DeviceError
from devices.host import Host, detect
from devices.meters.base import Availability
from devices.meters.registry import choose_meter, try_meter
from devices.power_model import PowerModel
from devices.profile import Profile, find_profile
from harness.core.errors import (
    HarnessError,
    MeterMissingError,
    Problems,
    UsageError,
    raise_all,
    unknown,
)
from harness.measurement.scopes import check_name, split_meters

MADE_UP = ("simulated", "replay")
"""Meters whose figures nobody measured here: they never satisfy a demand for a meter."""

PROCESSOR_METERS = ("rapl", "rapl-perf", "pyrapl")
"""Meters of the processor alone, beside which a GPU's own is added."""


@dataclass(frozen=True)
class ChosenMeters:
    """Hold what measures: meters to add up and witnesses beside them, as typed.

    Attributes:
        host: the host that is measured.
        profile: what is known of it; None if no profile fits.
        totals: meters whose joules are added up; empty if there is none.
        witnesses: further meters, which are recorded only.
        reason: why there is no meter.
    """

    host: Host
    profile: Profile | None
    totals: tuple[str, ...]
    witnesses: tuple[str, ...]
    reason: str

    def power_model(self) -> PowerModel | None:
        """Return the power model of the host; None without a profile."""
        if self.profile is None:
            return None
        return PowerModel.from_profile(self.profile, self.host.cores_usable)


def choose_meters(
    asked: str,
    witnesses: Sequence[str] = (),
    *,
    require: bool = False,
    root: Path = Path("/"),
) -> ChosenMeters:
    """Find the meters for `auto`, `none`, or names joined by +.

    Raises:
        HarnessError: for unknown names, meters that cannot be used, and no measured joules although
            `require` asks for them; all problems at once.
    """
    host = detect(root)
    profile = own_profile(host)
    problems = Problems()
    totals, reason = _totals(asked, profile, root, problems)
    beside = [text for text in witnesses if problems.attempt(lambda t=text: _usable(t, root))]  # type: ignore[misc]
    if require and not problems.found:
        problems.attempt(lambda: _require(totals, reason))
    raise_all(problems.found)
    return ChosenMeters(host, profile, tuple(totals), tuple(beside), reason)


def own_profile(host: Host) -> Profile | None:
    """Return the profile that fits a host; None if there is none."""
    try:
        return find_profile("auto", host)
    except DeviceError:
        return None


def _totals(
    asked: str, profile: Profile | None, root: Path, problems: Problems
) -> tuple[list[str], str]:
    if asked == "none":
        return [], "no meter was asked for (--meter none)"
    if asked == "auto":
        return _automatic(profile, root)
    parts = problems.attempt(lambda: split_meters(asked)) or []
    if len(parts) > 1 and {"auto", "none"} & set(parts):
        problems.found.append(
            UsageError(f"--meter {asked}: auto and none stand alone", "Name the meters to add up.")
        )
        return [], ""
    return [t for t in parts if problems.attempt(lambda t=t: _usable(t, root))], ""  # type: ignore[misc]


def _automatic(profile: Profile | None, root: Path) -> tuple[list[str], str]:
    """Return the profile's first meter that works, and the GPU's beside a processor's."""
    if profile is None:
        return [], "no profile fits this host"
    choice = choose_meter(profile, root)
    if choice.spec is None:
        said = "; ".join(f"{a.meter}: {a.reason}" for a in choice.answers)
        return [], said or "no meter is known for this host"
    found = [choice.spec.text()]
    if choice.spec.name in PROCESSOR_METERS and try_meter("nvml", root).usable:
        found.append("nvml")
    return found, ""


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


def _require(totals: Sequence[str], reason: str) -> bool:
    made_up = [text for text in totals if text.partition(":")[0] in MADE_UP]
    if made_up:
        raise MeterMissingError(
            f"energy is not measured: the figures of meter {made_up[0]} are made up",
            "Leave out --require-meter, or name a sensor.",
        )
    if not totals:
        raise MeterMissingError(f"energy cannot be measured here: {reason}")
    return True
