"""Make lattice noise from an integer hash: no tables, no sines, equal on every machine."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from harness.workloads.multitask.data.scenes.vectors import FloatArray, IntArray

HashArray: TypeAlias = npt.NDArray[np.uint32]

_X_FACTOR = np.uint32(0x9E3779B1)
_Y_FACTOR = np.uint32(0x85EBCA77)
_SEED_FACTOR = 0x27D4EB2F
_LACUNARITY = 2.03  # not 2, so that the lattices of two octaves never line up


def _seed_term(seed: int) -> np.uint32:
    return np.uint32((seed * _SEED_FACTOR) & 0xFFFFFFFF)


def _scramble(state: HashArray) -> FloatArray:
    """Finish the hash in place and map its upper 24 bits to [0, 1)."""
    state ^= state >> np.uint32(15)
    state *= np.uint32(0x2C1B3C6D)
    state ^= state >> np.uint32(12)
    state *= np.uint32(0x297A2D39)
    state ^= state >> np.uint32(15)
    return (state >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def cell_noise(x: IntArray, y: IntArray | int, seed: int) -> FloatArray:
    """Return one number from [0, 1) per integer cell (x, y); arrays of int32."""
    state = x.astype(np.uint32) * _X_FACTOR
    state += np.asarray(y).astype(np.uint32) * _Y_FACTOR
    state += _seed_term(seed)
    return _scramble(state)


def _corner_noise(x: IntArray, y: IntArray, seeds: HashArray) -> FloatArray:
    """Return the lattice values at the four corners of each cell, stacked in front."""
    left = x.astype(np.uint32) * _X_FACTOR + seeds
    low = y.astype(np.uint32) * _Y_FACTOR
    corners = np.empty((4, *left.shape), np.uint32)
    np.add(left, low, out=corners[0])
    np.add(corners[0], _X_FACTOR, out=corners[1])
    np.add(corners[0], _Y_FACTOR, out=corners[2])
    np.add(corners[1], _Y_FACTOR, out=corners[3])
    return _scramble(corners)


def _interpolated(x: FloatArray, y: FloatArray, seeds: HashArray) -> FloatArray:
    floor_x = np.floor(x)
    floor_y = np.floor(y)
    corners = _corner_noise(floor_x.astype(np.int32), floor_y.astype(np.int32), seeds)
    across = x - floor_x
    up = y - floor_y
    across = across * across * (3 - 2 * across)
    up = up * up * (3 - 2 * up)
    bottom = corners[0] + (corners[1] - corners[0]) * across
    top = corners[2] + (corners[3] - corners[2]) * across
    noise: FloatArray = bottom + (top - bottom) * up
    return noise


def value_noise(x: FloatArray, y: FloatArray, seed: int) -> FloatArray:
    """Return smooth noise in [0, 1) with features one unit wide."""
    return _interpolated(x, y, np.asarray(_seed_term(seed)))


def fractal_noise(x: FloatArray, y: FloatArray, seed: int, octaves: int = 3) -> FloatArray:
    """Return the weighted mean of `octaves` noises, each about twice finer and half as strong."""
    columns = np.empty((2, octaves, x.size), np.float32)
    columns[0, 0] = x
    columns[1, 0] = y
    for octave in range(1, octaves):
        np.multiply(columns[:, octave - 1], _LACUNARITY, out=columns[:, octave])
    seeds = np.array([[_seed_term(seed + octave)] for octave in range(octaves)], np.uint32)
    layers = _interpolated(columns[0], columns[1], seeds)
    total: FloatArray = layers[0]
    weight = 0.5
    weights = 1.0
    for octave in range(1, octaves):
        total = total + layers[octave] * weight
        weights += weight
        weight *= 0.5
    return total * (1.0 / weights)
