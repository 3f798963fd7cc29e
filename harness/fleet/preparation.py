"""Judge what a node says of the run that it has prepared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.core.errors import RefusedError
from harness.fleet.strict import read_facts, read_value

MOST_WORDS = 4
"""Lines that a device may have shown of how it trains."""


def read_prepared(header: Mapping[str, Any], most_w: float) -> dict[str, Any]:
    """Return what came of preparing a run: checksum and images of the data, power while idle.

    Beside that stands what the device has settled by its own memory, in `own_way` and in words.

    Raises:
        RefusedError: if it is not as a worker writes it.
    """
    idle_w = read_value(float | None, header.get("idle_w"), "the idle power")
    own_way = read_facts(header.get("own_way", {}), "its own way")
    if not isinstance(own_way, dict):
        raise RefusedError("its own way is no object")
    words = read_value(tuple[str, ...], header.get("own_words", []), "its words")
    return {
        "data": read_value(str | None, header.get("data"), "the checksum"),
        "images": read_value(Mapping[str, int], header.get("images"), "the number of images"),
        "idle_w": idle_w if idle_w is not None and 0.0 <= idle_w <= most_w else None,
        "own_way": own_way,
        "own_words": list(words[:MOST_WORDS]),
    }
