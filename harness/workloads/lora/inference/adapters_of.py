"""Read what a cell has trained, for the base that it was trained on and no other."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from harness.core.errors import DamagedRunError, DataError
from harness.core.guarded_folder import RESTORE
from harness.workloads.lora.aggregation.adapters import (
    Adapter,
    LowRank,
    Shapes,
    dense,
    from_tensors,
)
from harness.workloads.lora.aggregation.redistribution import decomposed
from harness.workloads.lora.rules import Fitting


@dataclass(frozen=True)
class TrainedAdapters:
    """Hold what a cell has trained: tensors by name, and what its file says of them."""

    tensors: Mapping[str, Tensor]
    about: Mapping[str, Any]

    @property
    def scale(self) -> float:
        """Return how much adapters count."""
        return float(self.about["scale"])


def read_trained(path: Path, base: str, shapes: Shapes) -> TrainedAdapters:
    """Read a file of a run, and refuse one of another base.

    Raises:
        DamagedRunError: if it is missing or no safetensors of this program.
        DataError: if it was trained on another base, or its layers are not those of the model.
    """
    try:
        content = path.read_bytes()
        tensors = safetensors.torch.load(content)
        (length,) = struct.unpack("<Q", content[:8])
        about = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["about"])
        _ = about["base"], float(about["scale"])
    except OSError as error:
        raise DamagedRunError(f"{path}: cannot be read: {error.strerror}", RESTORE) from None
    except (
        safetensors.SafetensorError, KeyError, TypeError, ValueError, RecursionError, struct.error,
    ) as error:  # fmt: skip
        raise DamagedRunError(f"{path}: holds no adapters: {error}", RESTORE) from None
    if about["base"] != base:
        raise DataError(
            f"{path} was trained on the base {str(about['base'])[:12]}, this one is {base[:12]}",
            "Name the model that the run was trained with.",
        )
    _check(path, tensors, shapes)
    return TrainedAdapters(tensors, about)


def _check(path: Path, tensors: Mapping[str, Tensor], shapes: Shapes) -> None:
    for name, tensor in tensors.items():
        kind, _, layer = name.partition("/")
        if kind == "weight":
            continue
        layer_shape = shapes.get(layer)
        fits = layer_shape is not None and {
            "a": tensor.ndim == 2 and tensor.shape[1] == layer_shape[1],
            "b": tensor.ndim == 2 and tensor.shape[0] == layer_shape[0],
            "delta": tuple(tensor.shape) == layer_shape,
        }.get(kind.rpartition(".")[2], False)
        if not fits or not bool(torch.isfinite(tensor).all()):
            raise DataError(
                f"{path}: {name} of {tuple(tensor.shape)} fits no layer of this model",
                "Name the model that the run was trained with.",
            )


def merged(trained: TrainedAdapters, client: int | None = None) -> Fitting:
    """Return what puts the update into the base's own weights; of `local` a client's."""
    weights = {n[7:]: t for n, t in trained.tensors.items() if n.startswith("weight/")}
    if weights:
        return Fitting(weights=weights)
    adapter = _adapter(trained, client)
    stack = {name: LowRank(trained.scale * a, b) for name, (a, b) in adapter.items()}
    return Fitting(dense(trained.tensors), stack)


def _adapter(trained: TrainedAdapters, client: int | None) -> Adapter:
    return from_tensors(trained.tensors, "" if client is None else f"own.{client}.")


def worn(
    trained: TrainedAdapters, rank: int, client: int | None = None
) -> tuple[Fitting, float] | None:
    """Return the base with one adapter, and the share of the update that the adapter lacks.

    A dense update is given the nearest adapter of the rank. None if all weights were trained.
    """
    deltas = dense(trained.tensors)
    if not deltas:
        adapter = _adapter(trained, client)
        return (Fitting(worn=adapter), 0.0) if adapter else None
    common = from_tensors(trained.tensors)
    whole = {
        name: delta + trained.scale * (common[name].b @ common[name].a) if name in common else delta
        for name, delta in deltas.items()
    }
    best = decomposed(whole, rank, trained.scale)
    missed = sum(
        float((whole[n] - trained.scale * (b @ a)).double().square().sum())
        for n, (a, b) in best.items()
    )
    size = sum(float(tensor.double().square().sum()) for tensor in whole.values())
    return Fitting(worn=best), math.sqrt(missed / size) if size else 0.0
