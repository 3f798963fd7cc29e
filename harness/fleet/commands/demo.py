"""Run a whole fleet on this machine, in processes of its own, for a first look and for tests.

Everything is on the loopback and without TLS. All nodes share this machine, so a meter that one
finds sees the others' work too: the joules of a demo say nothing about a device.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from devices.own_modules import module_words
from harness.core.parser import Parser
from harness.fleet.commands import server
from harness.fleet.flower_lines import require_flower
from harness.fleet.programs import ChildPrograms, free_port

TINY = {
    "clients_per_round": "{nodes}", "images": "32", "unseen_buildings": "1", "unseen_images": "8",
    "size": "32", "rounds": "4", "batch_size": "4", "evaluate_every": "2", "tasks": "sdn",
    "methods": "independent,mas:splits=2", "idle_s": "1",
}  # fmt: skip
"""What a demo trains unless its options say otherwise; --clients is the number of nodes."""


def main(words: Sequence[str] | None = None) -> int:
    """Start nodes and server, and return the server's exit status."""
    own, rest = _own_options(list(words or []))
    require_flower()
    nodes, state, port = own.nodes, Path(own.state).resolve(), free_port()
    given = {word.split("=")[0] for word in rest}
    tiny = [
        f"--{name.replace('_', '-')}={value.format(nodes=nodes)}"
        for name, value in TINY.items()
        if f"--{name.replace('_', '-')}" not in given
    ]
    programs = ChildPrograms(state)
    print(f"A fleet of {nodes} nodes on this machine; logs in {state}", flush=True)
    began_s = time.monotonic()
    try:
        for index in range(nodes):
            programs.start(f"node{index}", _node_words(index, port, own, rest, state))
        status = server.main([
            "--host=127.0.0.1", f"--port={port}", "--insecure", f"--state={state}",
            f"--clients={nodes}", *tiny, *rest,
        ])  # fmt: skip
    finally:
        programs.stop()
    print(f"Everything ended after {time.monotonic() - began_s:.0f} s.")
    return status


def _own_options(words: list[str]):  # type: ignore[no-untyped-def]  # noqa: ANN202
    parser = Parser(
        prog="python -m harness.fleet demo", description=__doc__, allow_abbrev=False,
        epilog="All other options are those of harness.fleet server.",
    )  # fmt: skip
    parser.add_argument("--nodes", type=int, default=3, help="number of nodes [3]")
    parser.add_argument("--meter", default="auto", help="meter of every node [auto]")
    parser.add_argument("--state", default=".fleet/demo", help="logs [.fleet/demo]")
    return parser.parse_known_args(words)


def _node_words(index: int, port: int, own, rest: Sequence[str], state: Path) -> list[str]:  # type: ignore[no-untyped-def]  # noqa: ANN001
    cache = [word for word in rest if word.startswith("--cache=")]
    return [
        *module_words("harness.fleet"), "node", "--server", f"127.0.0.1:{port}",
        "--insecure", f"--partition={index}", f"--name=demo-{index}", f"--meter={own.meter}",
        "--threads=1", f"--state={state}", *cache,
    ]  # fmt: skip
