"""Write and read the collector's record file: a JSON header, then records of fixed size.

Layout: the magic line, a 4-byte little-endian length, that many bytes of JSON (`MeterInfo` and the
period), then 32-byte records: kind (u8), 1 byte unused, rail (u16), 4 bytes unused, and three f64
(before_s, after_s, value). Fixed-size records appended by single writes can be read while they are
written, and a torn last one is simply not there yet.
"""

from __future__ import annotations

import json
import os
import struct
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from devices.errors import DeviceError
from devices.meters.base import MeterInfo, RawSample

MAGIC = b"MAS-RECORDS-1\n"
_LENGTH = struct.Struct("<I")
_RECORD = struct.Struct("<BxH4xddd")
RECORD_BYTES = _RECORD.size


class RecordKind(IntEnum):
    """Tell records apart."""

    SAMPLE = 1
    FAILED_READ = 2
    CPU_SECONDS = 3
    LATE = 4
    END = 5


class Record(NamedTuple):
    """Hold one record; `value` is joules, watts, processor seconds or skipped deadlines."""

    kind: RecordKind
    rail: int
    before_s: float
    after_s: float
    value: float

    @classmethod
    def from_sample(cls, sample: RawSample) -> Record:
        """Turn a raw sample into a record."""
        kind = RecordKind.FAILED_READ if sample.value is None else RecordKind.SAMPLE
        return cls(kind, sample.rail, sample.before_s, sample.after_s, sample.value or 0.0)

    def to_sample(self) -> RawSample:
        """Turn a SAMPLE or FAILED_READ record back into a raw sample."""
        value = self.value if self.kind is RecordKind.SAMPLE else None
        return RawSample(self.rail, self.before_s, self.after_s, value)


class RecordWriter:
    """Append records to a file that `open_new` created."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def open_new(cls, path: Path, info: MeterInfo, period_s: float) -> RecordWriter:
        """Create the file with its header.

        Raises:
            DeviceError: The file cannot be created.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        try:
            descriptor = os.open(path, flags, 0o644)
        except OSError as error:
            raise DeviceError(f"record file {path}: {error.strerror}") from error
        header = json.dumps({"info": info.to_dict(), "period_s": period_s}).encode()
        writer = cls(descriptor)
        writer._write(MAGIC + _LENGTH.pack(len(header)) + header)
        return writer

    def write(self, records: list[Record]) -> None:
        """Append records with one system call."""
        self._write(b"".join(_RECORD.pack(*record) for record in records))

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class RecordReader:
    """Follow a record file that may still grow.

    Attributes:
        info: The meter's description; None until the header is complete.
        period_s: Period of the recording; 0 until the header is complete.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.info: MeterInfo | None = None
        self.period_s = 0.0
        self._offset = 0

    def read_new(self, most: int = -1) -> list[Record]:
        """Return the whole records added since the last call, no more than `most` if it is given.

        Raises:
            DeviceError: The file is not a record file.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = (
                    file.read() if self.info is None or most < 0 else file.read(most * RECORD_BYTES)
                )
        except FileNotFoundError:
            return []
        if self.info is None:
            data = data[self._read_header(data) :]
            if self.info is None:
                return []
        whole = len(data) // RECORD_BYTES
        usable = RECORD_BYTES * (whole if most < 0 else min(whole, most))
        self._offset += usable
        return [self._record(fields) for fields in _RECORD.iter_unpack(data[:usable])]

    def _read_header(self, data: bytes) -> int:
        """Parse the header if it is complete and return its length."""
        begin = len(MAGIC) + _LENGTH.size
        if not MAGIC.startswith(data[: len(MAGIC)]):
            raise DeviceError(f"{self.path} is not a record file")
        if len(data) < begin:
            return 0
        (length,) = _LENGTH.unpack_from(data, len(MAGIC))
        if len(data) < begin + length:
            return 0
        try:
            header = json.loads(data[begin : begin + length])
            self.period_s = float(header["period_s"])
            self.info = MeterInfo.from_dict(header["info"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise DeviceError(f"{self.path}: the header cannot be read: {error}") from error
        self._offset = begin + int(length)
        return self._offset

    def _record(self, fields: tuple[int, int, float, float, float]) -> Record:
        kind, rail, before_s, after_s, value = fields
        try:
            known = RecordKind(kind)
        except ValueError as error:
            raise DeviceError(f"{self.path}: unknown record kind {kind}") from error
        return Record(known, rail, before_s, after_s, value)
