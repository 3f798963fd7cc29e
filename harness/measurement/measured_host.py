"""Settle which device a measured host is, and which of its accelerators does the work."""

from __future__ import annotations

from dataclasses import dataclass

from devices.accelerator import ALIASES, AUTO, CPU, GPU, split_device
from devices.errors import DeviceError
from devices.host import Host
from devices.profile import Profile, find_profile, load_profiles, matches
from harness.core.errors import DeviceMissingError, UsageError, unknown

ACCELERATORS = (AUTO, CPU, GPU)


@dataclass(frozen=True)
class HostAsked:
    """Hold what was typed: `device` as in `--device`, `accelerator` as in `--accelerator`."""

    device: str = AUTO
    accelerator: str = AUTO


def own_profile(host: Host) -> Profile | None:
    """Return the profile that fits a host; None if there is none."""
    try:
        return find_profile(AUTO, host)
    except DeviceError:
        return None


def settle_host(asked: HostAsked, host: Host) -> tuple[Profile | None, str]:
    """Return the profile of the host and whose figures model its power, `cpu` or `gpu`.

    Nothing is known of what a command does, so it cannot be modelled for another device: a name is
    taken for a host that fits it, or that no profile fits. What a command works on is not known
    either: `auto` is the processor.

    Raises:
        HarnessError: for unknown names, a device that the host is not, and a GPU that it lacks.
    """
    if "," in asked.device:
        raise UsageError(
            f"--device {asked.device}: a command is measured on one device, which is this host",
            "Leave it out, or name what this host is.",
        )
    name, named = split_device(asked.device)
    kind = ALIASES.get(asked.accelerator, asked.accelerator)
    if kind not in ACCELERATORS:
        raise unknown("accelerator", kind, list(ACCELERATORS))
    if named not in ("", CPU, GPU):
        raise unknown("accelerator", named, [f"{name}:{one}" for one in (CPU, GPU)])
    if named and kind not in (AUTO, named):
        raise UsageError(
            f"--device {asked.device} and --accelerator {kind} contradict each other",
            "Leave out one of them.",
        )
    profile = own_profile(host) if name == AUTO else _named(name, host)
    chosen = named or kind
    if chosen == GPU and (profile is None or profile.gpu is None):
        what = "no profile fits this host" if profile is None else f"{profile.name} has no GPU"
        raise UsageError(
            f"--accelerator gpu: {what} whose power could be modelled",
            "Leave it out; a meter measures the GPU without it: --meter nvml.",
        )
    return profile, GPU if chosen == GPU else CPU


def _named(name: str, host: Host) -> Profile:
    profiles = load_profiles()
    known = {word: profile for profile in profiles for word in (profile.name, *profile.aliases)}
    if name not in known:
        raise unknown("device", name, [AUTO, *(profile.name for profile in profiles)])
    profile, own = known[name], own_profile(host)
    if own is None or matches(host, profile):
        return profile
    raise DeviceMissingError(
        f"this host is {own.name}, not {profile.name}, and what a command takes on another device"
        " cannot be modelled, as nothing is known of its work",
        f"Measure it on that device. What python -m harness.run --device {profile.name} trains can"
        " be modelled.",
    )
