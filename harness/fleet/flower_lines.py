"""Say with which words Flower's programs are started: two lines of releases differ in them.

Since 1.40 devices speak HTTP to one port, which also takes orders; it stays on the loopback, behind
the reverse proxy. The last release for Python 3.10, which JetPack 6 has, speaks gRPC and has a port
for devices alone: that one listens where devices dial. Both carry the same frames, but no device of
one line can speak to a server of the other.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Protocol

from harness.core.errors import FleetError


@dataclass(frozen=True)
class Tls:
    """Hold the files of a secured server: its authority, its certificate, its key."""

    authority: Path
    certificate: Path
    key: Path


@dataclass(frozen=True)
class Ports:
    """Hold where a server listens: `orders` of this host's programs, and what devices dial.

    `inner` is for programs that Flower itself starts, where it wants a port for them.
    """

    orders: int
    inner: int
    host: str
    devices: int


class FlowerLine(Protocol):
    """Start the programs of releases that share words and protocol."""

    @property
    def name(self) -> str:
        """Return the releases in words; server and devices compare it."""
        ...

    @property
    def has_own_door(self) -> bool:
        """Say whether devices dial Flower itself; else the reverse proxy stands before it."""
        ...

    def superlink(self, ports: Ports, tls: Tls | None) -> list[str]:
        """Return the words of a server behind its program's name."""
        ...

    def supernode(self, address: str, port: int, tls: tuple[Path, Path] | None) -> list[str]:
        """Return the words of a device; `tls` is the authority and the node's key."""
        ...


@dataclass(frozen=True)
class HttpLine:
    """Start releases from 1.41 on, below 1.43."""

    name: str = "1.41–1.42"
    has_own_door: bool = False

    def superlink(self, ports: Ports, tls: Tls | None) -> list[str]:
        """Return the words of a server on the loopback."""
        words = ["--host", "127.0.0.1", "--port", str(ports.orders)]
        words.append("--disable-runtime-dependency-installation")
        return words + _server_tls(tls)

    def supernode(self, address: str, port: int, tls: tuple[Path, Path] | None) -> list[str]:
        """Return the words of a device."""
        words = ["--superlink", address, "--host", "127.0.0.1", "--port", str(port)]
        return words + _node_tls(tls)


@dataclass(frozen=True)
class GrpcLine:
    """Start release 1.30, the last for Python 3.10; it installs nothing unless it is told to."""

    name: str = "1.30"
    has_own_door: bool = True

    def superlink(self, ports: Ports, tls: Tls | None) -> list[str]:
        """Return the words of a server whose port for devices alone is open to others."""
        words = [
            "--serverappio-api-address", f"127.0.0.1:{ports.inner}",
            "--control-api-address", f"127.0.0.1:{ports.orders}",
            "--fleet-api-address", _joined(ports.host, ports.devices),
        ]  # fmt: skip
        return words + _server_tls(tls)

    def supernode(self, address: str, port: int, tls: tuple[Path, Path] | None) -> list[str]:
        """Return the words of a device."""
        words = ["--superlink", address, "--clientappio-api-address", f"127.0.0.1:{port}"]
        return words + _node_tls(tls)


LINES: Sequence[tuple[tuple[int, int], tuple[int, int], FlowerLine]] = (
    ((1, 30), (1, 31), GrpcLine()),
    ((1, 41), (1, 43), HttpLine()),
)
"""From which release to below which a line reaches."""


def line_of(version: str) -> FlowerLine | None:
    """Return the line of a release; None if it is of none that is known to work."""
    parts = version.split(".")[:2]
    if not all(part.isdigit() for part in parts) or len(parts) < 2:
        return None
    release = int(parts[0]), int(parts[1])
    return next((line for first, end, line in LINES if first <= release < end), None)


def require_flower() -> FlowerLine:
    """Return the line of the release that is installed.

    Raises:
        FleetError: if there is none, or one that is not known to work.
    """
    install = 'pip install -e ".[fleet]"'
    if util.find_spec("flwr") is None:
        raise FleetError("Flower (flwr) is not installed", install)
    version = metadata.version("flwr")
    line = line_of(version)
    if line is None:
        known = ", ".join(line.name for _, _, line in LINES)
        raise FleetError(f"flwr {version} is not one that is known to work ({known})", install)
    return line


def flower_version() -> str:
    """Return the line that is installed, as server and devices compare it; empty without Flower."""
    line = line_of(metadata.version("flwr")) if util.find_spec("flwr") else None
    return line.name if line else ""


def program(name: str) -> str:
    """Return a program of this environment."""
    return str(Path(sys.executable).parent / name)


def _server_tls(tls: Tls | None) -> list[str]:
    if tls is None:
        return ["--insecure"]
    return [
        "--ssl-ca-certfile", str(tls.authority), "--ssl-certfile", str(tls.certificate),
        "--ssl-keyfile", str(tls.key), "--enable-supernode-auth",
    ]  # fmt: skip


def _node_tls(tls: tuple[Path, Path] | None) -> list[str]:
    if tls is None:
        return ["--insecure"]
    authority, key = tls
    return ["--root-certificates", str(authority), "--auth-supernode-private-key", str(key)]


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
