"""Know the files that secure a fleet; `harness.fleet.certificates` makes them.

keys/server/  authority.crt authority.key server.crt server.key nodes/NAME.pub
keys/NAME/    authority.crt node.key node.pub     (copy this folder to the board, nothing else)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import FleetError, UsageError

SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
SERVER = "server"


@dataclass(frozen=True)
class ServerKeys:
    """Name the files of the server."""

    folder: Path

    @property
    def authority(self) -> Path:
        """Return the certificate that devices trust."""
        return self.folder / "authority.crt"

    @property
    def certificate(self) -> Path:
        """Return the server's certificate."""
        return self.folder / "server.crt"

    @property
    def key(self) -> Path:
        """Return the server's key."""
        return self.folder / "server.key"

    @property
    def nodes(self) -> list[Path]:
        """Return the public keys of the devices that are let in."""
        return sorted((self.folder / "nodes").glob("*.pub"))

    def check(self) -> None:
        """Raise if something is missing.

        Raises:
            FleetError: with the command that makes it.
        """
        missing = [p.name for p in (self.authority, self.certificate, self.key) if not p.is_file()]
        if missing or not self.nodes:
            lacks = ", ".join([*missing, *([] if self.nodes else ["keys of devices"])])
            raise FleetError(
                f"{self.folder} lacks {lacks}",
                "python -m harness.fleet keys --server NAME-OR-ADDRESS --nodes pi-0,pi-1"
                " (or type --insecure on a network that you alone use)",
            )


@dataclass(frozen=True)
class NodeKeys:
    """Name the files of a device."""

    folder: Path

    @property
    def authority(self) -> Path:
        """Return the certificate that it trusts."""
        return self.folder / "authority.crt"

    @property
    def key(self) -> Path:
        """Return its key."""
        return self.folder / "node.key"

    def check(self) -> None:
        """Raise if something is missing.

        Raises:
            FleetError: saying where it comes from.
        """
        missing = [p.name for p in (self.authority, self.key) if not p.is_file()]
        if missing:
            raise FleetError(
                f"{self.folder} lacks {', '.join(missing)}",
                "Copy this device's folder from the server's keys, or type --insecure.",
            )


def check_names(names: list[str]) -> None:
    """Raise if a device may not be called so.

    Raises:
        UsageError: for a name that may not stand in a path, is the server's, or is there twice.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(
            f"{', '.join(twice)}: named twice, and two boards would share one key",
            "Give every board a name of its own.",
        )
    for name in names:
        if not SAFE_NAME.fullmatch(name) or name == SERVER:
            raise UsageError(
                f"'{name}' cannot be a device's name",
                "Letters, digits, dot, dash and underscore; not 'server'.",
            )
