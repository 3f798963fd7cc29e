"""Say why a device cannot reach its server: Flower's own programs only say that they failed."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
from pathlib import Path

CONNECT_S = 5.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def split_address(text: str, port: int) -> tuple[str, int]:
    """Return host and port of an address as typed; `port` if it names none."""
    host, colon, number = text.rpartition(":")
    if colon and number.isdigit() and (":" not in host or host.endswith("]")):
        return host.strip("[]"), int(number)
    return text.strip("[]"), port


def certificate_problem(host: str, port: int, authority: Path) -> str:
    """Return in words what is wrong with the server's certificate; empty if nothing is known.

    A server that cannot be reached is no problem of its certificate.
    """
    try:
        context = ssl.create_default_context(cafile=str(authority))
    except (OSError, ssl.SSLError) as error:
        return f"the authority's certificate {authority} cannot be read: {error}"
    try:
        with (
            socket.create_connection((host, port), CONNECT_S) as link,
            context.wrap_socket(link, server_hostname=host),
        ):
            return ""
    except ssl.SSLCertVerificationError as error:
        return (
            f"the server's certificate is not accepted: {error.verify_message}. On the server:"
            f" python -m harness.fleet keys --server {host} --nodes ... with every address that"
            " boards dial, and start it again; or dial an address that it names"
        )
    except ssl.SSLError as error:
        return f"what listens at {host}:{port} does not speak TLS ({error.reason})"
    except OSError:
        return ""


def speaks_http(host: str, port: int, authority: Path | None) -> bool | None:
    """Say whether a server answers HTTP/1.1, as Flower's do since 1.40; None if it says nothing.

    A server of gRPC begins with its own frames, whatever it is asked.
    """
    try:
        with socket.create_connection((host, port), CONNECT_S) as link:
            link.settimeout(CONNECT_S)
            if authority is None:
                return _answers_http(link)
            context = ssl.create_default_context(cafile=str(authority))
            with context.wrap_socket(link, server_hostname=host) as secured:
                return _answers_http(secured)
    except OSError:  # ssl.SSLError is one
        return None


def _answers_http(link: socket.socket) -> bool | None:
    link.sendall(b"GET /health HTTP/1.1\r\nHost: fleet\r\nConnection: close\r\n\r\n")
    said = link.recv(5)
    return said == b"HTTP/" if said else None


def connection_problem(host: str, port: int) -> str:
    """Return in words why nothing can be reached; empty if something listens there."""
    try:
        socket.create_connection((host, port), CONNECT_S).close()
    except OSError as error:
        return f"no server answers at {host}:{port}: {error.strerror or error}"
    return ""


def direct_hosts(host: str = "") -> tuple[str, ...]:
    """Return what is never behind a proxy: this host, and an address of the same network."""
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).is_private:
            return (*LOOPBACK, host)
    return LOOPBACK
