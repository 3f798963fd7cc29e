"""Stand between devices and Flower's server, and let through only what devices need.

Whoever reaches Flower's port with the authority's certificate can submit programs to every device,
so the server itself listens on the loopback alone. What devices dial is this: TLS, the paths of the
fleet's interface, nothing else, and bodies of bounded size.
"""

from __future__ import annotations

import argparse
import ssl
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.options import Parser

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

OPEN_PATHS = ("/v1/fleet/",)
"""What devices may ask for."""
_OWN_HEADERS = ("host", "connection", "content-length", "transfer-encoding", "keep-alive")
ANSWER_S = 120.0


class TooLargeError(Exception):
    """Report a body that is larger than allowed."""


def proxy_app(target: str, verify: ssl.SSLContext | bool, most_body_bytes: int) -> Any:  # noqa: ANN401
    """Return the ASGI application that passes requests on to `target`."""
    import httpx  # noqa: PLC0415
    from starlette.applications import Starlette  # noqa: PLC0415
    from starlette.responses import PlainTextResponse  # noqa: PLC0415
    from starlette.responses import Response as Answer  # noqa: PLC0415
    from starlette.routing import Route  # noqa: PLC0415

    client = httpx.AsyncClient(base_url=target, verify=verify, timeout=ANSWER_S, trust_env=False)

    async def carry(request: Request) -> Response:
        path = request.url.path
        if not path.startswith(OPEN_PATHS) or ".." in path or "//" in path:
            return PlainTextResponse("only devices are served here", 403)
        if int(request.headers.get("content-length") or 0) > most_body_bytes:
            return PlainTextResponse("too large", 413)
        try:
            body = await _whole(request.stream(), most_body_bytes)
        except TooLargeError:
            return PlainTextResponse("too large", 413)
        headers = [(k, v) for k, v in request.headers.items() if k.lower() not in _OWN_HEADERS]
        try:
            found = await client.request(request.method, path, content=body, headers=headers)
        except httpx.HTTPError:
            return PlainTextResponse("the server behind does not answer", 502)
        kept = {
            k: v
            for k, v in found.headers.items()
            if k.lower() not in (*_OWN_HEADERS, "content-encoding", "date", "server")
        }
        return Answer(found.content, found.status_code, kept)

    methods = ["GET", "POST", "PUT", "DELETE"]
    return Starlette(routes=[Route("/{path:path}", carry, methods=methods)])


async def _whole(pieces: AsyncIterator[bytes], most_bytes: int) -> bytes:
    found = bytearray()
    async for piece in pieces:
        found += piece
        if len(found) > most_bytes:
            raise TooLargeError
    return bytes(found)


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
        **tls,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
