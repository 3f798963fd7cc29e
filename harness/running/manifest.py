"""Say in one JSON object what a run is: command, device, host, software, meter, models, data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from devices.accelerator import GPU
from devices.time_model import (
    GPU_METHOD,
    GPU_RATIO_FACTOR,
    GPU_TIME_FACTOR,
    METHOD,
    RATIO_FACTOR,
    TIME_FACTOR,
    interval_of,
)
from harness.config import RunConfig
from harness.core.shell_words import typed_line
from harness.measurement.cost import Accountant
from harness.running.accelerator import describe_accelerator
from harness.running.cell import RunContext
from harness.running.environment import environment
from harness.running.outside import outside
from harness.running.target import Target
from harness.workloads.registry import find_workload


def describe_run(context: RunContext) -> dict[str, Any]:
    """Return what the manifest says before the first cell."""
    target, study = context.target, context.study
    asked = study.asked_config()
    return {
        "command": typed_line("harness.fleet" if context.devices else "harness.run"),
        "workload": asked.workload,
        "objective": _objective(asked),
        "quick": asked.quick,
        "device": {
            "name": target.profile.name,
            "title": device_title(target),
            "accelerator": target.modelled,
        },
        **environment(target),
        "threads": target.threads,
        "accelerator": describe_accelerator(target.accelerator)
        if context.board is None
        else context.board.facts,
        "meter": context.session.describe(),
        "meter_reason": context.session.reason,
        **models_used(context.accountant, target),
        **study.describe(),
        **({"fleet": context.devices.describe()} if context.devices else {}),
        **outside(asked, target),
        "config": asked.as_dict(),
        "config_digest": asked.digest(),
    }


def device_title(target: Target) -> str:
    """Return the device's name for people, and which of its accelerators if it has two."""
    title = target.profile.title
    if target.profile.gpu is None:
        return title
    return f"{title}, {'GPU' if target.modelled == GPU else 'processor'}"


def _objective(asked: RunConfig) -> dict[str, str]:
    """Return what methods are judged by and compared with, so that no reader needs the workload."""
    objective = find_workload(asked.workload).objective
    return {**asdict(objective), "reference": asked.reference}


def models_used(accountant: Accountant, target: Target) -> dict[str, Any]:
    """Return what the models of power and time rest on; no model of time on the device itself."""
    power, gpu = accountant.power, target.profile.gpu
    modelled = gpu if target.modelled == GPU else None
    by_gpu = modelled is not None
    time_model = {
        **asdict(modelled.compute if modelled is not None else target.profile.compute),
        "method": GPU_METHOD if by_gpu else METHOD,
        "factor": GPU_TIME_FACTOR if by_gpu else TIME_FACTOR,
        "ratio_factor": GPU_RATIO_FACTOR if by_gpu else RATIO_FACTOR,
        "interval": interval_of(target.modelled),
    }
    return {
        "energy_model": {
            "source": power.source,
            "idle_w": power.idle_w,
            "full_load_w": power.full_load_w,
            "cores": power.cores,
        },
        "time_model": None if accountant.device is None else time_model,
    }
