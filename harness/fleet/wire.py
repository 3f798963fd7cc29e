"""Carry frames over a socket: a JSON header and a body of bytes, both of bounded size.

Nothing on the wire is a program: headers are JSON, bodies are safetensors. Every header names the
protocol, so that two releases that do not understand each other say so at the first message. The
standard library is enough for this module, as Flower's short-lived programs import it.
"""

from __future__ import annotations

import json
import math
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROTOCOL = 1
"""Raised when a header changes its meaning; both ends refuse another number."""

MAGIC = b"MASF"
_HEAD = struct.Struct("<4sIQ")
MOST_HEADER_BYTES = 4 << 20
MOST_BODY_BYTES = 1 << 30
_PIECE_BYTES = 1 << 20
MOST_DIGITS = 20


class WireError(Exception):
    """Report a frame that is damaged, too large or of another protocol."""


@dataclass(frozen=True)
class Frame:
    """Hold one message."""

    header: Mapping[str, Any]
    body: bytes = b""

    @property
    def kind(self) -> str:
        """Return what the message is."""
        return str(self.header.get("kind", ""))


def header_bytes(header: Mapping[str, Any]) -> bytes:
    """Return a header with the number of the protocol in it.

    Raises:
        ValueError: if it holds NaN or an infinity.
    """
    return json.dumps({"protocol": PROTOCOL, **header}, allow_nan=False).encode()


def read_header(content: bytes) -> dict[str, Any]:
    """Return the header of a frame.

    Raises:
        WireError: if it is no header of this protocol.
    """
    if len(content) > MOST_HEADER_BYTES:
        raise WireError(f"a header of {len(content)} bytes is too large")
    try:
        header = json.loads(content, parse_constant=_refuse, parse_float=_float, parse_int=_integer)
    except (ValueError, RecursionError):
        raise WireError("a header is no JSON") from None
    if not isinstance(header, dict):
        raise WireError("a header is no JSON object")
    if header.get("protocol") != PROTOCOL:
        raise WireError(
            f"the other side speaks protocol {header.get('protocol')!r}, this one {PROTOCOL}"
        )
    return header


def _refuse(text: str) -> float:
    raise WireError(f"a header holds {text}")


def _float(text: str) -> float:
    """Return a number; 1e999 reads as an infinity."""
    found = float(text)
    return found if math.isfinite(found) else _refuse("a number that is not finite")


def _integer(text: str) -> int:
    """Return a whole number of at most 64 bits, as Flower's names of nodes are."""
    return int(text) if len(text) <= MOST_DIGITS else int(_refuse("an absurd number"))


def send_frame(link: socket.socket, frame: Frame) -> None:
    """Send a frame as a whole.

    Raises:
        OSError: if the other side is gone.
    """
    header = header_bytes(frame.header)
    link.sendall(_HEAD.pack(MAGIC, len(header), len(frame.body)) + header)
    if frame.body:  # the other side may have answered a header that was all
        link.sendall(frame.body)


def receive_frame(link: socket.socket, most_body_bytes: int = MOST_BODY_BYTES) -> Frame:
    """Read a frame; nothing is read of one that says it is larger than allowed.

    Raises:
        ConnectionError: if the other side ends, or ended before.
        WireError: if it is no frame of this protocol, or too large.
    """
    magic, header_length, body_length = _HEAD.unpack(_read(link, _HEAD.size))
    if magic != MAGIC:
        raise WireError("the other side sends something else than frames")
    if header_length > MOST_HEADER_BYTES or body_length > most_body_bytes:
        raise WireError(f"a frame of {header_length} + {body_length} bytes is too large")
    header = read_header(_read(link, header_length))
    return Frame(header, _read(link, body_length))


def _read(link: socket.socket, count: int) -> bytes:
    found = bytearray()
    while len(found) < count:
        piece = link.recv(min(_PIECE_BYTES, count - len(found)))
        if not piece:
            raise ConnectionError("the other side has ended")
        found += piece
    return bytes(found)


def listen_privately(path: Path) -> socket.socket:
    """Return a listening Unix socket that only this user can connect to."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    path.chmod(0o600)
    listener.listen()
    return listener


def connect(path: str, timeout_s: float | None) -> socket.socket:
    """Return a connection to a Unix socket.

    Raises:
        OSError: if nobody listens there.
    """
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    link.settimeout(timeout_s)
    try:
        link.connect(path)
    except OSError:
        link.close()
        raise
    return link
