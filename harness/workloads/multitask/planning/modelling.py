"""Build the models of time and energy of a run's device, and estimate a run before it starts."""

from __future__ import annotations

import torch

from devices.power_model import PowerModel
from devices.time_model import TimeModel
from harness.config import RunConfig
from harness.federated.work import ENCODER
from harness.measurement.cost import DeviceModel
from harness.running.target import Target
from harness.workloads.multitask.planning.plan import Estimate, calibrate, planned_run
from models.execution import PLAIN, Execution
from models.multitask.layer_work import forward_layers
from models.multitask.network import Architecture, build


def power_model(target: Target) -> PowerModel:
    """Return the power model of the device; a generic host fills in its own cores."""
    return PowerModel.from_profile(target.profile, target.cores if target.matches else None)


def device_model(
    target: Target, config: RunConfig, architecture: Architecture
) -> DeviceModel | None:
    """Return the time model of a device that is not the host; None if it is."""
    if target.matches:
        return None
    model = TimeModel.from_profile(target.profile)
    net = build(architecture, config.tasks, 0).eval()
    images = torch.zeros(config.batch_size, 3, config.size, config.size)
    with torch.no_grad():
        features = net.encoder(images)
    layers = {ENCODER: forward_layers(net.encoder, images)} | {
        task: forward_layers(decoder, features) for task, decoder in net.decoders.items()
    }
    unit = {
        part: model.time_s((layer.flop, layer.bytes) for layer in found)
        for part, found in layers.items()
    }
    return DeviceModel(model, unit)


def estimate(
    config: RunConfig, target: Target, architecture: Architecture, execution: Execution = PLAIN
) -> Estimate:
    """Time a few training steps and say what training and tests of the whole run will take."""
    work = planned_run(config)
    seconds = calibrate(architecture, config, execution).time_s(work)
    power = power_model(target)
    device = device_model(target, config, architecture)
    if device is None:
        joules = power.energy_on_host_j(seconds, seconds * target.threads)
    else:
        joules = power.energy_elsewhere_j(device.time_s(work))
    return Estimate(seconds, joules, config.layout.bytes)
