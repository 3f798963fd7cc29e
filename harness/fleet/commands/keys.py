"""Make the keys and certificates of a fleet, or more of them later."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.core.errors import FleetError, UsageError
from harness.core.parser import Parser, read_options


def main(words: Sequence[str] | None = None) -> int:
    """Make what is not there yet and say what to copy where."""
    parser = Parser(prog="python -m harness.fleet keys", description=__doc__)
    parser.add_argument(
        "--server",
        metavar="LIST",
        required=True,
        help="names and addresses that devices dial, as in 10.0.0.5,lab.local",
    )
    parser.add_argument(
        "--nodes", metavar="LIST", required=True, help="names of devices: pi-0,pi-1"
    )
    parser.add_argument("--out", metavar="DIR", default="keys", help="folder of all keys [keys]")
    parsed = read_options(parser, words or [])
    addresses, nodes = (
        [word.strip() for word in text.split(",") if word.strip()]
        for text in (parsed.server, parsed.nodes)
    )
    if not addresses or not nodes:
        raise UsageError("--server and --nodes must each name something")
    try:
        from harness.fleet.certificates import make_keys  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise FleetError(f"{error.name} is not installed", 'pip install -e ".[fleet]"') from None
    folders = make_keys(Path(parsed.out), addresses, nodes)
    print(f"Server   {Path(parsed.out) / 'server'} stays on the server")
    for folder in folders:
        print(f"Board    copy {folder} to the board {folder.name}, and nowhere else")
    print("The file server/authority.key makes further keys: keep it off the boards.")
    return 0
