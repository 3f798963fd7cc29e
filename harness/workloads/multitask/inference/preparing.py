"""Make a cell's models ready: load, export, quantise, judge; what is wrong stops this cell only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import InferenceFailedError
from harness.workloads.multitask.data.store import Store
from harness.workloads.multitask.inference.accuracy import (
    Predictor,
    Verdict,
    check_losses,
    judge_predictors,
)
from harness.workloads.multitask.inference.deployment import Deployment, Model
from harness.workloads.multitask.inference.exports import Exports, Made
from harness.workloads.multitask.inference.measuring import TORCH, Ready, Variant
from harness.workloads.multitask.inference.networks import TorchModel, load_network
from harness.workloads.multitask.inference.placement import Placement
from models.multitask.losses import TaskLoss
from models.multitask.measures import BY_NAME
from models.multitask.network import Architecture, MultiTaskNet
from models.multitask.onnx_export import (
    OnnxExportError,
    allowed_error,
    export_onnx,
    graph_nodes,
    graph_shape,
)
from models.multitask.onnx_quantise import quantise


@dataclass(frozen=True)
class Workshop:
    """Hold what making models ready needs, alike for all cells of a run."""

    architecture: Architecture
    loss: TaskLoss
    source: Store
    exports: Exports
    calibration: Sequence[NDArray[np.float32]]
    threads: int
    software: str


def make_ready(shop: Workshop, deployment: Deployment, variants: Sequence[Variant]) -> Ready:
    """Return a cell's models, exported and judged.

    Raises:
        DamagedRunError: if weights or exports are not what they should be.
        InferenceFailedError: if a model cannot be exported, or its graph answers otherwise than
            torch.
    """
    nets: dict[str, MultiTaskNet] = {}
    graphs: dict[tuple[str, str], bytes] = {}
    files: dict[tuple[str, str], Path] = {}
    verdicts: dict[tuple[str, str], Verdict] = {}
    tried = _Tried()
    failed = tried.failed
    precisions = dict.fromkeys(v.precision for v in variants if v.runtime != TORCH)
    for model in deployment.models:
        net = load_network(shop.architecture, model.trained, model.weights, shop.loss)
        nets[model.job] = net
        for precision in dict.fromkeys(("fp32", *precisions)) if precisions else ():
            graphs[model.job, precision] = _graph(
                shop, deployment, model, precision, net, graphs.get((model.job, "fp32"))
            )
            files[model.job, precision] = shop.exports.path(deployment, model, precision)
        ready = Ready(deployment, nets, graphs, files, verdicts)
        judged = _judge(shop, ready, model, variants, tried)
        _note_placements(shop, ready, model, tried)
        for name, verdict in judged.items():
            verdicts[model.job, name] = verdict
        if graphs and PARITY.name in failed:
            raise InferenceFailedError(f"{deployment.cell}, {model.job}: {failed[PARITY.name]}")
        _refuse(shop, deployment, model, judged)
    placements = {(job, variant.name): x for (job, variant), x in tried.placements.items()}
    return Ready(deployment, nets, graphs, files, verdicts, failed, placements)


@dataclass(frozen=True)
class _Tried:
    """Collect why variants cannot be used, and who runs the nodes of those that can."""

    failed: dict[str, str] = field(default_factory=dict)
    placements: dict[tuple[str, Variant], Placement] = field(default_factory=dict)


def _graph(
    shop: Workshop, deployment: Deployment, model: Model, precision: str, net: MultiTaskNet,
    single: bytes | None,
) -> bytes:  # fmt: skip
    """Return a model's graph; `single` is that in fp32, from which the int8 one is made."""
    size = shop.source.size_px

    def make() -> Made:
        facts = {
            "method": deployment.method, "cell": deployment.cell, "job": model.job,
            "architecture": shop.architecture.name, "seed": str(deployment.seed),
        }  # fmt: skip
        try:
            content = (
                export_onnx(net, model.tasks, size, facts)
                if single is None
                else quantise(single, shop.calibration)
            )
            shape = graph_shape(content)
        except OnnxExportError as error:
            raise InferenceFailedError(f"{deployment.cell}, {model.job}: {error}") from error
        return Made(content, {
            "opset": shape.opset, "inputs": shape.inputs, "outputs": shape.outputs,
            "software": shop.software,
        })  # fmt: skip

    return shop.exports.get(deployment, model, precision, make)


REFERENCE = Variant(TORCH, "fp32", "cpu")
PARITY = Variant("onnxruntime", "fp32", "cpu")
"""What every export is compared on, whatever else measures it."""


def _judge(
    shop: Workshop, ready: Ready, model: Model, variants: Sequence[Variant], tried: _Tried
) -> dict[str, Verdict]:
    """Return the verdict on every variant of a model that can be loaded; note why others cannot."""
    failed = tried.failed
    wanted = [REFERENCE, *([PARITY] if ready.graphs else []), *variants]
    predictors: dict[str, Predictor] = {}
    for variant in dict.fromkeys(wanted):
        if variant.name in failed:
            continue
        try:
            predictors[variant.name] = _answering(shop, ready, model, variant, tried)
        except InferenceFailedError as error:
            failed[variant.name] = error.message
    reference = TorchModel(ready.nets[model.job], model.tasks)
    return judge_predictors(predictors, reference, model.tasks, shop.source, shop.loss)


def _answering(
    shop: Workshop, ready: Ready, model: Model, variant: Variant, tried: _Tried
) -> Predictor:
    """Return what answers after one empty image, so that a provider that cannot is found alone.

    Raises:
        InferenceFailedError: if a provider cannot run the graph, or has taken nothing of it.
    """
    size = shop.source.size_px
    empty = np.zeros((1, 3, size, size), np.float32)
    if variant.runtime == TORCH:
        predictor = ready.predictor(model, variant, shop.threads)
        predictor(predictor.prepare(empty))
        return predictor
    with TemporaryDirectory(prefix="placement-") as folder:
        watched = ready.onnx(model, variant, shop.threads, Path(folder))
        watched(watched.prepare(empty))
        found = watched.placement(graph_nodes(ready.graphs[model.job, variant.precision]))
    tried.placements[model.job, variant] = found
    if found.took_nothing:
        raise InferenceFailedError(
            f"{variant.name}: {found.asked} took none of the {sum(found.nodes.values())} nodes of"
            f" {model.job}, so that another provider's figures would stand under its name"
        )
    return watched


def _note_placements(shop: Workshop, ready: Ready, model: Model, tried: _Tried) -> None:
    """Write beside every graph which of its nodes each provider has, and which it has not."""
    for (job, variant), found in tried.placements.items():
        if job == model.job:
            told = shop.exports.facts(ready.deployment, model, variant.precision)
            every = {**(told.get("placement") or {}), variant.provider: found.as_dict()}
            shop.exports.note(ready.deployment, model, variant.precision, placement=every)


def _refuse(
    shop: Workshop, deployment: Deployment, model: Model, judged: Mapping[str, Verdict]
) -> None:
    """Refuse weights that the run did not test, and a graph that answers otherwise than torch."""
    check_losses(deployment, model, judged[REFERENCE.name])
    verdict = judged.get(PARITY.name)
    if verdict is None:
        return
    parity: dict[str, Any] = {
        task: {"max_abs_error": error, "allowed": allowed_error(verdict.largest[task])}
        for task, error in verdict.errors.items()
    }
    excess = verdict.excess()
    if excess:
        raise InferenceFailedError(
            f"{deployment.cell}, {model.job}: the exported graph answers otherwise than torch"
            f" (largest absolute error of task {'; '.join(excess)})",
            "Report this with the versions of torch, onnx and onnxruntime.",
        )
    shop.exports.note(deployment, model, "fp32", parity=parity)


def accuracy_rows(run_id: str, ready: Ready, variants: Sequence[Variant]) -> list[dict[str, Any]]:
    """Return rows of inference/metrics.csv."""
    judged = [
        (variant, model, ready.verdicts[model.job, variant.name])
        for variant in variants
        for model in ready.deployment.models
        if (model.job, variant.name) in ready.verdicts
    ]
    return [
        {
            "run_id": run_id, "cell": ready.deployment.cell, "job": model.job, "task": task,
            "runtime": variant.runtime, "precision": variant.precision,
            "provider": variant.provider, "metric": name, "value": value,
            "unit": BY_NAME[name].unit if name in BY_NAME else "",
        }
        for variant, model, verdict in judged
        for task in model.tasks
        for name, value in _values(verdict, task).items()
    ]  # fmt: skip


def _values(verdict: Verdict, task: str) -> dict[str, float]:
    return {
        "test_loss": verdict.losses[task],
        **verdict.measures[task],
        "max_abs_error": verdict.errors[task],
    }
