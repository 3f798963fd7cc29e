"""Derive independent random streams from a seed and names, alike in every process."""

from __future__ import annotations

import hashlib

import numpy as np


def random_stream(seed: int, *names: object) -> np.random.Generator:
    """Return a generator that depends on the seed and the names alone, in any process."""
    text = "/".join(map(str, (seed, *names)))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest(), "big"))


def child_stream(stream: np.random.Generator) -> np.random.Generator:
    """Return a stream of its own that leaves its parent's numbers as they are.

    As `Generator.spawn(1)[0]`, which came with NumPy 1.25; boards have older ones.
    """
    bits = stream.bit_generator
    seeds = getattr(bits, "seed_seq", None) or bits._seed_seq  # type: ignore[attr-defined]
    return np.random.Generator(type(bits)(seeds.spawn(1)[0]))
