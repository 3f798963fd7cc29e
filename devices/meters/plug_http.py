"""Ask a device on the local network for JSON over HTTP, with digest authentication if it wants it.

The standard library's digest handler knows MD5 and SHA-1 only, whereas Shelly plugs use SHA-256
(RFC 7616). No answer, address or error text that leaves this module contains a password.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import http.client
import json
import re
import secrets
import socket
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

TIMEOUT_S = 0.8
"""For a whole answer, below the period of one read per second: one lost answer costs one sample."""

MAX_REPLY_BYTES = 65_536
_FIELD = re.compile(r'([A-Za-z]+)=(?:"([^"]*)"|([^\s",]+))')


@dataclass(frozen=True)
class Reply:
    """Hold a device's answer.

    Attributes:
        status: HTTP status.
        body: Content, at most `MAX_REPLY_BYTES`.
        challenge: The WWW-Authenticate header; empty if there is none.
    """

    status: int
    body: bytes
    challenge: str = ""


class FetchError(Exception):
    """Say that no usable answer came; the text is safe to print."""


class StatusError(FetchError):
    """Say that the device answered with a status that is no success."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP status {status}")
        self.status = status


Fetch = Callable[[str, Mapping[str, str], float], Reply]
"""Get an address with headers within seconds; raises `FetchError`."""


class _DeadlineSocket(socket.socket):
    """Give up reading when the time for the whole answer is over.

    A socket's own time-out starts anew with every byte: a device that sends one now and then would
    hold the reader for ever.
    """

    deadline_s = 0.0

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        """Read as `socket.recv_into` does, for no longer than what is left of the time."""
        left_s = self.deadline_s - time.monotonic()
        if left_s <= 0.0:
            raise TimeoutError(errno.ETIMEDOUT, "timed out")
        self.settimeout(left_s)
        return super().recv_into(buffer, nbytes, flags)


class _DeadlineConnection(http.client.HTTPConnection):
    """Connect, and read whatever comes, within one deadline."""

    def connect(self) -> None:
        """Connect as the base class does and take the socket over."""
        timeout_s = float(self.timeout or TIMEOUT_S)
        deadline_s = time.monotonic() + timeout_s
        super().connect()
        own = _DeadlineSocket(fileno=self.sock.detach())
        own.settimeout(max(deadline_s - time.monotonic(), 1e-3))
        own.deadline_s = deadline_s
        self.sock = own


def fetch_url(url: str, headers: Mapping[str, str], timeout_s: float) -> Reply:
    """Get an address without any proxy and redirection: the device is on this network.

    Raises:
        FetchError: Nothing answers within the time, wholly and in HTTP.
    """
    connection: http.client.HTTPConnection | None = None
    try:
        parts = urllib.parse.urlsplit(url)
        path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        connection = _DeadlineConnection(parts.hostname or "", parts.port or 80, timeout=timeout_s)
        connection.request("GET", path, headers={**headers, "Connection": "close"})
        response = connection.getresponse()
        challenge = response.getheader("WWW-Authenticate", "")
        ok = response.status == http.client.OK
        return Reply(response.status, _body(response) if ok else b"", challenge)
    except (OSError, http.client.HTTPException, ValueError) as error:
        # ValueError: an address that is none, which the message would repeat
        raise FetchError(_cause(error)) from None
    finally:
        if connection is not None:
            connection.close()


def _body(response: http.client.HTTPResponse) -> bytes:
    """Read what was announced.

    Raises:
        http.client.HTTPException: The answer is cut short, or longer than any plug's.
    """
    body = response.read(MAX_REPLY_BYTES + 1)
    if len(body) > MAX_REPLY_BYTES:
        raise http.client.LineTooLong("answer")
    return body


def _cause(reason: object) -> str:
    """Name an error without its text, which may repeat the address and thus a password."""
    if isinstance(reason, TimeoutError):
        return "timed out"
    text = reason.strerror if isinstance(reason, OSError) else None
    return text or type(reason).__name__


def get_json(
    fetch: Fetch,
    base: str,
    path: str,
    password: str = "",
    timeout_s: float = TIMEOUT_S,
    *,
    basic: bool = False,
) -> dict[str, Any]:
    """Get a JSON object, answering a digest challenge as user `admin` if there is a password.

    With `basic` a plain challenge is answered too, which shows the password to the network: devices
    that know nothing better are read no other way.

    Raises:
        FetchError: No answer, a refusal, or no JSON object.
        PermissionError: The device wants a password, or another one.
    """
    reply = fetch(base + path, {}, timeout_s)
    if reply.status == 401 and password and reply.challenge:
        client_nonce = secrets.token_hex(16)
        answer = (
            _basic_answer("admin", password)
            if basic and reply.challenge.lower().startswith("basic")
            else digest_answer(reply.challenge, ("admin", password), path, client_nonce)
        )
        reply = fetch(base + path, {"Authorization": answer}, timeout_s)
    if reply.status == 401:
        raise PermissionError("the plug wants a password, or another one")
    if reply.status != 200:
        raise StatusError(reply.status)
    return parse_object(reply.body)


def _basic_answer(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def digest_answer(
    challenge: str, login: tuple[str, str], path: str, client_nonce: str, algorithm: str = "SHA-256"
) -> str:
    """Return the Authorization header for a digest challenge (RFC 7616, section 3.4.1; qop=auth).

    Args:
        challenge: WWW-Authenticate header of the refusal.
        login: User and password.
        path: Path and query of the address.
        client_nonce: Random text of the client.
        algorithm: The only algorithm that is answered.

    Raises:
        FetchError: The challenge is of another kind.
    """
    scheme, _, rest = challenge.partition(" ")
    fields = {key.lower(): quoted or plain for key, quoted, plain in _FIELD.findall(rest)}
    known = scheme.lower() == "digest" and fields.get("algorithm", "MD5").upper() == algorithm
    if not known or "auth" not in fields.get("qop", "").replace(" ", "").split(","):
        raise FetchError("the plug asks for an unknown kind of authentication")
    realm = fields.get("realm", "")
    nonce = fields.get("nonce", "")
    user, password = login
    secret = _sha256(f"{user}:{realm}:{password}")
    request = _sha256(f"GET:{path}")
    response = _sha256(f"{secret}:{nonce}:00000001:{client_nonce}:auth:{request}")
    return (
        f'Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{path}", '
        f'algorithm={algorithm}, qop=auth, nc=00000001, cnonce="{client_nonce}", '
        f'response="{response}"'
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def parse_object(body: bytes) -> dict[str, Any]:
    """Return a JSON object whose fractions are `Decimal`, so that their digits can be counted.

    Raises:
        FetchError: It is not a JSON object; NaN and Infinity are not JSON.
    """
    try:
        data = json.loads(
            body.decode("utf-8"), parse_float=_decimal, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError):
        raise FetchError("the answer is not JSON") from None
    if not isinstance(data, dict):
        raise FetchError("the answer is not a JSON object")
    return data


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError(text) from error


def _refuse_constant(text: str) -> None:
    raise ValueError(text)
