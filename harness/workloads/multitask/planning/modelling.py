"""Build the models of time and energy of a run's device, and estimate a run before it starts."""

from __future__ import annotations

from collections.abc import Mapping

from devices.accelerator import GPU
from devices.time_model import GpuTimeModel, HostTiming, TimeModel
from harness.measurement.cost import DeviceModel, GpuModel
from harness.running.target import Target, power_model
from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.planning.calibration import RunTiming, model_gpu, take_timing
from harness.workloads.multitask.planning.plan import Estimate, planned_run
from models.execution import PLAIN
from models.multitask.network import Architecture


def device_model(
    target: Target,
    config: MultitaskConfig,
    architecture: Architecture,
    timed: HostTiming | None = None,
) -> DeviceModel | GpuModel | None:
    """Return the time model of a device that is not the host; None if it is.

    For a device's processor the host is timed unless that was done before; a GPU's steps are
    modelled from their kernels, and no time of this host is in them.
    """
    if target.matches:
        return None
    gpu = target.profile.gpu
    if target.modelled == GPU and gpu is not None:
        return model_gpu(architecture, config, GpuTimeModel.from_figures(gpu.compute))
    host = timed or take_timing(config, architecture, PLAIN, models_device=True).host
    assert host is not None
    return DeviceModel(TimeModel.from_profile(target.profile), host)


def estimate(
    config: MultitaskConfig,
    target: Target,
    architecture: Architecture,
    timing: RunTiming,
    done: Mapping[str, float],
) -> Estimate:
    """Say what training and tests of the run will take if steps take what was timed.

    `done` holds cell → task-rounds that need not be trained any more. Processor seconds, which the
    power model counts, are those of the steps that were timed.
    """
    work = planned_run(config, done)
    seconds = timing.calibration.time_s(work)
    power = power_model(target)
    device = device_model(target, config, architecture, timing.host)
    if device is None:
        cores = timing.calibration.busy_cores
        cpu_s = seconds * (target.threads if cores is None else cores)
        return Estimate(seconds, power.energy_on_host_j(seconds, cpu_s), config.layout.bytes)
    device_s = device.time_s(work)
    return Estimate(seconds, power.energy_elsewhere_j(device_s), config.layout.bytes, device_s)
