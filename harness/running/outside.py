"""Say what of a run comes from outside this program, with its checksum."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from devices import extensions
from harness.config import RunConfig
from harness.core.clean_text import without_home
from harness.measurement.scopes import split_meters
from harness.running.target import Target


def from_outside(config: RunConfig, target: Target) -> dict[str, dict[str, str]]:
    """Return by `KIND NAME` where each thing from outside was found, and its SHA-256.

    Only what this run uses is named: its board, meters, workload, methods and data set.
    """
    found = {}
    for kind, name in _used(config, target):
        offered = extensions.accepted(kind, name)
        if offered is not None:
            found[f"{kind.removesuffix('s')} {name}"] = {
                "origin": without_home(offered.origin), "sha256": offered.sha256,
            }  # fmt: skip
    return found


def _used(config: RunConfig, target: Target) -> Iterator[tuple[str, str]]:
    yield "profiles", target.profile.name
    for text in split_meters(target.meter) if target.meter else ():
        yield "meters", text.partition(":")[0]
    yield "workloads", config.workload
    for spec in config.method_specs():
        yield "methods", spec.name
    data: Any = getattr(config, "data", "")
    yield "datasets", str(data).partition(":")[0]


def outside(config: RunConfig, target: Target) -> dict[str, Any]:
    """Return the entry `extensions` of manifest and identity; nothing if there is none."""
    found = from_outside(config, target)
    return {"extensions": found} if found else {}
