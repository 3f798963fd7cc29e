"""Carry out nothing that a run folder names and the person typing did not.

A run folder may be somebody else's. A meter with options may send what a file holds to an address,
a cache is written to, a data set may lie anywhere.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.core.errors import ConfigChangedError

HARMLESS = "simulated"
"""A meter whose options touch nothing."""


def refuse_foreign(
    run: Path,
    own: Mapping[str, Any],
    typed: Mapping[str, object],
    owns_cache: Callable[[Path], bool],
) -> None:
    """Let a manifest name no address, file or folder that whoever types did not name.

    Args:
        run: the run folder, for words.
        own: what its configuration says of `meter`, `cache` and `data`.
        typed: the same options as typed; None for what was left out.
        owns_cache: says whether a folder is one of this program's caches.

    Raises:
        ConfigChangedError: naming what is to be typed.
    """
    meter, cache, data = (str(own.get(key) or "") for key in ("meter", "cache", "data"))
    missing = []
    if typed.get("meter") is None and any(map(_reaches_out, meter.split("+"))):
        missing.append(f"--meter {shlex.quote(meter)}")
    if cache and typed.get("cache") is None and not owns_cache(Path(cache)):
        missing.append(f"--cache {shlex.quote(cache)}")
    if ("/" in data or ":" in data) and typed.get("data") is None:
        missing.append(f"--data {shlex.quote(data)}")
    if missing:
        raise ConfigChangedError(
            f"{run} names addresses or folders, and a run folder may be somebody else's",
            f"If they are yours, type them too: {' '.join(missing)}",
        )


def _reaches_out(meter: str) -> bool:
    name, options, _ = meter.strip().partition(":")
    return bool(options) and name != HARMLESS
