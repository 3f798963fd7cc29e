"""Say what a run will take and what its joules will be, before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devices.accelerator import GPU
from harness.evidence.sensors import pretended
from harness.measurement.host_look import BUSY_CORES

if TYPE_CHECKING:
    from devices.accelerator import Accelerator
    from harness.running.target import Target
    from harness.workloads.base import Expectation


def expectation_words(expected: Expectation, *, shared: bool = False) -> list[str]:
    """Return lines on what a run will take; what is modelled of another device has its own."""
    what = "what is left of the run" if expected.rest else "training and tests of the whole run"
    less = "; shared jobs make it less" if shared else ""
    joules = f"{expected.energy_model_j:.0f} J"
    timed = f"from timing a few steps here{less}"
    if expected.time_model_s is None:
        lines = [
            f"Expect   {duration(expected.time_s)} and {joules} modelled for {what} ({timed}, and"
            " the profile's power model)"
        ]
    else:
        lines = [
            f"Expect   {duration(expected.time_s)} on this host for {what} ({timed})",
            f"         The device is modelled to take {duration(expected.time_model_s)} and"
            f" {joules} for the same.",
        ]
    if (expected.foreign_cores or 0.0) > BUSY_CORES:
        lines.append(
            f"         Steps were timed while other programs kept {expected.foreign_cores:.1f}"
            " cores busy, so it may take less than that, or more if they stay."
        )
    lines.append(
        f"Disk     at most {_megabytes(expected.data_bytes)} of data,"
        f" {_megabytes(expected.results_bytes)} of results"
    )
    return lines


def energy_words(target: Target) -> str:
    """Say what energy figures there will be and where they come from."""
    whose = pretended(target.meter or "")
    by = (
        f"{whose} by {target.meter}, which is no sensor" if whose else f"measured by {target.meter}"
    )
    if target.meter and target.matches:
        others = f" (passed over: {target.meter_reason})" if target.meter_reason else ""
        return f"{by}{others}; modelled beside it"
    if target.meter:
        return f"{by} on this host; modelled for {target.profile.name}"
    return "no meter works here, so it is modelled only (python -m harness.doctor says why)"


def duration(seconds: float) -> str:
    """Return seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min"


def _megabytes(count: float) -> str:
    return "1 MB" if count < 1.5e6 else f"{count / 1e6:.0f} MB"


def trainer_words(accelerator: Accelerator) -> str:
    """Say what trains here, and why that."""
    why = f": {accelerator.why}" if accelerator.why else ""
    if not accelerator.is_gpu:
        return f"on the processor{why}"
    cuda = f", CUDA {accelerator.cuda}" if accelerator.cuda else ""
    python = f" under {accelerator.python}" if accelerator.python else ""
    return f"on the GPU ({accelerator.name}{cuda}){python}{why}"


def modelled_words(target: Target) -> str:
    """Name the device whose figures are modelled, and which of its accelerators if it has two."""
    name, gpu = target.profile.name, target.profile.gpu
    if gpu is None:
        return name
    if target.modelled == GPU:
        return f"{name} with its GPU ({gpu.name})"
    return f"{name} with its processor"
