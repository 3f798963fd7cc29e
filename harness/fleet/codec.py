"""Turn requests, results and readings into plain values for the wire, and back to the last bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from devices.energy import Reading
from harness.core.errors import RefusedError
from harness.federated.trainers import RoundRequest, Update
from harness.workloads.on_devices import WireCodec

Plain = Any

MOST_VALUE = 1e18
"""Largest weight, loss or affinity that is taken: in single precision its square is still one."""


def encode_request(request: RoundRequest, wire: WireCodec) -> dict[str, Plain]:
    """Return a request without its clients, which are asked one by one."""
    return {
        "job": request.job,
        "units": list(request.units),
        "round": request.round_index,
        "seed": request.seed,
        "settings": wire.settings(request.settings),
    }


def decode_request(plain: Mapping[str, Plain], client: int, wire: WireCodec) -> RoundRequest:
    """Return the request that `encode_request` wrote, for one client.

    Raises:
        KeyError, TypeError, ValueError: if it is no request.
    """
    units = tuple(str(unit) for unit in plain["units"])
    settings = wire.read_settings(plain["settings"])
    return RoundRequest(
        str(plain["job"]), units, int(plain["round"]), [client], int(plain["seed"]), settings
    )


@dataclass(frozen=True)
class ClientReport:
    """Hold what a device says of an update beside its tensors."""

    losses: Mapping[str, float]
    measured: Any = None


def encode_result(update: Update, wire: WireCodec) -> dict[str, Plain]:
    """Return losses and own measurements; a loss that is no finite number stands as null."""
    return {
        "losses": {t: x if math.isfinite(x) else None for t, x in update.losses.items()},
        "measured": wire.measured(update.measured),
    }


def decode_result(
    plain: Mapping[str, Plain], request: RoundRequest, client: int, wire: WireCodec
) -> ClientReport:
    """Return the report that `encode_result` wrote.

    Raises:
        RefusedError: if losses or measurements are not what was asked for.
    """
    losses = plain.get("losses")
    if not isinstance(losses, dict) or list(losses) != list(request.units):
        raise RefusedError(f"the losses are not of the tasks {''.join(request.units)}")
    if not all(_is_number(x) for x in losses.values()):
        raise RefusedError("a loss is not a finite number")
    return ClientReport(losses, wire.read_measured(plain.get("measured"), request, client))


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
