"""Start modules of this program in processes of their own, whatever lies in the current folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""Folder that the program's packages lie in."""

START = (
    "import runpy, sys; sys.path[:] = [p for p in sys.path if p];"
    " runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)
"""What `python -m` does, but without the current folder, which Python 3.10 would look in first."""


def module_words(module: str) -> list[str]:
    """Return the words that start a module; its arguments follow them."""
    return [sys.executable, "-c", START, module]


def own_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return an environment in which the packages of this program are found before others."""
    paths = [str(ROOT), *filter(None, [environment.get("PYTHONPATH")])]
    return {**environment, "PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}
