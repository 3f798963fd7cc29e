"""Say which run a configuration makes on this host, so that two are never mixed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.config import RunConfig
from harness.core.schema import SCHEMA_VERSION
from harness.running.environment import power_mode, source_version
from harness.running.outside import outside
from harness.running.target import Target, describe_host


def identity(
    config: RunConfig, target: Target, facts: Mapping[str, Any], root: Path = Path("/")
) -> dict[str, Any]:
    """Return the facts on which a run's numbers depend: with others it is another run."""
    return {**known_before_data(config, target, root), **facts}


def known_before_data(config: RunConfig, target: Target, root: Path = Path("/")) -> dict[str, Any]:
    """Return the facts of `identity` but for the data."""
    return {
        "config": config.digest(),
        "schema": SCHEMA_VERSION,
        "device": target.profile.name,
        "host": describe_host(target.host),
        "threads": target.threads,
        "power mode": power_mode(root),
        "meter": target.meter or "none",
        "source": source_version().get("commit", ""),
        **outside(config, target),  # with another file of a board or method it is another run
    }
