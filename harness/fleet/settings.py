"""Hold how a server deals with its devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FleetSettings:
    """Say how the server deals with its devices.

    `config` is what devices are to prepare, `data` the checksum of the server's data, `versions`
    those of the server. A round closes after `deadline_s`. `begin_with` devices are waited for
    before round 1, at most `join_s` (0: until every client has a device). `batch_from_profile` lets
    every device train in the batches of its profile; `mixed` lets other versions pass.
    """

    config: Mapping[str, Any]
    clients: int
    data: str
    versions: Mapping[str, Any]
    deadline_s: float = 600.0
    join_s: float = 600.0
    begin_with: int = 0
    batch_from_profile: bool = False
    mixed: bool = False
    sample_s: float = 0.1
    insecure: bool = False
