"""Carry out nothing that a run folder names and the person typing did not.

A run folder may be somebody else's. A meter with options may send what a file holds to an address,
a cache is written to, a data set may lie anywhere.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.core.errors import ConfigChangedError

HARMLESS = "simulated"
"""A meter whose options touch nothing."""

REPLACED = frozenset(("out", "methods", "workload", "device"))
"""What is looked up in lists of this program, or set anew by whoever types."""


def refuse_foreign(
    run: Path,
    own: Mapping[str, Any],
    typed: Mapping[str, object],
    owns_cache: Callable[[Path], bool],
    usual: Mapping[str, object] | None = None,
) -> None:
    """Let a manifest name no address, file, folder or program that whoever types did not name.

    Every option of the configuration is looked at, of whatever workload: text that may be a path or
    an address, or that names something in the folder at hand, has to be typed.

    Args:
        run: the run folder, for words.
        own: what its configuration says.
        typed: the same options as typed; None for what was left out.
        owns_cache: says whether a folder is one of this program's caches.
        usual: what the options are by default, which needs no typing.

    Raises:
        ConfigChangedError: naming what is to be typed.
    """
    missing = [
        f"--{key.replace('_', '-')} {shlex.quote(_text(value))}"
        for key, value in own.items()
        if key not in REPLACED and typed.get(key) is None and value != (usual or {}).get(key)
        and _reaches_out(key, value, owns_cache)
    ]  # fmt: skip
    if missing:
        raise ConfigChangedError(
            f"{run} names addresses or folders, and a run folder may be somebody else's",
            f"If they are yours, type them too: {' '.join(missing)}",
        )


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _reaches_out(key: str, value: object, owns_cache: Callable[[Path], bool]) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_reaches_out(key, item, owns_cache) for item in value)
    if not isinstance(value, str) or not value:
        return False
    if key == "meter":
        return any(map(_is_reaching_meter, value.split("+")))
    if key == "cache":
        return not owns_cache(Path(value))
    return any(sign in value for sign in "/\\:~") or _is_here(value)


def _is_here(name: str) -> bool:
    """Say whether a name is that of something in the folder at hand."""
    try:
        return os.path.lexists(name)
    except ValueError:
        return True


def _is_reaching_meter(meter: str) -> bool:
    name, options, _ = meter.strip().partition(":")
    return bool(options) and name != HARMLESS
