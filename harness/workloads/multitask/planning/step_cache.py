"""Keep what a calibration found, by host, network and batch, for later runs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from harness.core.clean_text import without_home
from harness.running.accelerator import GPU
from harness.running.target import Target
from harness.workloads.multitask.config import MultitaskConfig
from models.execution import parse_execution

VERSION = 1
"""Of the way of calibrating: a choice kept by another version is not taken."""


def facts_of(config: MultitaskConfig, target: Target) -> dict[str, Any]:
    """Return that on which a choice depends; with other facts it is measured anew."""
    host = target.host
    return {
        "arch": host.arch,
        "board": host.model,
        "cpu_model": host.cpu_model,
        "cores": host.cores_usable,
        "torch": str(torch.__version__),
        "threads": f"{target.threads} asked" if config.threads else f"up to {target.threads}",
        "model": config.model,
        "tasks": config.tasks,
        "size_px": config.size,
        "batch_size": config.batch_size,
        **(gpu_facts() if target.accelerator.kind_here == GPU else {}),
    }


def gpu_facts() -> dict[str, Any]:
    """Return what of a GPU its choice depends on: card and releases of its libraries."""
    return {
        "gpu": torch.cuda.get_device_name(),
        "cuda": str(torch.version.cuda),
        "cudnn": str(torch.backends.cudnn.version()),  # type: ignore[no-untyped-call]
    }


def file_of(config: MultitaskConfig, target: Target) -> Path:
    """Return the file that keeps the choice of a host, network and batch."""
    text = json.dumps(facts_of(config, target), sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    return config.cache_folder / "steps" / f"{name}.json"


def read_kept(config: MultitaskConfig, target: Target) -> tuple[dict[str, Any], str] | None:
    """Return what was found before and the file that tells; None if it is to be measured anew."""
    path = file_of(config, target)
    try:
        calibrated: dict[str, Any] = json.loads(path.read_bytes())
        if calibrated["version"] != VERSION or calibrated["facts"] != facts_of(config, target):
            return None
        parse_execution(str(calibrated["execution"]))
        int(calibrated["threads"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None  # what cannot be read is measured anew
    return calibrated, without_home(str(path))
