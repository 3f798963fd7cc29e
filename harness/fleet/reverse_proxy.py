"""Stand between devices and Flower's server, and let through only what devices need.

Whoever reaches Flower's port with the authority's certificate can submit programs to every device,
so the server itself listens on the loopback alone. What devices dial is this: TLS, the paths of the
fleet's interface, nothing else, and bodies of bounded size, waited for
on disk and not for long.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from harness.core.parser import Parser

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

OPEN_PATHS = ("/v1/fleet/",)
"""What devices may ask for."""
_HOP_HEADERS = ("connection", "transfer-encoding", "keep-alive")
_OWN_HEADERS = ("host", "content-length", *_HOP_HEADERS)
ANSWER_S = 120.0


PIECE_S = 30.0
"""Longest silence within a request."""
BODY_S = 600.0
"""Longest time in which a body arrives: 64 MB at 1 Mbit/s."""
SILENCE_S = 30.0
"""Longest time that a connection may be open without a request."""
MOST_CONNECTIONS = 4096
IN_MEMORY_BYTES = 256 << 10
"""More of a body than this waits on disk until all of it is there."""
BODIES_AT_ONCE = 64
"""How many of the largest bodies may wait on disk together."""
_PIECE_BYTES = 256 << 10


class RefusedBodyError(Exception):
    """Report a body that is not taken, with the status to answer."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Room:
    """Count the bytes of bodies that are held, so that all clients together stay bounded."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self.held_bytes = 0

    def take(self, count: int) -> None:
        """Take room for more bytes.

        Raises:
            RefusedBodyError: if there is none.
        """
        if self.held_bytes + count > self._most_bytes:
            raise RefusedBodyError(503, "too many requests at once")
        self.held_bytes += count

    @contextlib.contextmanager
    def share(self) -> Iterator[Share]:
        """Give a part of the room that can grow, and take all of it back at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            self.held_bytes -= share.held_bytes


class Share:
    """Hold what one body takes of the room."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.held_bytes = 0

    def take(self, count: int) -> None:
        """Take room for more bytes.

        Raises:
            RefusedBodyError: if there is none.
        """
        self._room.take(count)
        self.held_bytes += count


async def receive_body(
    pieces: AsyncIterator[bytes], file: IO[bytes], most_bytes: int, share: Share
) -> int:
    """Write a body to a file as it comes and return its length.

    Raises:
        RefusedBodyError: if it is too large, too slow, or there is no room, in `share` or on disk.
    """
    end_s = time.monotonic() + BODY_S
    length = 0
    while True:
        left_s = min(PIECE_S, end_s - time.monotonic())
        try:
            piece = await asyncio.wait_for(anext(pieces), max(0.0, left_s))
        except StopAsyncIteration:
            return length
        except asyncio.TimeoutError:
            raise RefusedBodyError(408, "too slow") from None
        if length + len(piece) > most_bytes:
            raise RefusedBodyError(413, "too large")
        share.take(len(piece))
        try:
            length += file.write(piece)
        except OSError as error:
            raise RefusedBodyError(503, f"it cannot be kept: {error.strerror}") from None


async def _sent(file: IO[bytes]) -> AsyncIterator[bytes]:
    file.seek(0)
    while piece := file.read(_PIECE_BYTES):
        yield piece


def proxy_app(target: str, verify: ssl.SSLContext | bool, most_body_bytes: int) -> Any:  # noqa: ANN401
    """Return the ASGI application that passes requests on to `target`.

    A request is passed on once it is whole, an answer as fast as the client takes it: neither costs
    more memory than a piece of it, however slow the client is.
    """
    import httpx  # noqa: PLC0415
    from starlette.applications import Starlette  # noqa: PLC0415
    from starlette.background import BackgroundTask  # noqa: PLC0415
    from starlette.responses import PlainTextResponse, StreamingResponse  # noqa: PLC0415
    from starlette.routing import Route  # noqa: PLC0415

    client = httpx.AsyncClient(
        base_url=target, verify=verify, timeout=ANSWER_S, trust_env=False,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
    )  # fmt: skip
    room = Room(BODIES_AT_ONCE * most_body_bytes)

    async def passed_on(request: Request, file: IO[bytes], length: int) -> Response:
        headers = [(k, v) for k, v in request.headers.items() if k.lower() not in _OWN_HEADERS]
        headers.append(("content-length", str(length)))
        content = _sent(file) if length else None
        asked = client.build_request(
            request.method, request.url.path, content=content, headers=headers
        )
        found = await client.send(asked, stream=True)
        kept = {
            k: v
            for k, v in found.headers.items()
            if k.lower() not in (*_HOP_HEADERS, "date", "server")
        }
        done = BackgroundTask(found.aclose)
        return StreamingResponse(found.aiter_raw(), found.status_code, kept, background=done)

    async def carry(request: Request) -> Response:
        path = request.url.path
        if not path.startswith(OPEN_PATHS) or ".." in path or "//" in path:
            return PlainTextResponse("only devices are served here", 403)
        told = request.headers.get("content-length") or "0"
        if not told.isdigit() or int(told) > most_body_bytes:
            return PlainTextResponse("too large", 413)
        with room.share() as share, tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as file:
            try:
                length = await receive_body(request.stream(), file, most_body_bytes, share)
                return await passed_on(request, file, length)
            except RefusedBodyError as error:
                return PlainTextResponse(str(error), error.status)
            except httpx.HTTPError:
                return PlainTextResponse("the server behind does not answer", 502)

    methods = ["GET", "POST", "PUT", "DELETE"]
    return Starlette(routes=[Route("/{path:path}", carry, methods=methods)])


def impatient_protocol() -> Any:  # noqa: ANN401
    """Return uvicorn's protocol, but one that hangs up on clients that say nothing."""
    from uvicorn.protocols.http.h11_impl import H11Protocol  # noqa: PLC0415

    class ImpatientProtocol(H11Protocol):  # type: ignore[misc]
        """Close connections without a request, and those beyond what one proxy carries."""

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            if len(self.connections) > MOST_CONNECTIONS:
                transport.abort()
            else:
                self._wait_for_request()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._silence.cancel()
            self._wait_for_request()

        def connection_lost(self, error: Exception | None) -> None:
            if hasattr(self, "_silence"):
                self._silence.cancel()
            super().connection_lost(error)

        def _wait_for_request(self) -> None:
            self._silence = self.loop.call_later(SILENCE_S, self._hang_up, self.cycle)

        def _hang_up(self, before: object) -> None:
            if self.cycle is before:  # no request has come since
                self.transport.abort()

    return ImpatientProtocol


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    found = Parser(prog="python -m harness.fleet.reverse_proxy", description=__doc__)
    found.add_argument("--host", required=True)
    found.add_argument("--port", type=int, required=True)
    found.add_argument("--target", required=True, help="URL of Flower's server")
    found.add_argument("--most-body-bytes", type=int, default=64 << 20)
    for name in ("authority", "certificate", "key"):
        found.add_argument(f"--{name}", type=Path)
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Serve until SIGINT."""
    import uvicorn  # noqa: PLC0415

    options = parser().parse_args(words)
    verify: ssl.SSLContext | bool = True
    tls = {}
    if options.certificate is not None:
        verify = ssl.create_default_context(cafile=str(options.authority))
        tls = {"ssl_certfile": str(options.certificate), "ssl_keyfile": str(options.key)}
    uvicorn.run(
        proxy_app(options.target, verify, options.most_body_bytes),
        host=options.host,
        port=options.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        http=impatient_protocol(),
        **tls,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
