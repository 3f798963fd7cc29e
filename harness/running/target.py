"""Settle which device a run answers for, on which host it runs, and keep it within that device."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass, replace
from pathlib import Path

from devices.accelerator import ALIASES, AUTO, split_device
from devices.control_groups import quota_cores
from devices.cuda_probe import cuda_here, probe_cuda
from devices.errors import DeviceError
from devices.host import Host, detect
from devices.meters.registry import try_meter
from devices.power_model import PowerModel
from devices.profile import Profile, find_profile, load_profiles, matches
from harness.config import Config, RunConfig
from harness.core.errors import (
    DeviceMissingError,
    Problems,
    UsageError,
    raise_all,
    unknown,
)
from harness.measurement.choice import PROCESSOR_METERS, FoundMeters, find_meters
from harness.measurement.measured_host import own_profile
from harness.running.accelerator import CPU, GPU, Accelerator, Choice, choose_accelerator
from harness.running.core_sharing import stay_on_cores

PROCESSOR = Accelerator()


@dataclass(frozen=True)
class Target:
    """Hold the device asked for, the host at hand, and what can measure that host.

    `cores` are those that training may use, `threads` those that it will. `meter` is the meter as
    typed, None if there is none; `meter_reason` says why none works, or why those that the device
    prefers were passed over. `accelerator` is what trains on this host; `modelled`, `cpu` or `gpu`,
    is whose figures of the profile the models take, which differ where the device is not this host.
    """

    profile: Profile
    host: Host
    matches: bool
    cores: int
    threads: int
    meter: str | None
    meter_reason: str
    accelerator: Accelerator = PROCESSOR
    modelled: str = CPU


def resolve_target(config: RunConfig, root: Path = Path("/")) -> Target:
    """Find the device's profile, compare it with the host and choose a meter.

    Raises:
        HarnessError: for unknown names, and for `require_device` or `require_meter` unmet; all
            problems at once.
    """
    _one_device(config.device)
    host = detect(root)
    problems = Problems()
    profile = problems.attempt(lambda: _profile(split_device(config.device)[0], host))
    fits = profile is not None and matches(host, profile)
    choice = Choice(PROCESSOR)
    if profile is not None:
        choice = problems.attempt(lambda: _choice(config, profile, fits=fits)) or choice
    trains = choice.accelerator
    gpu = _gpu(trains)
    found = find_meters(config.meter, _preferred(host, trains), root, problems, gpu)
    found = _one_meter(found, config, root, gpu, problems)
    if profile is None:
        raise_all(problems.found)
        raise AssertionError("unreachable: a missing profile is a problem")
    if config.require_device and not fits:
        problems.found.append(
            DeviceMissingError(
                f"this host ({describe_host(host)}) is not a {profile.title}",
                "Run on that device, or leave out --require-device to have its time and energy"
                " modelled.",
            )
        )
    if config.require_meter and found != FoundMeters():  # else its name is the problem
        problems.attempt(found.require)
    cores = host.cores_usable if fits else min(host.cores_usable, profile.cores)
    if config.threads > cores:
        message = f"--threads {config.threads}: there are {cores} cores to train on"
        problems.found.append(UsageError(message, _quota(root)))
    raise_all(problems.found)
    threads = config.threads or cores
    meter = next(iter(found.totals), None)
    return Target(profile, host, fits, cores, threads, meter, found.reason, trains, choice.modelled)


def settled(config: Config, target: Target) -> Config:
    """Return the configuration with what was settled on in place of `auto`.

    Where another device's GPU is modelled its name says so, as what trains here is this processor.
    """
    if target.matches:
        return replace(config, accelerator=target.accelerator.kind)
    name = split_device(config.device)[0]
    device = f"{name}:{GPU}" if target.modelled == GPU else name
    return replace(config, device=device, accelerator=target.accelerator.kind)


def _one_device(text: str) -> None:
    """Do nothing if one device is named.

    Raises:
        UsageError: if there are several, with what to type instead.
    """
    first, *others = (word.strip() for word in text.split(","))
    if not others:
        return
    name = split_device(first)[0]
    kinds = (CPU, GPU, *ALIASES)
    named = [first, *(f"{name}:{word}" if word in kinds else word for word in others)]
    runs = "; ".join(f"python -m harness.run --device {one}" for one in named if one)
    raise UsageError(
        f"--device {text}: a run answers for one device",
        f"Type a run for each, all other options the same, then compare them: {runs};"
        " python -m harness.compare RUN RUN",
    )


def _choice(config: RunConfig, profile: Profile, *, fits: bool) -> Choice:
    """Settle what trains and what is modelled, from both options that may say it.

    Raises:
        UsageError: if they contradict each other, or the device has no such accelerator.
    """
    asked, named = config.accelerator, split_device(config.device)[1]
    if named not in ("", CPU, GPU):
        raise unknown("accelerator", named, [f"{profile.name}:{kind}" for kind in (CPU, GPU)])
    # A run that is gone on with names the GPU that is modelled, and the processor that trains.
    if named and asked not in (AUTO, named) and (fits or asked == GPU):
        raise UsageError(
            f"--device {config.device} and --accelerator {asked} contradict each other",
            "Leave out one of them.",
        )
    python = config.board_python
    choice = choose_accelerator(
        named or asked, profile, fits=fits, gpu_trains=config.gpu_trains,
        probe=lambda: probe_cuda(python) if python else cuda_here(),
    )  # fmt: skip
    return replace(choice, accelerator=replace(choice.accelerator, python=python))


def _quota(root: Path) -> str:
    """Say that a control group allows fewer cores than there are; empty if none does."""
    quota = quota_cores(root)
    if quota is None:
        return ""
    return (
        f"A control group pays for the time of {quota:g} cores (docker run --cpus, systemd's"
        " CPUQuota, Kubernetes limits); more threads would stand still for part of every period."
    )


def _profile(name: str, host: Host) -> Profile:
    try:
        known = [word for p in load_profiles() for word in (p.name, *p.aliases)]
        if name != "auto" and name not in known:
            raise unknown("device", name, ["auto", *(p.name for p in load_profiles())])
        return find_profile(name, host)
    except DeviceError as error:
        raise DeviceMissingError(error.message, error.remedy) from error


def _preferred(host: Host, trains: Accelerator) -> Profile | None:
    """Return the profile of the host itself, whose meters can measure the work.

    Where a GPU trains its own meter stands for all if none covers more.
    """
    own = own_profile(host)
    if own is None or not trains.is_gpu:
        return own
    others = tuple(name for name in own.meters if name != "nvml")
    return replace(own, meters=(*others, "nvml"))


def _gpu(trains: Accelerator) -> str:
    """Return the meter of the GPU that trains, by its own name; empty if none does."""
    if not trains.is_gpu:
        return ""
    return f"nvml:gpu={trains.uuid}" if trains.uuid else "nvml"


def _one_meter(
    found: FoundMeters, config: RunConfig, root: Path, gpu: str, problems: Problems
) -> FoundMeters:
    """Return meters as the one that a run reads: their sum, if they can be added up.

    What was asked for must be. Of meters found by themselves the GPU's stays; where a GPU trains,
    the processor's joules alone are not the run's.
    """
    alone = len(found.totals) == 1 and found.totals[0] in PROCESSOR_METERS
    if alone and gpu and config.meter == AUTO:
        answer = try_meter(gpu, root)
        reason = f"{found.totals[0]} covers the processor alone, and the GPU that trains has no"
        return FoundMeters((), f"{reason} meter: {answer.reason}", answer.fix)
    if len(found.totals) < 2:
        return found
    text = "+".join(found.totals)
    try:
        answer = try_meter(text, root)
        why, fix = answer.reason, answer.fix
        if answer.usable:
            return replace(found, totals=(text,))
    except DeviceError as error:
        why, fix = error.message, error.remedy
    if config.meter != AUTO:
        problems.found.append(UsageError(f"--meter {text}: {why}", fix))
        return FoundMeters()
    return FoundMeters(found.totals[-1:], f"{found.totals[-1]} measures the GPU alone: {why}", fix)


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
    gpu = target.profile.gpu
    if target.modelled == GPU and gpu is not None:
        return PowerModel.of_gpu(gpu.power)
    return PowerModel.from_profile(target.profile, target.cores if target.matches else None)
