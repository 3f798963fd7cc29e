"""Write PNG files with the standard library alone, so that a board needs no imaging package."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TRUE_COLOUR = 2
_NO_FILTER = 0


def _chunk(name: bytes, payload: bytes) -> bytes:
    body = name + payload
    return struct.pack(">I", len(payload)) + body + struct.pack(">I", zlib.crc32(body))


def encode_png(picture: npt.NDArray[np.uint8]) -> bytes:
    """Return the PNG file of an 8-bit RGB picture.

    Args:
        picture: Array of shape (height, width, 3).

    Raises:
        ValueError: If the picture is not 8-bit RGB.

    Source: ISO/IEC 15948 (PNG), sections 5, 7 and 11.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        msg = f"expected uint8 of shape (height, width, 3), got {picture.dtype} {picture.shape}"
        raise ValueError(msg)
    height, width, _ = picture.shape
    lines = np.full((height, 1 + 3 * width), _NO_FILTER, np.uint8)
    lines[:, 1:] = picture.reshape(height, 3 * width)
    header = struct.pack(">IIBBBBB", width, height, 8, _TRUE_COLOUR, 0, 0, 0)
    data = zlib.compress(lines.tobytes(), 6)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")
