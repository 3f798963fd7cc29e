"""Turn requests, results and readings into plain values for the wire, and back to the last bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from devices.energy import Reading
from harness.core.errors import RefusedError
from harness.federated.trainers import RoundRequest
from harness.workloads.multitask.affinity.matrix import ClientAffinity
from harness.workloads.multitask.affinity.rule import AffinityRule
from harness.workloads.multitask.protocol import PROTOCOLS
from harness.workloads.multitask.training.client import ClientResult, LocalTraining
from harness.workloads.multitask.training.local_rule import (
    Balanced,
    GradNorm,
    LocalRule,
    ProjectedGradients,
    Proximal,
)
from models.execution import Execution

Plain = Any

MOST_VALUE = 1e18
"""Largest weight, loss or affinity that is taken: in single precision its square is still one."""

_RULES: dict[str, type[LocalRule]] = {
    rule.__name__: rule for rule in (Balanced, GradNorm, ProjectedGradients, Proximal)
}


def encode_request(request: RoundRequest) -> dict[str, Plain]:
    """Return a request without its clients, which are asked one by one."""
    training = request.training
    own = {f.name: getattr(training, f.name) for f in fields(training)}
    rule = training.rule
    return {
        "job": request.job,
        "tasks": request.tasks,
        "round": request.round_index,
        "learning_rate": request.learning_rate,
        "measuring": request.measuring,
        "seed": request.seed,
        "training": {
            **own,
            "rule": None if rule is None else [type(rule).__name__, asdict(rule)],
            "affinity": asdict(training.affinity),
            "protocol": training.protocol.name,
            "execution": asdict(training.execution),
        },
    }


def decode_request(plain: Mapping[str, Plain], client: int) -> RoundRequest:
    """Return the request that `encode_request` wrote, for one client.

    Raises:
        KeyError, TypeError, ValueError: if it is no request.
    """
    told = dict(plain["training"])
    rule = told["rule"]
    training = LocalTraining(
        **{
            **told,
            "rule": None if rule is None else _RULES[rule[0]](**rule[1]),
            "affinity": AffinityRule(**told["affinity"]),
            "protocol": PROTOCOLS[told["protocol"]],
            "execution": Execution(**told["execution"]),
        }
    )
    return RoundRequest(
        str(plain["job"]), str(plain["tasks"]), int(plain["round"]), [client], training,
        float(plain["learning_rate"]), bool(plain["measuring"]), int(plain["seed"]),
    )  # fmt: skip


def encode_result(result: ClientResult) -> dict[str, Plain]:
    """Return losses and affinity; a loss that is no finite number stands as null."""
    measured = result.affinity
    return {
        "losses": {t: x if math.isfinite(x) else None for t, x in result.losses.items()},
        "affinity": None
        if measured is None
        else {
            "mean": [
                [float(x) if math.isfinite(x) else None for x in row] for row in measured.mean
            ],
            "count": measured.count,
        },
    }


def decode_result(plain: Mapping[str, Plain], request: RoundRequest, client: int) -> ClientResult:
    """Return the result that `encode_result` wrote.

    Raises:
        RefusedError: if losses or affinity are not numbers of this job's tasks.
    """
    losses = plain.get("losses")
    if not isinstance(losses, dict) or list(losses) != list(request.tasks):
        raise RefusedError(f"the losses are not of the tasks {request.tasks}")
    if not all(_is_number(x) for x in losses.values()):
        raise RefusedError("a loss is not a finite number")
    measured = plain.get("affinity")
    if not request.measuring:
        return ClientResult(losses, None)
    if not isinstance(measured, dict):
        raise RefusedError("the affinity is missing")
    return ClientResult(losses, _affinity(measured, len(request.tasks), client))


def _affinity(plain: Mapping[str, Plain], tasks: int, client: int) -> ClientAffinity:
    rows = plain.get("mean")
    square = (
        isinstance(rows, list)
        and [len(row) if isinstance(row, list) else 0 for row in rows] == [tasks] * tasks
    )
    if not square or not all(_is_number(x) for row in rows for x in row):  # type: ignore[union-attr]
        raise RefusedError(f"the affinity is no {tasks}×{tasks} matrix of finite numbers")
    count = plain.get("count")
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count < 1 << 53:
        raise RefusedError("the affinity does not say how many look-aheads it is of")
    return ClientAffinity(client, np.array(rows, dtype=np.float64), count)


def _is_number(value: object) -> bool:
    """Say whether a value is a number that can be reckoned with: NaN compares with nothing."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and -MOST_VALUE <= value <= MOST_VALUE
    )


def encode_tensors(tensors: Mapping[str, Tensor]) -> bytes:
    """Return tensors as safetensors, the same bytes for the same values."""
    return safetensors.torch.save({k: v.detach().contiguous() for k, v in tensors.items()})


def decode_tensors(content: bytes, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors of the names, shapes and types of `like`, all finite.

    Raises:
        RefusedError: saying which tensor is wrong, and how.
    """
    try:
        found = safetensors.torch.load(content)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise RefusedError(f"the weights are no safetensors: {error}") from None
    names = sorted(set(found) ^ set(like))
    if names:
        raise RefusedError(f"the weights differ in their names: {', '.join(names[:3])}")
    for name, tensor in found.items():
        wanted = like[name]
        if tensor.shape != wanted.shape or tensor.dtype != wanted.dtype:
            raise RefusedError(
                f"{name} is {tensor.dtype} {tuple(tensor.shape)},"
                f" not {wanted.dtype} {tuple(wanted.shape)}"
            )
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise RefusedError(f"{name} holds a value that is not finite")
        if tensor.numel() and tensor.is_floating_point() and tensor.abs().max() > MOST_VALUE:
            raise RefusedError(f"{name} holds a value beyond {MOST_VALUE:g}")
    return found


def encode_reading(reading: Reading) -> dict[str, Plain]:
    """Return a reading."""
    return {**asdict(reading), "flags": list(reading.flags)}
