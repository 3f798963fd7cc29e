"""Say with what this process computes, so that devices and server can be compared."""

from __future__ import annotations

import platform

import numpy as np
import torch

from harness.core.schema import SCHEMA_VERSION
from harness.fleet.flower_lines import flower_version
from harness.running.environment import source_version


def versions() -> dict[str, object]:
    """Return the versions of what decides results."""
    return {
        "schema": SCHEMA_VERSION,
        "source": source_version().get("commit", ""),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": str(np.__version__),
        "flower": flower_version(),
    }
