"""Time this host once when a run begins: its steps, and what another device is modelled by.

Both figures of a table that rest on it, predicted seconds and those of another device, come from
this one timing: it stands in the manifest, and a run that goes on takes it from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import torch

from devices.accelerator import CPU
from devices.board_counters import read_counters
from devices.time_model import GpuTimeModel, HostTiming
from harness.measurement.cost import GpuModel
from harness.running.accelerator import settled_clock
from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.methods.cost import Calibration
from harness.workloads.multitask.planning.plan import build_for, random_step
from harness.workloads.multitask.work import ENCODER
from models.execution import PLAIN, Execution
from models.kernels import kernels_of
from models.multitask.layer_work import TRAINING_FACTOR, LayerTimes, time_layers
from models.multitask.network import Architecture, MultiTaskNet
from models.multitask.tasks import TASKS

TURNS = 15
LEAST_TURNS = 2
BUDGET_S = 4.0
"""Turns end after this many seconds, but there are two at least."""

COPIED_BYTES = 64 << 20
"""More than caches of this day hold. A host that models another one has the memory for twice that,
or the boards it stands for had trained here."""

COPIES = 9

RESOLUTION_S = 1e-9
"""Of the clock: nothing that was timed takes less."""

Clock = Callable[[], float]


@dataclass(frozen=True)
class RunTiming:
    """Hold what was timed: this run's steps, and what another device is modelled by if any is."""

    calibration: Calibration
    host: HostTiming | None = None
    foreign_cores: float | None = None
    """How many cores other programs kept busy meanwhile; None if that is not known."""

    def as_dict(self) -> dict[str, Any]:
        """Return the sections of the manifest."""
        return {
            "calibration": asdict(self.calibration),
            "host_timing": None if self.host is None else asdict(self.host),
            "timing_foreign_cores": self.foreign_cores,
        }


def recorded_timing(manifest: Mapping[str, Any]) -> RunTiming | None:
    """Return what a manifest tells of; None if it tells of none."""
    told, host = manifest.get("calibration"), manifest.get("host_timing")
    try:
        if not isinstance(told, dict):
            return None
        calibration = Calibration(_floats(told["forward_s"]), _number(told.get("busy_cores")))
        foreign = _number(manifest.get("timing_foreign_cores"))
        if host is None:
            return RunTiming(calibration, None, foreign)
        rates = float(host["flop_per_s"]), float(host["memory_bytes_per_s"])
        parts = _floats(host["forward_s"]), _floats(host["arithmetic"])
        return RunTiming(calibration, HostTiming(*parts, *rates), foreign)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return None


def take_timing(
    config: MultitaskConfig,
    architecture: Architecture,
    execution: Execution,
    *,
    models_device: bool,
) -> RunTiming:
    """Time this host, also for the model of another device if one is asked for."""
    before = read_counters()
    calibration = calibrate(architecture, config, execution)
    foreign = read_counters().foreign_cores(before)
    if not models_device:
        return RunTiming(calibration, None, foreign)
    plain = calibration if execution == PLAIN else calibrate(architecture, config)
    return RunTiming(calibration, time_host(architecture, config, plain), foreign)


def calibrate(
    architecture: Architecture,
    config: MultitaskConfig,
    execution: Execution = PLAIN,
    clock: Clock = time.perf_counter,
    cpu_clock: Clock = time.process_time,
) -> Calibration:
    """Time training steps of every task alone and of all together, in turn, on random images.

    With tᵢ = E + Dᵢ and t = E + ΣDᵢ the n + 1 times give the parts: E = (Σtᵢ − t)/(n − 1). So
    one-by-one and all-in-one are predicted alike well, although decoders side by side take less
    than one alone. Tasks whose decoder and loss are of one kind are timed once. Of a single task
    nothing can be told apart, and all counts as encoder.
    """
    nets = _networks(architecture, config, execution)
    steps = _fastest_steps(nets, config, settled_clock(config.kind_here, clock), cpu_clock)
    times_s = {tasks: step.time_s / config.batch_size for tasks, step in steps.items()}
    passed_s = sum(step.time_s for step in steps.values())
    busy_cores = sum(step.cpu_s for step in steps.values()) / max(passed_s, RESOLUTION_S)
    return Calibration(_forward_s(times_s, config.tasks), busy_cores)


def model_gpu(architecture: Architecture, config: MultitaskConfig, gpu: GpuTimeModel) -> GpuModel:
    """Model a GPU's plain steps from the kernels of real ones, taken once each on this processor.

    Parts follow from steps of every task alone and of all together as in `calibrate`.
    """
    processor = replace(config, accelerator=CPU)
    nets = _networks(architecture, processor, PLAIN)
    times_s = {
        tasks: gpu.time_s(kernels_of(random_step(net, processor))) / config.batch_size
        for tasks, net in nets.items()
    }
    return GpuModel(_forward_s(times_s, config.tasks), gpu.memory_bytes_per_s)


def _networks(
    architecture: Architecture, config: MultitaskConfig, execution: Execution
) -> dict[str, MultiTaskNet]:
    """Return the network of all tasks, and one of every kind of task alone."""
    merged = build_for(architecture, config.tasks, config, execution)
    kinds = dict.fromkeys(_like(task, config.tasks) for task in config.tasks)
    nets = {task: _alone(merged, task) for task in kinds}
    return nets | ({config.tasks: merged} if len(config.tasks) > 1 else {})


def _forward_s(times_s: Mapping[str, float], tasks: str) -> dict[str, float]:
    """Return seconds of an image through each part, from those of training steps of networks."""
    alone_s = {task: times_s[_like(task, tasks)] for task in tasks}
    encoder_s = min(alone_s.values())
    if len(alone_s) > 1:
        shared_s = sum(alone_s.values()) - times_s[tasks]
        encoder_s = min(encoder_s, max(shared_s / (len(alone_s) - 1), 0.0))
    parts_s = {ENCODER: encoder_s} | {task: t - encoder_s for task, t in alone_s.items()}
    return {part: t / TRAINING_FACTOR for part, t in parts_s.items()}


def time_host(
    architecture: Architecture,
    config: MultitaskConfig,
    plain: Calibration,
    clock: Clock = time.perf_counter,
) -> HostTiming:
    """Time the layers of the network and the memory of this host.

    Of a part's seconds in a plain step, arithmetic has the share that its layers say. What a step
    takes beyond its layers (sums, losses, the optimizer) is not arithmetic.
    """
    net = build_for(architecture, config.tasks, config, PLAIN).to("cpu")
    images = torch.rand(config.batch_size, 3, config.size, config.size)
    with torch.no_grad():
        features = net.encode(images)
    encoder = time_layers(net.encoder, images, images=True, clock=clock)
    kinds = {task: _like(task, config.tasks) for task in config.tasks}
    decoders = {
        kind: time_layers(net.decoders[kind], features, images=False, clock=clock)
        for kind in dict.fromkeys(kinds.values())
    }
    layers = {ENCODER: encoder} | {task: decoders[kind] for task, kind in kinds.items()}
    if len(kinds) == 1:  # its decoder's seconds are counted as the encoder's
        layers[ENCODER] += layers[config.tasks]
    step_s = {
        part: seconds * TRAINING_FACTOR * config.batch_size
        for part, seconds in plain.forward_s.items()
    }
    shares = {part: _arithmetic_share(layers[part], step_s[part]) for part in layers}
    # of a network so small that calls are all, the rate can only be bounded from below
    arithmetic_s = (shares[ENCODER] or 1.0) * step_s[ENCODER]
    flop_per_s = layers[ENCODER].flop / max(arithmetic_s, RESOLUTION_S)
    return HostTiming(plain.forward_s, shares, flop_per_s, _copy_bytes_per_s(clock))


def _arithmetic_share(layers: LayerTimes, step_s: float) -> float:
    return layers.arithmetic_s / max(layers.total_s, step_s)


def _like(task: str, tasks: str) -> str:
    """Return the first task whose decoder and loss take the same time."""

    def kind(letter: str) -> tuple[int, str]:
        return TASKS[letter].channels, TASKS[letter].loss

    return next(other for other in tasks if kind(other) == kind(task))


def _alone(merged: MultiTaskNet, task: str) -> MultiTaskNet:
    """Return the network of one task, its weights those of the merged one to save memory."""
    net = MultiTaskNet(merged.encoder, {task: merged.decoders[task]}, merged.loss)
    return net.execute_as(merged.execution).train()


@dataclass(frozen=True)
class _StepTime:
    """Hold seconds of a step by the clock and of the processor."""

    time_s: float
    cpu_s: float


def _fastest_steps(
    nets: Mapping[str, MultiTaskNet], config: MultitaskConfig, clock: Clock, cpu_clock: Clock
) -> dict[str, _StepTime]:
    """Return the fastest training step of each network.

    Other programs only ever add to a step, and the parts are small differences of steps.
    """
    steps = {tasks: random_step(net, config) for tasks, net in nets.items()}
    for step in steps.values():
        step()  # the first one pays for memory and caches
    found: dict[str, list[_StepTime]] = {tasks: [] for tasks in steps}
    begun_s = clock()
    for turn in range(TURNS):
        if turn >= LEAST_TURNS and clock() - begun_s > BUDGET_S:
            break
        for tasks, step in steps.items():
            cpu_s, start_s = cpu_clock(), clock()
            step()
            found[tasks].append(_StepTime(clock() - start_s, cpu_clock() - cpu_s))
    return {tasks: min(those, key=lambda one: one.time_s) for tasks, those in found.items()}


def _copy_bytes_per_s(clock: Clock) -> float:
    """Return the rate of copying memory, as STREAM counts it: bytes read and bytes written."""
    source = torch.ones(COPIED_BYTES // 4)
    target = torch.zeros_like(source)
    times_s = []
    for _ in range(COPIES):
        start_s = clock()
        target.copy_(source)
        times_s.append(clock() - start_s)
    return 2.0 * COPIED_BYTES / median(times_s)


def _number(value: Any) -> float | None:  # noqa: ANN401 - JSON
    return None if value is None else float(value)


def _floats(values: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): float(value) for name, value in values.items()}
