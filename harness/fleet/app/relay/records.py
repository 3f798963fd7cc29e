"""Put a frame into Flower's records and take it out again.

A frame is two arrays of bytes, whatever tensors it holds: each array costs Flower several requests
on every hop. The body is apart from the header, since a body sent to many nodes is uploaded once.
"""

from __future__ import annotations

import numpy as np
from flwr.app import Array, ArrayRecord, RecordDict

from harness.fleet.wire import Frame, WireError, header_bytes, read_header

RECORD = "frame"


def to_records(frame: Frame) -> RecordDict:
    """Return the records of a frame."""
    arrays = {"header": _array(header_bytes(frame.header))}
    if frame.body:
        arrays["body"] = _array(frame.body)
    return RecordDict({RECORD: ArrayRecord(arrays)})


def from_records(records: RecordDict, most_body_bytes: int) -> Frame:
    """Return the frame in records.

    Raises:
        WireError: if there is none of this protocol, or it is too large.
    """
    found = records.array_records.get(RECORD)
    if found is None or "header" not in found:
        raise WireError("the message holds no frame")
    header = read_header(_bytes(found["header"]))
    body = _bytes(found["body"]) if "body" in found else b""
    if len(body) > most_body_bytes:
        raise WireError(f"a body of {len(body)} bytes is too large")
    return Frame(header, body)


def _array(content: bytes) -> Array:
    return Array(np.frombuffer(content, dtype=np.uint8))


def _bytes(array: Array) -> bytes:
    values = array.numpy()
    if values.dtype != np.uint8 or values.ndim != 1:
        raise WireError("the message holds something else than bytes")
    return bytes(values.tobytes())
