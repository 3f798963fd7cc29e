"""Settle which device a run answers for, on which host it runs, and keep it within that device."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass, replace
from pathlib import Path

from devices.control_groups import quota_cores
from devices.errors import DeviceError
from devices.host import Host, detect
from devices.meters.registry import METERS, MeterChoice, MeterSpec, choose_meter, try_meter
from devices.power_model import PowerModel
from devices.profile import Profile, find_profile, load_profiles, matches
from harness.config import RunConfig
from harness.core.errors import (
    DeviceMissingError,
    HarnessError,
    MeterMissingError,
    UsageError,
    raise_all,
    unknown,
)
from harness.running.accelerator import CPU, CUDA, choose_accelerator
from harness.running.core_sharing import stay_on_cores


@dataclass(frozen=True)
class Target:
    """Hold the device asked for, the host at hand, and what can measure that host.

    `cores` are those that training may use, `threads` those that it will. `meter` is the meter as
    typed, None if there is none; `meter_reason` says why none works, or why those that the device
    prefers were passed over. `accelerator` is what trains.
    """

    profile: Profile
    host: Host
    matches: bool
    cores: int
    threads: int
    meter: str | None
    meter_reason: str
    accelerator: str = CPU


def resolve_target(config: RunConfig, root: Path = Path("/")) -> Target:
    """Find the device's profile, compare it with the host and choose a meter.

    Raises:
        HarnessError: for unknown names, and for `require_device` or `require_meter` unmet; all
            problems at once.
    """
    host = detect(root)
    problems: list[HarnessError] = []
    profile = _profile(config.device, host, problems)
    fits = profile is not None and matches(host, profile)
    accelerator = CPU if profile is None else _accelerator(config, profile, fits, problems)
    choice = _meter(config.meter, _preferred(host, accelerator), root, problems)
    if profile is None:
        raise_all(problems)
        raise AssertionError("unreachable: a missing profile is a problem")
    if config.require_device and not fits:
        problems.append(
            DeviceMissingError(
                f"this host ({describe_host(host)}) is not a {profile.title}",
                "Run on that device, or leave out --require-device to have its time and energy"
                " modelled.",
            )
        )
    reason = _why_no_meter(choice, config.meter)
    if config.require_meter and choice.spec is None:
        problems.append(
            MeterMissingError(f"energy cannot be measured here: {reason}", _fix(choice))
        )
    if config.require_meter and choice.spec and METERS[choice.spec.name].made_up:
        made_up = f"energy is not measured: the figures of meter {choice.spec.name} are made up"
        problems.append(MeterMissingError(made_up, "Leave out --require-meter, or name a sensor."))
    cores = host.cores_usable if fits else min(host.cores_usable, profile.cores)
    if config.threads > cores:
        message = f"--threads {config.threads}: there are {cores} cores to train on"
        problems.append(UsageError(message, _quota(root)))
    raise_all(problems)
    threads = config.threads or cores
    meter = choice.spec.text() if choice.spec else None
    return Target(profile, host, fits, cores, threads, meter, reason, accelerator)


def _quota(root: Path) -> str:
    """Say that a control group allows fewer cores than there are; empty if none does."""
    quota = quota_cores(root)
    if quota is None:
        return ""
    return (
        f"A control group pays for the time of {quota:g} cores (docker run --cpus, systemd's"
        " CPUQuota, Kubernetes limits); more threads would stand still for part of every period."
    )


def _profile(name: str, host: Host, problems: list[HarnessError]) -> Profile | None:
    try:
        known = [word for p in load_profiles() for word in (p.name, *p.aliases)]
        if name != "auto" and name not in known:
            problems.append(unknown("device", name, ["auto", *(p.name for p in load_profiles())]))
            return None
        return find_profile(name, host)
    except DeviceError as error:
        problems.append(DeviceMissingError(error.message, error.remedy))
        return None


def _accelerator(
    config: RunConfig, profile: Profile, fits: bool, problems: list[HarnessError]
) -> str:
    try:
        return choose_accelerator(config.accelerator, profile, fits=fits)
    except HarnessError as error:
        problems.append(error)
        return CPU


def _preferred(host: Host, accelerator: str) -> Profile | None:
    """Return the profile of the host itself, whose meters can measure the work.

    Where a GPU trains, the GPU's own meter comes first.
    """
    try:
        own = find_profile("auto", host)
    except DeviceError:
        return None
    first = ("nvml",) if accelerator == CUDA else ()
    return replace(own, meters=(*first, *own.meters))


def _meter(
    asked: str, own: Profile | None, root: Path, problems: list[HarnessError]
) -> MeterChoice:
    if asked == "none":
        return MeterChoice(None, ())
    if asked == "auto":
        return choose_meter(own, root) if own else MeterChoice(None, ())
    try:
        spec = MeterSpec.parse(asked)
        if spec.name not in METERS:
            problems.append(unknown("meter", spec.name, ["auto", "none", *METERS]))
            return MeterChoice(None, ())
        answer = try_meter(asked, root)
    except DeviceError as error:
        problems.append(UsageError(error.message, error.remedy))
        return MeterChoice(None, ())
    if answer.reason_code == "bad-option":
        problems.append(UsageError(f"meter {asked}: {answer.reason}", answer.fix))
    elif not answer.usable:
        problems.append(MeterMissingError(f"meter {asked}: {answer.reason}", answer.fix))
    return MeterChoice(spec if answer.usable else None, (answer,))


def _why_no_meter(choice: MeterChoice, asked: str) -> str:
    if asked == "none":
        return "no meter was asked for (--meter none)"
    unknown_host = "" if choice.spec else "no meter is known for this host"
    return choice.passed_over or unknown_host


def _fix(choice: MeterChoice) -> str:
    fixes = [answer.fix for answer in choice.answers if answer.fix]
    return fixes[0] if fixes else "Leave out --require-meter, or attach a meter that is listed."


def describe_host(host: Host) -> str:
    """Return the host in words: model or processor, cores."""
    name = host.model or host.cpu_model or host.arch
    return f"{name}, {host.cores_usable} cores"


def confine(target: Target) -> None:
    """Keep this process, with all threads it has, within another device's cores and memory.

    Memory is limited by RLIMIT_DATA (private writable memory), so that work which does not fit the
    device fails here too instead of being reported as possible.
    """
    if target.matches:
        return
    allowed = sorted(os.sched_getaffinity(0))
    stay_on_cores(allowed[: target.cores])
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = target.profile.memory_bytes
    if hard not in (resource.RLIM_INFINITY, -1):
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def power_model(target: Target) -> PowerModel:
    """Return the power model of the device; a generic host fills in its own cores."""
    return PowerModel.from_profile(target.profile, target.cores if target.matches else None)
