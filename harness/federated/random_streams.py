"""Derive independent random streams from a seed and names, alike in every process."""

from __future__ import annotations

import hashlib

import numpy as np


def random_stream(seed: int, *names: object) -> np.random.Generator:
    """Return a generator that depends on the seed and the names alone, in any process."""
    text = "/".join(map(str, (seed, *names)))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest(), "big"))
