"""Time ways of executing the training step against the plain way, in turn, on this host.

A run trains merged models and single ones, so a way counts by the smaller of its two gains. Ways
are timed in turn with the plain one, so that a host whose speed drifts slows all of them alike, and
the median of the ratios decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

import torch

from harness.core.errors import first_line
from harness.running.accelerator import settled_clock
from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.planning.plan import build_for, random_step
from models.execution import Execution
from models.multitask.network import Architecture

MARGIN = 1.10
"""A way must be this much faster than the plain one, or it is not taken."""

TURNS = 9
LEAST_TURNS = 3
BUDGET_S = 6.0
"""Turns end after this many seconds, of each kind of step, but there are three at least."""

HOPELESS = 4.0
"""A way that takes this many times the plain one's time when first tried is not timed further."""

Clock = Callable[[], float]


@dataclass(frozen=True)
class Way:
    """Name one way of executing a step: how, and on how many threads."""

    execution: Execution
    threads: int


@dataclass
class Timed:
    """Hold what was measured of a way, by kind of step (`merged`, `single`).

    `time_s` are medians; `gains` are its ratios to the way it is compared with, larger is faster.
    `problem` says why it cannot be used here.
    """

    way: Way
    time_s: dict[str, float] = field(default_factory=dict)
    gains: dict[str, list[float]] = field(default_factory=dict)
    problem: str = ""

    @property
    def gain(self) -> float:
        """Return the smaller of the median gains; 0 if it was not timed to the end."""
        if self.problem or not self.gains:
            return 0.0
        return min(median(gains) for gains in self.gains.values())

    @property
    def clear(self) -> bool:
        """Say whether it is faster by the margin, and slower in a quarter of the pairs at most."""
        steady = all(sum(g < 1.0 for g in gains) <= len(gains) / 4 for gains in self.gains.values())
        return steady and self.gain >= MARGIN

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON: of each kind the median time, and the range of gains."""
        return {
            "execution": self.way.execution.text,
            "threads": self.way.threads,
            "step_time_s": dict(self.time_s),
            "gain": {
                kind: {"min": min(g), "median": median(g), "max": max(g), "pairs": len(g)}
                for kind, g in self.gains.items()
            },
            "smaller_gain": self.gain,
            "clear": self.clear,
            "problem": self.problem,
        }


def bf16_supported() -> bool:
    """Say whether this processor computes convolutions in bfloat16 itself."""
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):  # a build without oneDNN has no such question
        return False


def gpu_bf16_supported() -> bool:
    """Say whether the GPU computes in bfloat16 itself: compute capability 8 and later."""
    try:
        return torch.cuda.get_device_capability()[0] >= 8
    except (AssertionError, AttributeError, RuntimeError):
        return False


def barred(execution: Execution, *, gpu: bool) -> str:
    """Return in words why this processor or GPU cannot execute steps so; empty if it can."""
    if execution.precision == "bf16" and not gpu and not bf16_supported():
        return "this processor, or this build of torch, has no bf16 convolutions"
    if execution.precision in ("bf16", "tf32") and gpu and not gpu_bf16_supported():
        return "this GPU has neither bf16 nor TF32, which begin with compute capability 8"
    return execution.barred(gpu=gpu)


def gpu_executions() -> list[Execution]:
    """Return what is timed on a GPU besides the plain way: every precision it has, both layouts.

    Steps launched as one graph come beside the same steps launched singly. TF32 and bf16 begin with
    compute capability 8; tensor cores for fp16 with 7, but it computes everywhere.
    """
    later = gpu_bf16_supported()
    precisions = ("fp32", *(("tf32", "bf16") if later else ()), "fp16")
    return [
        Execution(precision, layout, "fused", launch)
        for precision in precisions
        for layout in ("channels-last", "contiguous")
        for launch in ("eager", "graph")
    ]


def executions(*, gpu: bool = False) -> list[Execution]:
    """Return what is timed besides the plain way, on this host."""
    if gpu:
        return gpu_executions()
    found = [Execution(optimizer="fused"), Execution(memory_format="contiguous", optimizer="fused")]
    if bf16_supported():
        found.append(Execution("bf16", "channels-last", "fused"))
    return found


def fewer_threads(threads: int) -> list[int]:
    """Return the counts of threads that are tried below all of them: halves, down to one."""
    found = []
    while threads > 1:
        threads //= 2
        found.append(threads)
    return found


def compare(
    architecture: Architecture,
    config: MultitaskConfig,
    ways: Sequence[Way],
    clock: Clock = time.perf_counter,
) -> list[Timed]:
    """Time ways in turn, the first of them being what the others are compared with.

    The number of torch's threads is left as it was found. A moment is read once the GPU, if one
    trains, has done all it was given.
    """
    clock = settled_clock(config.kind_here, clock)
    threads = torch.get_num_threads()
    found = [Timed(way) for way in ways]
    kinds = {"merged": config.tasks} if len(config.tasks) > 1 else {}
    try:
        for kind, tasks in {**kinds, "single": config.tasks[0]}.items():
            _time_kind(found, kind, _Stepper(architecture, config, tasks, clock), clock)
    finally:
        torch.set_num_threads(threads)
    return found


class _Stepper:
    """Take steps of one model; each way has a network and an optimizer of its own."""

    def __init__(
        self, architecture: Architecture, config: MultitaskConfig, tasks: str, clock: Clock
    ) -> None:
        self._architecture = architecture
        self._config = config
        self._tasks = tasks
        self._clock = clock
        self._steps: dict[Way, Callable[[], None]] = {}

    def time_s(self, way: Way) -> float:
        """Return the seconds of one step; where the threads change, one goes before unseen."""
        step = self._steps.get(way) or self._steps.setdefault(way, self._step(way))
        if torch.get_num_threads() != way.threads:
            torch.set_num_threads(way.threads)
            step()
        start_s = self._clock()
        step()
        return self._clock() - start_s

    def _step(self, way: Way) -> Callable[[], None]:
        net = build_for(self._architecture, self._tasks, self._config, way.execution)
        return random_step(net, self._config)


def _time_kind(found: Sequence[Timed], kind: str, stepper: _Stepper, clock: Clock) -> None:
    """Fill in times and gains of one kind of step; a way that fails is not tried again."""
    first, *others = found
    stepper.time_s(first.way)  # the very first step pays for memory and caches
    plain_s = stepper.time_s(first.way)
    for other in others:
        if not other.problem:
            _try(other, stepper, HOPELESS * plain_s)
    times: dict[int, list[float]] = {}
    begun_s = clock()
    for _ in _turns(clock, begun_s):
        for index, timed in enumerate(found):
            if not timed.problem:
                times.setdefault(index, []).append(stepper.time_s(timed.way))
    for index, own in times.items():
        found[index].time_s[kind] = median(own)
        found[index].gains[kind] = [p / t for p, t in zip(times[0], own, strict=True)]


def _try(timed: Timed, stepper: _Stepper, limit_s: float) -> None:
    try:
        taken_s = stepper.time_s(timed.way)
    except RuntimeError as error:
        timed.problem = first_line(error)
        return
    if taken_s > limit_s:
        timed.problem = f"its first step took {taken_s:.3g} s, more than {limit_s:.3g} s"


def _turns(clock: Clock, begun_s: float) -> Iterator[int]:
    for turn in range(TURNS):
        if turn >= LEAST_TURNS and clock() - begun_s > BUDGET_S:
            return
        yield turn
