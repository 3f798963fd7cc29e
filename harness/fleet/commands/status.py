"""Say where the run of a server on this machine stands."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.core.errors import FleetError
from harness.core.parser import Parser, read_options

STATUS = "status.json"


def main(words: Sequence[str] | None = None) -> int:
    """Print the run and a line per device."""
    parser = Parser(prog="python -m harness.fleet status", description=__doc__)
    parser.add_argument("--state", default=".fleet", metavar="DIR", help="as given to the server")
    parser.add_argument("--json", action="store_true", help="print it for programs")
    parsed = read_options(parser, words or [])
    path = Path(parsed.state) / "server" / STATUS
    try:
        told: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        raise FleetError(
            f"no server has written {path}",
            "Give the --state of the server, or start one: python -m harness.fleet server",
        ) from None
    if told["status"] == "running" and not _runs(int(told["process"])):
        told["status"] = "broken off; the same command goes on with it"
    if parsed.json:
        print(json.dumps(told))
        return 0
    from harness.fleet.status_screen import device_lines  # noqa: PLC0415 - rich is slow to import

    print(f"Run      {told['run'] or 'not begun'}\nStatus   {told['status']}")
    print("\n".join(device_lines(told["devices"], time.time())))
    return 0


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
