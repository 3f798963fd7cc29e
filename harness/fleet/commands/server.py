"""Run the matrix of methods over the devices of a fleet; takes the options of harness.run too."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.options import add_config_options, asked_workload, config_from
from harness.config import RunConfig
from harness.core.errors import (
    EXIT_BUDGET,
    EXIT_CELLS_FAILED,
    EXIT_DONE,
    EXIT_INTERRUPTED,
    StorageError,
    UsageError,
)
from harness.core.parser import Parser, add_include_options, read_options
from harness.core.shell_words import shell_line, shell_word
from harness.fleet.flower_lines import require_flower
from harness.fleet.keys import SERVER, ServerKeys
from harness.workloads.registry import find_workload

if TYPE_CHECKING:
    from harness.fleet.fleet import Fleet
    from harness.fleet.settings import FleetSettings
    from harness.fleet.status_screen import FleetScreen
    from harness.fleet.transport import Transport
    from harness.running.session import RunSummary
    from harness.running.target import Target

PORT = 8000


@dataclass(frozen=True)
class ServerOptions:
    """Hold the options of a server that say nothing about training."""

    host: str
    port: int
    keys: Path
    insecure: bool
    state: Path
    fresh: bool
    deadline_s: float
    join_s: float
    begin_with: int
    batch_from_profile: bool
    mixed: bool
    most_body_bytes: int


def parser(kind: type[RunConfig]) -> Parser:
    """Return the parser of the command."""
    found = Parser(prog="python -m harness.fleet server", description=__doc__, allow_abbrev=False)
    add_include_options(found)
    own = found.add_argument_group("fleet")
    own.add_argument("--host", default="127.0.0.1", help="address devices dial [127.0.0.1]")
    own.add_argument("--port", type=int, default=PORT, help=f"port devices dial [{PORT}]")
    own.add_argument("--keys", default="keys", metavar="DIR", help="folder of all keys [keys]")
    own.add_argument("--insecure", action="store_true", help="no TLS, no keys: anybody can join")
    own.add_argument(
        "--deadline",
        type=float,
        default=600.0,
        metavar="S",
        help="seconds after which a round is closed [600]",
    )
    own.add_argument(
        "--join-wait",
        type=float,
        default=600.0,
        metavar="S",
        help="seconds to wait for devices before round 1 [600]",
    )
    own.add_argument(
        "--begin-with",
        type=int,
        default=0,
        metavar="N",
        help="begin with N devices; else every client must have one",
    )
    own.add_argument(
        "--batch-from-profile",
        action="store_true",
        help="each device trains in its profile's batches; changes results",
    )
    own.add_argument("--allow-mixed", action="store_true", help="let other versions take part")
    own.add_argument(
        "--most-megabytes", type=int, default=64, help="largest request taken from a device [64]"
    )
    own.add_argument("--state", default=".fleet", metavar="DIR", help="logs, status [.fleet]")
    own.add_argument("--fresh", action="store_true", help="start a new run even if one could go on")
    add_config_options(found, kind)
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Run to the end and return the exit status."""
    config, options = read_words(words or [])
    require_flower()
    if not options.insecure:
        ServerKeys(options.keys / SERVER).check()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = options.state.resolve() / "server"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        text = f"cannot make {folder}: {error.strerror}"
        raise StorageError(text, "Choose another --state.") from None
    return _serve(config, options, folder)


def read_words(words: Sequence[str]) -> tuple[RunConfig, ServerOptions]:
    """Read the command's options.

    Raises:
        UsageError: for any that cannot be.
    """
    kind = asked_workload(words).config_class()
    parsed = read_options(parser(kind), words)
    return fleet_config(config_from(parsed, kind)), _run_options(parsed)


def _run_options(parsed: argparse.Namespace) -> ServerOptions:
    for name in ("deadline", "join_wait", "most_megabytes"):
        if not getattr(parsed, name) > 0:
            raise UsageError(f"--{name.replace('_', '-')} must be above 0")
    return ServerOptions(
        parsed.host, parsed.port, Path(parsed.keys), parsed.insecure, Path(parsed.state),
        parsed.fresh, parsed.deadline, parsed.join_wait, parsed.begin_with,
        parsed.batch_from_profile, parsed.allow_mixed, parsed.most_megabytes << 20,
    )  # fmt: skip


def fleet_config(config: RunConfig) -> RunConfig:
    """Return the configuration of a run whose devices measure themselves.

    Raises:
        UsageError: for options that say something of the host that trains.
    """
    if config.device != "auto" or config.meter != "auto":
        raise UsageError("--device and --meter belong to the nodes of a fleet",
                         "Give them to python -m harness.fleet node.")  # fmt: skip
    return replace(find_workload(config.workload).for_fleet(config), meter="none")


def _serve(config: RunConfig, options: ServerOptions, folder: Path) -> int:
    from rich.console import Console  # noqa: PLC0415

    from harness.fleet.gateway import Gateway  # noqa: PLC0415
    from harness.fleet.status_screen import FleetScreen  # noqa: PLC0415

    screen = FleetScreen(Console(highlight=False), config, folder)
    with tempfile.TemporaryDirectory(prefix="fleet-") as private:
        gateway = Gateway(options, folder, Path(private) / "relay.sock", screen.fleet_note)
        try:
            gateway.open()
            summary = run_over(gateway.link, config, options, screen)
        finally:
            gateway.close()
    return _say(summary, screen)


def run_over(
    transport: Transport, config: RunConfig, options: ServerOptions, screen: FleetScreen
) -> RunSummary:
    """Gather the devices that a transport reaches, and run the matrix over them."""
    from harness.fleet.fleet import Fleet  # noqa: PLC0415 - imports torch
    from harness.measurement.gpu_faults import gpu_errors  # noqa: PLC0415
    from harness.measurement.memory import memory_errors  # noqa: PLC0415
    from harness.run_folder.resume import Start  # noqa: PLC0415
    from harness.running import session  # noqa: PLC0415
    from harness.running.limits import Limits  # noqa: PLC0415
    from harness.running.target import resolve_target  # noqa: PLC0415
    from harness.workloads.base import Settling  # noqa: PLC0415

    target = resolve_target(config)
    workload = find_workload(config.workload)
    with memory_errors(), gpu_errors():
        draft = workload.draft(config, target, {}, Settling(remote=True), screen)
        opened = draft.open(screen)
    checksum = str(opened.facts()["data"])
    fleet = Fleet(transport, fleet_settings(config, options, opened.clients, checksum), screen)
    ended = "failed"
    try:
        with memory_errors(), gpu_errors(), screen:
            fleet.gather()
            target = fleet_target(target, fleet)
            screen.plan(target)
            summary = session.run(
                config, target, opened, screen, Start(options.fresh), Limits(), devices=fleet
            )
        ended = "interrupted" if summary.stopped else "done"
    finally:
        screen.finished(ended)
    return summary


def fleet_settings(
    config: RunConfig, options: ServerOptions, clients: int, data: str
) -> FleetSettings:
    """Return how the server deals with its devices."""
    from harness.fleet.settings import FleetSettings  # noqa: PLC0415
    from harness.fleet.versions import versions  # noqa: PLC0415

    told = {k: v for k, v in config.as_dict().items() if k not in ("out", "cache", "threads")}
    return FleetSettings(
        told, clients, data, versions(), options.deadline_s, options.join_s,
        options.begin_with, options.batch_from_profile, options.mixed, 1.0 / config.rate_hz,
        options.insecure,
    )  # fmt: skip


def fleet_target(target: Target, fleet: Fleet) -> Target:
    """Return the target of a run that answers for a fleet: the server itself is no device of it."""
    devices = fleet.describe()["devices"]
    titles = ", ".join(f"{d['device']} ({d['title']})" for d in devices)
    profile = replace(target.profile, name="fleet", title=f"fleet of {len(devices)}: {titles}")
    return replace(
        target, profile=profile, matches=all(d["matches"] for d in devices),
        meter_reason="every device measures itself: devices.csv",
    )  # fmt: skip


def _say(summary: RunSummary, screen: FleetScreen) -> int:
    screen.conclude(summary)
    if summary.stopped:
        screen.stopped(summary, f"python -m harness.fleet server {shell_line(sys.argv[2:])}")
        return EXIT_BUDGET if summary.stopped == "budget" else EXIT_INTERRUPTED
    from harness.cli.ending import report_on  # noqa: PLC0415

    page = report_on(summary.path) if summary.done else None
    screen.goodbye(summary, page, f"python -m harness.check {shell_word(summary.path)}")
    return EXIT_CELLS_FAILED if summary.failed else EXIT_DONE
