"""Stay on a device between requests: python -m harness.fleet.worker --socket PATH --partition 0.

Flower starts a program for every message. What it would import, load and warm up each time costs
many times the energy of a round, so all that lives here, and that program hands bytes over a
private socket. `harness.fleet node` starts this; the meter starts before torch is imported, so
that the start-up is measured too, apart from everything else.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.config import RunConfig, parse_seeds
from harness.core.command_frame import report
from harness.core.errors import HarnessError, UsageError
from harness.core.parser import Parser
from harness.fleet.wire import (
    MOST_BODY_BYTES,
    Frame,
    WireError,
    listen_privately,
    receive_frame,
    send_frame,
)
from harness.measurement.measuring import measuring
from harness.measurement.phases import PhaseLog
from harness.records.phases import Label
from harness.running.accelerator import settled_clock
from harness.running.target import resolve_target

if TYPE_CHECKING:
    from harness.fleet.device import Device
    from harness.fleet.outbox import Outbox


class NodeConfig(RunConfig):
    """Say what a node says of itself; whether a workload trains on its GPU comes with the run."""

    gpu_trains = True


FAREWELL_S = 30.0
"""Longest time that a relay is waited for after it has its answer."""
REQUEST_S = 60.0
"""Longest time that a request may take to arrive on the socket."""


def parser() -> Parser:
    """Return the parser of the worker's options."""
    found = Parser(prog="python -m harness.fleet.worker", description=__doc__)
    found.add_argument("--socket", required=True, help="Unix socket to listen on")
    found.add_argument("--parent", type=int, default=0, help="end when this process is gone")
    add_device_options(found)
    return found


def add_device_options(found: argparse.ArgumentParser) -> None:
    """Add the options that say which device this is."""
    found.add_argument("--partition", required=True, help="clients whose data are here: 0 or 0-3")
    found.add_argument("--device", default="auto", help="device profile; auto is this host")
    found.add_argument("--name", default="", help="name in results; default PROFILE-PARTITION")
    found.add_argument("--meter", default="auto", help="meter, auto or none")
    found.add_argument("--accelerator", default="auto", help="what trains: auto, cpu or gpu")
    found.add_argument("--rate-hz", type=float, default=10.0, help="samples per second")
    found.add_argument("--threads", default="0", help="threads, 0 for all, or profile")
    found.add_argument("--cache", default="", help="folder of data sets; default ~/.cache")
    found.add_argument("--most-megabytes", type=int, default=MOST_BODY_BYTES >> 20,
                       help="largest model that is taken in")  # fmt: skip


def main(words: Sequence[str] | None = None) -> int:
    """Serve until the parent is gone or SIGTERM comes."""
    began_s = time.monotonic()
    try:
        return _serve(parser().parse_args(words), began_s)
    except HarnessError as error:
        return report(error)
    except KeyboardInterrupt:
        return 0


def _serve(options: argparse.Namespace, began_s: float) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    partition = read_partition(options.partition)
    threads = "0" if options.threads == "profile" else options.threads
    config = NodeConfig(
        device=options.device, meter=options.meter, threads=int(threads),
        accelerator=options.accelerator,
    )  # fmt: skip
    target = resolve_target(config)
    if options.threads == "profile":
        threads = str(min(target.profile.training.threads, target.cores))
        target = resolve_target(replace(config, threads=int(threads)))
    log = PhaseLog(settled_clock(target.accelerator.kind_here))
    with measuring(target.meter, target.meter_reason, options.rate_hz, log) as session:
        from harness.fleet.device import Device, NodeIdentity  # noqa: PLC0415 - imports torch
        from harness.fleet.outbox import Outbox  # noqa: PLC0415

        outbox = Outbox(began_s)
        name = options.name or f"{target.profile.name}-{options.partition}"
        device = Device(NodeIdentity(name, partition, options.cache), target, session, outbox)
        with listen_privately(Path(options.socket)) as listener:
            outbox.spent(Label("start-up"), time.monotonic())
            print(f"ready {name}", flush=True)
            try:
                _answer_all(listener, device, outbox, options)
            finally:
                device.disturbances.end()
    return 0


def _answer_all(
    listener: socket.socket, device: Device, outbox: Outbox, options: argparse.Namespace
) -> None:
    listener.settimeout(1.0)
    most = options.most_megabytes << 20
    while not options.parent or os.getppid() == options.parent:
        try:
            link, _ = listener.accept()
        except TimeoutError:
            continue
        with link, contextlib.suppress(OSError):
            link.settimeout(REQUEST_S)
            _answer_one(link, device, outbox, most)
        if device.spoiled:
            print("the GPU has failed, and only a new process can use it again", flush=True)
            return


def _answer_one(link: socket.socket, device: Device, outbox: Outbox, most_bytes: int) -> None:
    try:
        request = receive_frame(link, most_bytes)
    except WireError as error:
        send_frame(link, Frame({"kind": "failed", "code": "wire", "message": str(error),
                                "remedy": "Install the same release everywhere."}))  # fmt: skip
        return
    now_s = time.monotonic()
    began_s = request.header.get("relay_began_s")
    if isinstance(began_s, float) and outbox.until_s < began_s < now_s:
        outbox.spent(Label("idle"), began_s)
    elif not isinstance(began_s, float):
        outbox.spent(Label("idle"), now_s)
    outbox.spent(Label("communicate"), now_s)
    send_frame(link, device.answer(request))
    _wait_for_the_end(link)
    outbox.spent(Label("communicate"), time.monotonic())


def _wait_for_the_end(link: socket.socket) -> None:
    """Wait until the relay has passed its answer on: it holds the connection as long as that."""
    link.settimeout(FAREWELL_S)
    with contextlib.suppress(OSError):
        while link.recv(1):
            pass


def read_partition(text: str) -> tuple[int, ...]:
    """Read clients as typed.

    Raises:
        UsageError: if they are no list of distinct whole numbers.
    """
    try:
        found = parse_seeds(text)
    except ValueError as error:
        raise UsageError(f"--partition: cannot read '{text}': {error}") from None
    if len(set(found)) < len(found) or min(found) < 0:
        raise UsageError(f"--partition {text}: clients are distinct whole numbers from 0 on")
    return found


if __name__ == "__main__":
    sys.exit(main())
