"""Say what inference is asked for, what of it can be measured here, and what the manifest tells."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from harness.core.shell_words import typed_line
from harness.evidence.reading import RunFiles
from harness.evidence.tables import Row
from harness.measurement.measuring import MeasuringSession
from harness.running.environment import environment, source_version
from harness.running.manifest import models_used
from harness.running.target import Target, describe_host
from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.data.store import Store
from harness.workloads.multitask.inference.measuring import TORCH, Lengths, Variant, WindowMeter
from harness.workloads.multitask.inference.providers import missing, usual
from harness.workloads.multitask.inference.settings import InferenceSettings, window_s
from models.multitask.network import Architecture
from models.multitask.onnx_export import FORMAT, OPSET, TOLERANCE
from models.multitask.onnx_quantise import RECIPE

MANIFEST_FORMAT = 1


@dataclass(frozen=True)
class Asked:
    """Hold what inference is done with: the run and its cells, its configuration, the host, data.

    `architecture` is that of the run's networks.
    """

    run: RunFiles
    cells: Sequence[Row]
    config: MultitaskConfig
    settings: InferenceSettings
    target: Target
    store: Store
    architecture: Architecture


@dataclass(frozen=True)
class Abilities:
    """Hold what can answer here, on how many threads, and why wanted providers cannot, by name."""

    variants: Sequence[Variant]
    missing: Mapping[str, str]
    threads: Sequence[int]


def find_abilities(asked: Asked) -> Abilities:
    """Return what can be measured of what is asked for."""
    import onnxruntime  # noqa: PLC0415

    settings, target = asked.settings, asked.target
    wanted = settings.providers or usual(target.profile.name, target.host.arch)
    absent = missing(wanted, onnxruntime.get_available_providers(), onnxruntime.__version__)
    found = [Variant(TORCH, "fp32", "cpu")] if TORCH in settings.runtimes else []
    if "onnxruntime" in settings.runtimes:
        found += [
            Variant("onnxruntime", precision, provider)
            for provider in wanted
            if provider not in absent
            for precision in settings.precisions
        ]
    threads = settings.threads or tuple(sorted({1, target.threads}))
    return Abilities(found, absent if "onnxruntime" in settings.runtimes else {}, threads)


def window_lengths(settings: InferenceSettings, session: MeasuringSession) -> Lengths:
    """Return how long to measure: long enough for the meter."""
    info = session.describe()
    meter_s = max(float(info["averaging_s"]), 1.0 / float(info["rate_hz"])) if info else 0.0
    length_s = window_s(settings.window_s, meter_s, quick=settings.quick)
    return Lengths(length_s, settings.queries, settings.warm_up_s)


def identity(asked: Asked, lengths: Lengths) -> dict[str, Any]:
    """Return the facts on which the figures depend, whatever is measured."""
    import onnxruntime  # noqa: PLC0415

    return {
        "device": asked.target.profile.name, "host": describe_host(asked.target.host),
        "meter": asked.target.meter or "none", "torch": str(torch.__version__),
        "onnxruntime": onnxruntime.__version__, "window_s": lengths.window_s,
        "queries": lengths.queries, "warm_up_s": lengths.warm_up_s,
        "calibration_images": asked.settings.calibration_images, "quick": asked.settings.quick,
        "source": source_version().get("commit", ""),
    }  # fmt: skip


def describe(
    asked: Asked,
    windows: WindowMeter,
    able: Abilities,
    told: Mapping[str, Any],
    starts: int,
) -> dict[str, Any]:
    """Return what the manifest says before the first window; `told` is its identity."""
    lengths, target, accountant = windows.lengths, asked.target, windows.session.accountant
    assert accountant is not None  # given where the session begins
    return {
        "format": MANIFEST_FORMAT,
        "run_id": asked.run.run_id,
        "created": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        "command": typed_line("harness.infer"),
        "quick": asked.settings.quick,
        "starts": starts,
        "identity": dict(told),
        "device": {"name": target.profile.name, "title": target.profile.title},
        **environment(target, packages=("onnx", "onnxruntime", "onnxscript")),
        "meter_reason": windows.session.reason,
        **models_used(accountant, target),
        "data": {"name": asked.store.name, "checksum": asked.store.checksum},
        "threads": list(able.threads),
        "batches": list(asked.settings.batches),
        "windows": vars(lengths),
        "variants": [vars(variant) for variant in able.variants],
        "missing_providers": dict(able.missing),
        "export": {"opset": OPSET, "form": FORMAT, "relative_tolerance": TOLERANCE},
        "quantisation": {"recipe": RECIPE, "images": asked.settings.calibration_images},
    }
