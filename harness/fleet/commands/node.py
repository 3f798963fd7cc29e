"""Be one device of a fleet: a resident worker that measures, and Flower's SuperNode."""

from __future__ import annotations

import argparse
import hashlib
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from devices.accelerator import CPU
from devices.card_watch import look_at_cards
from devices.own_modules import module_words
from harness.core.errors import BusyError, FleetError, StorageError
from harness.core.locks import held
from harness.core.parser import Parser, add_include_options, read_options
from harness.fleet.flower_lines import FlowerLine, require_flower
from harness.fleet.keys import NodeKeys
from harness.fleet.programs import (
    ChildPrograms,
    free_port,
    last_words,
    past_proxies,
)
from harness.fleet.reach import (
    certificate_problem,
    connection_problem,
    direct_hosts,
    speaks_http,
    split_address,
)
from harness.fleet.worker import add_device_options, read_partition
from harness.measurement.host_look import HostLook

PORT = 8000
AGAIN_S = 10.0
LOOK_S = 0.3
"""Between two looks whether the server listens."""
"""Pause before Flower's node is started anew: its old number counts as present for a minute."""
WORKER_S = 180.0
"""Longest start of a worker: a Pi Zero imports torch for a minute."""


def main(words: Sequence[str] | None = None) -> int:
    """Run until stopped."""
    parsed = read_options(_parser(), words or [])
    line = require_flower()
    read_partition(parsed.partition)
    tls = None
    if not parsed.insecure:
        keys = NodeKeys(Path(parsed.keys))
        keys.check()
        tls = (keys.authority.resolve(), keys.key.resolve())
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    name = parsed.name or f"node-{parsed.partition}"
    folder = Path(parsed.state).resolve() / name
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StorageError(f"cannot make {folder}: {error.strerror}", "Choose another --state.") \
            from None  # fmt: skip
    with _alone(folder, name), tempfile.TemporaryDirectory(prefix="fleet-") as private:
        programs = ChildPrograms(folder)
        cards = tuple if parsed.accelerator == CPU else look_at_cards
        for trouble in HostLook(cards=cards).troubles():
            print(f"{name}: {trouble}", flush=True)
        try:
            _run(parsed, programs, Path(private) / "worker.sock", line, tls)
        except KeyboardInterrupt:
            print(f"{name}: stopped", flush=True)
        finally:
            programs.stop()
    return 0


def _parser() -> Parser:
    parser = Parser(prog="python -m harness.fleet node", description=__doc__)
    parser.add_argument("--server", required=True, metavar="HOST[:PORT]",
                        help=f"the server; port {PORT} if none is given")  # fmt: skip
    add_device_options(parser)
    add_include_options(parser)
    parser.add_argument("--keys", default="keys", metavar="DIR", help="this device's keys [keys]")
    parser.add_argument("--insecure", action="store_true", help="no TLS and no keys")
    parser.add_argument("--state", default=".fleet", metavar="DIR", help="logs and locks [.fleet]")
    return parser


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock of this name on this machine.

    Raises:
        BusyError: if another node has it.
    """
    word = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
    with ExitStack() as stack:
        try:
            stack.enter_context(held(folder / f"lock-{word}"))
        except BlockingIOError:
            raise BusyError(f"another node called {name} runs here", "Give it a --name.") from None
        yield


def _run(
    parsed: argparse.Namespace,
    programs: ChildPrograms,
    socket: Path,
    line: FlowerLine,
    tls: tuple[Path, Path] | None,
) -> None:
    """Keep worker and SuperNode running; each that ends is started anew."""
    host, number = split_address(parsed.server, PORT)
    address = f"[{host}]:{number}" if ":" in host else f"{host}:{number}"
    _start_worker(parsed, programs, socket)
    port = free_port()
    while True:
        _wait_for_server(host, number, line, tls)
        words = [*module_words("harness.fleet.app.supernode"), *line.supernode(address, port, tls)]
        words += ["--node-config", f'worker="{socket}"']
        programs.start("supernode", words, past_proxies(direct_hosts(host)))
        print(f"node of {address}, clients {parsed.partition}", flush=True)
        while programs.ended("supernode") is None:
            time.sleep(0.5)
            if programs.ended("worker") is not None:
                print(f"the worker ended: {last_words(programs.log('worker'))}", flush=True)
                _start_worker(parsed, programs, socket)
        print(f"{_why_ended(programs)}; again in {AGAIN_S:g} s", flush=True)
        time.sleep(AGAIN_S)


def _wait_for_server(host: str, port: int, line: FlowerLine, tls: tuple[Path, Path] | None) -> None:
    """Say what keeps this node from its server, and wait as long as it does."""
    said = ""
    while absent := connection_problem(host, port):  # Flower would look ever more seldom
        if absent != said:
            print(f"{absent}; it is waited for", flush=True)
        said = absent
        time.sleep(LOOK_S)
    authority = tls[0] if tls else None
    while why := _wrong_server(host, port, line, authority):
        if why != said:
            print(f"{why}; tried again every {AGAIN_S:g} s", flush=True)
        said = why
        time.sleep(AGAIN_S)


def _wrong_server(host: str, port: int, line: FlowerLine, authority: Path | None) -> str:
    """Return why this device must not dial what listens there; empty if nothing speaks against."""
    if authority and (why := certificate_problem(host, port, authority)):
        return why
    if speaks_http(host, port, authority) in {None, not line.has_own_door}:
        return ""
    return (
        f"the server runs another line of Flower than this device ({line.name}): a fleet needs one;"
        " where a Python is 3.10 that is 1.30 (docs/fleet.md)"
    )


def _why_ended(programs: ChildPrograms) -> str:
    """Return in words why Flower's node ended."""
    said = last_words(programs.log("supernode"), 30)
    if "code: 2004" in said:
        return (
            "the server did not let this node in: its key is not known there, or it was here less"
            " than a minute ago"
        )
    return f"Flower's node ended: {last_words(programs.log('supernode'), 3)}"


def _start_worker(parsed: argparse.Namespace, programs: ChildPrograms, socket: Path) -> None:
    """Start the worker and wait until it listens.

    Raises:
        FleetError: if it ends instead.
    """
    options = {
        "socket": socket, "partition": parsed.partition, "device": parsed.device,
        "name": parsed.name, "meter": parsed.meter, "rate-hz": parsed.rate_hz,
        "accelerator": parsed.accelerator, "threads": parsed.threads, "cache": parsed.cache,
        "most-megabytes": parsed.most_megabytes,
    }  # fmt: skip
    words = [f"--{key}={value}" for key, value in options.items() if value != ""]
    socket.unlink(missing_ok=True)
    programs.start("worker", [*module_words("harness.fleet.worker"), *words])
    end_s = time.monotonic() + WORKER_S
    while not socket.exists():
        if programs.ended("worker") is not None:
            raise FleetError(f"the worker did not start: {last_words(programs.log('worker'))}")
        if time.monotonic() > end_s:
            raise FleetError(f"the worker did not start within {WORKER_S:g} s",
                             f"See {programs.log('worker')}.")  # fmt: skip
        time.sleep(0.1)
