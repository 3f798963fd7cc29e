"""Say whether a file of a run is as it was written, without keeping what is in it."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from pathlib import Path

from harness.core.errors import DamagedRunError
from harness.core.guarded_folder import MOST_JSON_BYTES, read_bytes, strict_json
from harness.core.schema import (
    AFFINITY_CHECK,
    AFFINITY_CLIENTS,
    AFFINITY_ROUNDS,
    CONDITIONS,
    TRACE,
    Column,
)
from harness.evidence.tables import parse_table

HEAD_BYTES = 8
"""A safetensors file begins with the length of its JSON head, little-endian."""

ROUND_FILES: dict[str, tuple[Column, ...]] = {
    "_rounds.csv": AFFINITY_ROUNDS,
    "_clients.csv": AFFINITY_CLIENTS,
    "_check.csv": AFFINITY_CHECK,
}


def check_file(path: Path, name: Path, version: int) -> str:
    """Return what is wrong with a file, "" if nothing is; `name` is its path in the run folder."""
    checks = {".jsonl": _events, ".gz": _trace, ".safetensors": _weights}
    try:
        if name.parts[0] in {"affinity", "conditions"}:
            return _of_cell(path, name.parts[0], version)
        return checks.get(name.suffix, lambda _: "")(path)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except DamagedRunError as error:  # too large
        return error.message.removeprefix(str(path)).lstrip(":, ")


def _trace(path: Path) -> str:
    """Unpack the whole file, as only that checks its checksum; look at the header and the end."""
    head = ",".join(column.name for column in TRACE).encode() + b"\n"
    first, last = b"", b"\n"
    try:
        with gzip.open(path) as stream:
            while block := stream.read(1 << 20):
                first = first or block[: len(head)]
                last = block[-1:]
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        return f"is damaged: {error}"
    if first != head:
        return f"does not begin with {head.decode().strip()}"
    return "" if last == b"\n" else "breaks off in a line"


def weight_bytes(folder: Path, without: tuple[str, ...] = ()) -> dict[tuple[str, str], int]:
    """Return the bytes of a model's tensors by cell and job, as far as a run keeps weights.

    Those whose names end as one of `without` says are left out.
    """
    found: dict[tuple[str, str], int] = {}
    for path in sorted((folder / "checkpoints").glob("*/*.safetensors")):
        sound = path.is_file() and not path.is_symlink() and not _weights(path)
        if sound:
            with path.open("rb") as stream:
                (length,) = struct.unpack("<Q", stream.read(HEAD_BYTES))
                places = _places(stream.read(length))
            own = (place for name, place in places.items() if not name.endswith(without))
            found[path.parent.name, path.stem] = sum(end - begin for begin, end in own)
    return found


def _weights(path: Path) -> str:
    """Compare the offsets in the head with the size; the tensors themselves are not read."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        begin = stream.read(HEAD_BYTES)
        length = struct.unpack("<Q", begin)[0] if len(begin) == HEAD_BYTES else size
        if HEAD_BYTES + length > size or length > MOST_JSON_BYTES:
            return "breaks off in its head"
        try:
            places = _places(stream.read(length))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return "is no safetensors file"
    expected = HEAD_BYTES + length + max((end for _, end in places.values()), default=0)
    return "" if expected == size else f"has {size} bytes, its head says {expected}"


def _places(head: bytes) -> dict[str, tuple[int, int]]:
    """Return where each tensor begins and ends, by its name.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, RecursionError: if this is no such head.
    """
    found: dict[str, tuple[int, int]] = {}
    for name, entry in strict_json(head).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            if not type(begin) is type(end) is int or not 0 <= begin <= end:
                raise ValueError(f"{name}: is nowhere")
            found[name] = begin, end
    return found


def _of_cell(path: Path, kind: str, version: int) -> str:
    columns = next((c for ending, c in ROUND_FILES.items() if path.name.endswith(ending)), None)
    columns = CONDITIONS if kind == "conditions" else columns
    content = read_bytes(path)
    if columns is None:
        return _matrix(content)
    try:
        return "breaks off in a line" if parse_table(path, content, columns, version).torn else ""
    except DamagedRunError as error:
        return error.message.removeprefix(str(path)).lstrip(":, ")


def _matrix(content: bytes) -> str:
    """Look whether a square matrix has its task letters around it and numbers within."""
    try:
        lines = [x for x in content.decode().splitlines() if x.strip() and not x.startswith("#")]
        header, *rows = [line.split(",") for line in lines]
        _ = [[float(number) for number in row[1:]] for row in rows]
    except (UnicodeDecodeError, ValueError):
        return "is no matrix of numbers"
    square = all(len(row) == len(header) for row in rows)
    return "" if square and header[1:] == [row[0] for row in rows] else "is no square matrix"


def _events(path: Path) -> str:
    """Look at each event; a last line that does not end is forgiven, as a power cut leaves one."""
    whole, _, _torn = read_bytes(path).rpartition(b"\n")
    wrong = (n for n, line in enumerate(whole.splitlines(), 1) if not _is_json(line))
    first = next(wrong, None)
    return "" if first is None else f"line {first} is no event"


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
