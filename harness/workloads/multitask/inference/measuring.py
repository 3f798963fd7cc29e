"""Measure one thing at a time: load the models, warm up, ask queries, read what that cost."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from devices.card_watch import CardWatch
from harness.measurement.conditions import Conditions
from harness.measurement.measuring import MeasuringSession
from harness.records.cost import SegmentCost
from harness.records.phases import Label
from harness.running.target import Target
from harness.workloads.multitask.inference.accuracy import Predictor, Verdict
from harness.workloads.multitask.inference.deployment import Deployment, Model
from harness.workloads.multitask.inference.memory import MemoryProbe, Peak, peak_memory
from harness.workloads.multitask.inference.networks import TorchModel
from harness.workloads.multitask.inference.onnx_session import OnnxModel
from harness.workloads.multitask.inference.placement import Placement
from harness.workloads.multitask.inference.providers import ON_PROCESSOR
from harness.workloads.multitask.inference.scenarios import (
    StopRule,
    offline,
    percentile,
    single_stream,
)
from harness.workloads.multitask.inference.settings import OFFLINE, SINGLE_STREAM
from harness.workloads.multitask.work import evaluating
from models.multitask.network import MultiTaskNet

TORCH = "torch"
WARM_UP_QUERIES = 3
FEWEST_BATCHES = 3


@dataclass(frozen=True)
class Variant:
    """Say what answers: the runtime, the number format, and the execution provider."""

    runtime: str
    precision: str
    provider: str

    @property
    def name(self) -> str:
        """Return all three in one word."""
        return f"{self.runtime} {self.precision} {self.provider}"


@dataclass(frozen=True)
class WindowTask:
    """Name one measurement; without a model it is of a complete answer."""

    variant: Variant
    scenario: str
    threads: int
    batch_size: int
    model: Model | None = None


@dataclass(frozen=True)
class Ready:
    """Hold the models of a cell, exported and judged.

    Attributes:
        deployment: The models.
        nets: Network by job.
        graphs: ONNX file's content by job and precision.
        files: The file itself, by job and precision.
        verdicts: What came of a variant on the test images, by job and name of the variant.
        failed: Why a variant cannot be used, by its name.
        placements: Who runs a graph's nodes, by job and name of the variant.
    """

    deployment: Deployment
    nets: Mapping[str, MultiTaskNet]
    graphs: Mapping[tuple[str, str], bytes]
    files: Mapping[tuple[str, str], Path]
    verdicts: Mapping[tuple[str, str], Verdict]
    failed: Mapping[str, str] = field(default_factory=dict)
    placements: Mapping[tuple[str, str], Placement] = field(default_factory=dict)

    def predictor(self, model: Model, variant: Variant, threads: int) -> Predictor:
        """Return what answers for one model.

        Raises:
            InferenceFailedError: if the runtime cannot load it.
        """
        if variant.runtime == TORCH:
            return TorchModel(self.nets[model.job], model.tasks)
        return self.onnx(model, variant, threads)

    def onnx(
        self, model: Model, variant: Variant, threads: int, watched: Path | None = None
    ) -> OnnxModel:
        """Return what answers for one model by its graph; `watched` as `OnnxModel` takes it.

        Raises:
            InferenceFailedError: if the runtime cannot load it.
        """
        graph, int8 = self.graphs[model.job, variant.precision], variant.precision == "int8"
        return OnnxModel(graph, variant.provider, threads, int8=int8, watched=watched)

    def file_bytes(self, model: Model, variant: Variant) -> int:
        """Return the size of the file that a model is kept in."""
        if variant.runtime == TORCH:
            return model.weights.stat().st_size
        return len(self.graphs[model.job, variant.precision])

    def total_loss(self, variant: Variant, model: Model | None) -> float | None:
        """Return the summed test loss of one model's tasks, or of all: the mean over who serves."""
        losses: dict[str, list[float]] = {}
        for each in self.deployment.models if model is None else [model]:
            verdict = self.verdicts.get((each.job, variant.name))
            if verdict is None:
                return None
            for task in each.tasks:
                losses.setdefault(task, []).append(verdict.losses[task])
        return math.fsum(math.fsum(those) / len(those) for those in losses.values())


@dataclass(frozen=True)
class Lengths:
    """Say how long to warm up and to measure."""

    window_s: float
    queries: int
    warm_up_s: float


class WindowMeter:
    """Measure on one host with one meter."""

    def __init__(
        self,
        target: Target,
        session: MeasuringSession,
        images: NDArray[np.float32],
        lengths: Lengths,
        model_name: str,
    ) -> None:
        self.target = target
        self.session = session
        self._images = images
        self.lengths = lengths
        self._model_name = model_name
        self._peaks: dict[MemoryProbe, Peak | None] = {}
        self.clock: Callable[[], float] = time.monotonic
        self.peak: Callable[[MemoryProbe], Peak | None] = peak_memory

    def measure(self, ready: Ready, task: WindowTask, zero_s: float) -> dict[str, Any]:
        """Return the row of one measurement, but for what idle power decides.

        Raises:
            InferenceFailedError: if a model cannot be loaded or run.
        """
        models = ready.deployment.answering if task.model is None else (task.model,)
        peak = self._peak(ready, task, models)
        if task.variant.runtime == TORCH:
            torch.set_num_threads(task.threads)
        predictors = [ready.predictor(m, task.variant, task.threads) for m in models]
        query = self._query(predictors, task.batch_size)
        label = Label("infer", ready.deployment.cell, "" if task.model is None else task.model.job)
        with self.session.log.phase(Label("warm-up", label.cell, label.job)):
            warm_up = StopRule(self.lengths.warm_up_s, WARM_UP_QUERIES)
            single_stream(query, warm_up, self.clock)
        cards = None if task.variant.provider in ON_PROCESSOR else CardWatch()
        conditions = Conditions(self.session.processes, cards=cards)
        latencies: list[float] = []
        with self.session.log.phase(label):
            if task.scenario == SINGLE_STREAM:
                stop = StopRule(self.lengths.window_s, self.lengths.queries)
                latencies = single_stream(query, stop, self.clock)
                queries = len(latencies)
            else:
                queries = offline(
                    query, StopRule(self.lengths.window_s, FEWEST_BATCHES), self.clock
                )
            for model in models:
                self.session.log.work(evaluating(model.tasks, queries * task.batch_size))
        flags, segment = conditions.at_end().flags, self.session.log.segments[-1]
        (figures,) = self.session.costs([segment])
        return (
            subject(ready.deployment, task)
            | self._cost(figures, task, queries)
            | _latency(latencies)
            | {
                "queries": queries, "start_s": segment.start_s - zero_s,
                "total_loss": ready.total_loss(task.variant, task.model),
                "model_bytes": sum(ready.file_bytes(m, task.variant) for m in models),
                "peak_memory_bytes": peak.whole_bytes if peak else None,
                "peak_memory_models_bytes": peak.models_bytes if peak else None,
                "flags": "+".join(flags), "status": "done", "reason": "",
            }
        )  # fmt: skip

    def _query(self, predictors: Sequence[Predictor], batch_size: int) -> Callable[[int], object]:
        """Return what answers the query of a number; the images are laid out before the window."""
        batches = list(self._batches(batch_size))
        ready = [[p.prepare(batch) for batch in batches] for p in predictors]
        pairs = list(zip(predictors, ready, strict=True))

        def query(number: int) -> None:
            for predictor, own in pairs:
                predictor(own[number % len(own)])

        return query

    def _batches(self, size: int) -> list[NDArray[np.float32]]:
        """Return batches of the test images, begun anew where they end; as many as there are."""
        count = max(1, len(self._images) // size)
        rows = np.arange(count * size).reshape(count, size) % len(self._images)
        return [np.ascontiguousarray(self._images[own]) for own in rows]

    def _peak(self, ready: Ready, task: WindowTask, models: Sequence[Model]) -> Peak | None:
        variant = task.variant
        eager = variant.runtime == TORCH
        files = [m.weights if eager else ready.files[m.job, variant.precision] for m in models]
        probe = MemoryProbe(
            variant.runtime, variant.provider, variant.precision == "int8", self.target.threads,
            task.batch_size, self._images.shape[-1], tuple(str(f.absolute()) for f in files),
            self._model_name if eager else "",
            tuple((m.trained, m.tasks) for m in models) if eager else (),
        )  # fmt: skip
        if probe not in self._peaks:
            self._peaks[probe] = self.peak(probe)
        return self._peaks[probe]

    def _cost(self, figures: SegmentCost, task: WindowTask, queries: int) -> dict[str, Any]:
        images = queries * task.batch_size
        reading, seconds = figures.reading, figures.segment.time_s
        known = self._models_know(task)
        energy_j = reading.energy_j if reading else None
        return {
            "images": images, "time_s": seconds, "throughput_images_per_s": images / seconds,
            "time_model_per_image_s": per(figures.time_model_s if known else None, images),
            "energy_j": energy_j,
            "energy_error_j": reading.error_j if reading else None,
            "energy_model_j": figures.energy_model_j if known else None,
            "energy_per_image_j": per(energy_j, images),
            "energy_model_per_image_j": per(figures.energy_model_j if known else None, images),
            "energy_meter": reading.meter if reading else None,
            "energy_scope": reading.scope if reading else None,
            "energy_kind": reading.kind if reading else None,
            "energy_reason": reading.reason if reading else self.session.reason,
            "energy_flags": "+".join(reading.flags) if reading else "",
        }  # fmt: skip

    def _models_know(self, task: WindowTask) -> bool:
        """Say whether the device's models of time and power cover a measurement.

        On the device itself the time is real and processor seconds tell the load. For another
        device the time comes from its throughput in fp32 with all cores.
        """
        if task.variant.provider not in ON_PROCESSOR:
            return False
        if self.target.matches:
            return True
        return task.variant.precision == "fp32" and task.threads == self.target.threads


def subject(deployment: Deployment, task: WindowTask) -> dict[str, Any]:
    """Return the fields that say what a row is about."""
    models = deployment.answering if task.model is None else (task.model,)
    return {
        "cell": deployment.cell, "method": deployment.method, "seed": deployment.seed,
        "repeat": deployment.repeat, "job": "" if task.model is None else task.model.job,
        "tasks": deployment.tasks if task.model is None else task.model.tasks,
        "models": len(models), "runtime": task.variant.runtime,
        "precision": task.variant.precision, "provider": task.variant.provider,
        "scenario": task.scenario, "threads": task.threads, "batch_size": task.batch_size,
    }  # fmt: skip


def tasks_of(
    deployment: Deployment, variants: Sequence[Variant], threads: Sequence[int],
    batches: Sequence[int],
) -> list[WindowTask]:  # fmt: skip
    """Return the measurements of one cell.

    Complete answers in both scenarios with every number of threads, and offline every batch size;
    every single model, where there are several, in single-stream with the most threads.
    """
    found = []
    for variant in variants:
        for number in threads:
            found.append(WindowTask(variant, SINGLE_STREAM, number, 1))
            found += [WindowTask(variant, OFFLINE, number, size) for size in batches]
        if len(deployment.answering) > 1:
            found += [
                WindowTask(variant, SINGLE_STREAM, max(threads), 1, model)
                for model in deployment.answering
            ]
    return found


def per(total: float | None, images: int) -> float | None:
    """Return a total by images; None if there is no total."""
    return None if total is None else total / images


def _latency(latencies: Sequence[float]) -> dict[str, float | None]:
    percentiles = {f"latency_p{p}_s": percentile(latencies, p) for p in (50, 90, 95, 99)}
    mean = math.fsum(latencies) / len(latencies) if latencies else None
    return {"latency_mean_s": mean, **percentiles}
