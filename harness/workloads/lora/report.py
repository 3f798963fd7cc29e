"""Say what a cell of fine-tuning came to: losses, bytes, tokens, ranks, adapters."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import safetensors.torch
import torch

from harness.federated.job import Checkpoint
from harness.records.cells import CellReport, CellResult
from harness.records.values import Value
from harness.workloads.lora.aggregation.adapters import (
    dense,
    from_tensors,
    numbers,
)
from harness.workloads.lora.exact_rules import STACK
from harness.workloads.lora.job import UNIT, FineTuning, Tuned
from harness.workloads.lora.judging import TEXT
from harness.workloads.lora.methods import LoraSpec
from harness.workloads.lora.report_units import UNITS
from harness.workloads.lora.training import TOKENS

if TYPE_CHECKING:
    from harness.workloads.lora.study import LoraStudy


def cell_report(study: LoraStudy, result: CellResult) -> CellReport:
    """Return columns, values and files of a cell."""
    config = study.config
    columns: dict[str, object] = {
        "rounds": config.rounds, "clients": config.clients, "clients_per_round": config.per_round,
        "batch_size": config.batch_size, "step": study.timing.precision,
    }  # fmt: skip
    common = CellReport(columns=columns, before=_base(study), units=UNITS)
    if result.status != "done":
        return common
    tuned = result.served
    assert isinstance(tuned, Tuned)
    loss = tuned.judged["test_loss"][UNIT]
    columns |= {
        "upload_bytes": tuned.traffic.upload_bytes, "download_bytes": tuned.traffic.download_bytes,
    }  # fmt: skip
    exact = tuned.judged["exact_match"][UNIT]
    return replace(
        common, objective=loss, columns=columns,
        values=[*_adapters(study, tuned), *_tokens(result, tuned.job), *_forgotten(study, tuned)],
        binaries={f"checkpoints/{result.cell.name}/{tuned.job.name}.safetensors":
                  saved(tuned.weights, study, result)},
        standing={"test_loss": loss}, summary=f"loss {loss:.3f}, exact match {exact:.3f}",
    )  # fmt: skip


def _base(study: LoraStudy) -> list[Value]:
    return [
        Value(0, "", what, "evaluate", f"base_{name}", value)
        for name in ("test_loss", "exact_match")
        for what, value in study.base[name].items()
    ]


def _adapters(study: LoraStudy, tuned: Tuned) -> list[Value]:
    """Return rank, trained numbers and bytes of every client, and the rank of the last update."""
    job, shapes = tuned.job, study.opened.model.shapes
    kept = tuned.weights.tensors.get("ranks")
    ranks = study.ranks if kept is None else [int(rank) for rank in kept]
    only_b, whole = job.method == "ffa-lora", job.method == "full"
    base = study.opened.model.base_parameters

    def value(task: str, name: str, number: float) -> Value:
        return Value(job.last_round, job.name, task, "evaluate", name, float(number))

    found = []
    for client, rank in enumerate(ranks):
        trained = base if whole else numbers(shapes, rank, only_b=only_b)
        who = f"client {client}"
        found += [
            value(who, "trainable_parameters", trained), value(who, "adapter_bytes", 4 * trained)
        ]  # fmt: skip
        if not whole:
            found.append(value(who, "rank", rank))
    stack = from_tensors(tuned.weights.tensors, STACK)
    worn = from_tensors(tuned.weights.tensors)
    joined = stack or worn
    if joined:
        rank = max(factors.b.shape[1] for factors in joined.values())
        found.append(value("", "update_rank", rank))
    found.append(value("", "base_download_bytes", 4 * base * len(ranks)))
    return found


def _tokens(result: CellResult, job: FineTuning) -> list[Value]:
    """Return tokens trained, those that only fill batches, and tokens a second of training."""
    training = [f.segment for f in result.segment_costs if f.segment.label.phase == "train"]
    trained = sum(segment.work.passes(TOKENS) for segment in training)
    padded = sum(segment.work.passes("padding") for segment in training)
    seconds = sum(segment.time_s for segment in training)
    found: list[tuple[str, float]] = [("tokens_trained", trained), ("tokens_padded", padded)]
    if seconds > 0.0:
        found.append(("tokens_per_s", trained / seconds))
    return [
        Value(job.last_round, job.name, "", "train", name, float(number)) for name, number in found
    ]


def _forgotten(study: LoraStudy, tuned: Tuned) -> list[Value]:
    """Return by how much the loss on what the base knew has grown; below 0 it has learnt."""
    before, after = study.base["test_loss"][TEXT], tuned.judged["test_loss"][TEXT]
    job = tuned.job
    return [Value(job.last_round, job.name, TEXT, "evaluate", "forgotten", after - before)]


def saved(weights: Checkpoint, study: LoraStudy, result: CellResult) -> bytes:
    """Return what serves as safetensors: a common adapter and dense updates, or all weights.

    Its metadata say of which base it is, so that no other wears it.
    """
    spec = result.cell.spec
    assert isinstance(spec, LoraSpec)
    tensors = dict(weights.tensors)
    stack = from_tensors(weights.tensors, STACK)
    kept = {
        name: tensor.contiguous()
        for name, tensor in tensors.items()
        if not name.startswith(STACK) and name not in ("sizes", "ranks")
    }
    updates = dense(weights.tensors)
    for name, (a, b) in stack.items():
        old = updates.get(name)
        kept[f"delta/{name}"] = torch.addmm(old, b, a) if old is not None else b @ a
    if spec.name == "flexlora":  # the dense sum serves; the factors are what clients are sent
        kept = {name: tensor for name, tensor in kept.items() if name.startswith("delta/")}
    if spec.name == "ffa-lora":
        rule = study.setting().rule(spec.name, result.cell.seed)
        worn = rule.served(weights)[0].worn
        kept |= {f"a/{name}": factors.a.contiguous() for name, factors in worn.items()}
    about = {
        "base": study.opened.checksum, "method": spec.text, "scale": study.config.scale,
        "ranks": list(study.ranks),
    }  # fmt: skip
    # one entry, as safetensors do not order several: the same run gives the same bytes
    return safetensors.torch.save(kept, metadata={"about": json.dumps(about, sort_keys=True)})
