"""Hold the figures of a device by which time and energy are modelled, per accelerator.

Each figure has a source beside it: where it was published, or "assumption" with the reasoning.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Power:
    """Give the power model's two figures, each with its source."""

    idle_w: float
    idle_source: str
    full_load_w: float
    full_load_source: str


@dataclass(frozen=True)
class Compute:
    """Give sustained training throughput (forward and backward) and memory bandwidth."""

    flop_per_s: float
    flop_source: str
    memory_bytes_per_s: float
    memory_source: str


@dataclass(frozen=True)
class Training:
    """Recommend threads and batch size for training on the device."""

    threads: int
    batch: int


@dataclass(frozen=True)
class GpuCompute:
    """Give a GPU's sustained fp32 throughput and bandwidth, and what a kernel takes at least.

    `launch_s` are seconds from one operation of the eager loop to the next where the GPU has
    nothing to do in them: the processor issues operations no faster, however small they are.
    """

    flop_per_s: float
    flop_source: str
    memory_bytes_per_s: float
    memory_source: str
    launch_s: float
    launch_source: str


@dataclass(frozen=True)
class GpuTraining:
    """Recommend how many streams of work and which batch size a GPU trains with."""

    streams: int
    batch: int


@dataclass(frozen=True)
class GpuFigures:
    """Hold what is known of a device's GPU; `name` is its generation and size."""

    name: str
    training: GpuTraining
    compute: GpuCompute
    power: Power
