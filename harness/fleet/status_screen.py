"""Show a fleet to people: a line per device and round, and a file that `status` reads."""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from harness.cli.screen import RunScreen
from harness.config import RunConfig
from harness.records.values import Progress
from harness.workloads.registry import find_workload

if TYPE_CHECKING:
    from harness.running.target import Target

STATUS = "status.json"
MOST_LINES = 12
"""Of more devices than this only the first are shown after a round; `status` shows all."""


class FleetScreen(RunScreen):
    """Show a run and its devices; implements `harness.fleet.fleet.FleetObserver` too."""

    def __init__(self, console: Console, config: RunConfig, folder: Path) -> None:
        """Write the status file into a folder."""
        super().__init__(console, config, find_workload(config.workload))
        self._folder = folder
        self._rows: Sequence[Mapping[str, Any]] = ()
        self._run = ""

    def energy(self, target: Target) -> str:
        """Return in words what energy figures there will be."""
        return target.meter_reason

    def fleet_note(self, text: str) -> None:
        """Print a sentence on a device."""
        self._print(self._wrapped(f"  {text}", 4))

    def fleet_state(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Remember where every device stands and write it down."""
        self._rows = rows
        self._save("running")

    def run_started(self, path: Path, *, resumed: bool) -> None:
        """Remember where results will be."""
        super().run_started(path, resumed=resumed)
        self._run = str(path)

    def round_done(self, progress: Progress) -> None:
        """Show how far the cell is, and every device."""
        progress = replace(
            progress, power_w=_sum(self._rows, "watts"), energy_j=_sum(self._rows, "energy_j")
        )
        super().round_done(progress)
        live = self._live(progress)
        self._print(
            "  ".join(filter(None, (f"  {progress.job} round {progress.rounds_done}", live)))
        )
        for line in device_lines(self._rows[:MOST_LINES], time.time()):
            self._print(f"    {line}")
        if len(self._rows) > MOST_LINES:
            self._print(f"    and {len(self._rows) - MOST_LINES} more")

    def finished(self, status: str) -> None:
        """Write down that the run is over."""
        self._save(status)

    def _save(self, status: str) -> None:
        """Write the file whole or not at all; it is not worth stopping a run for."""
        values = {
            "status": status, "process": os.getpid(), "written_s": time.time(), "run": self._run,
            "devices": list(self._rows),
        }  # fmt: skip
        part = self._folder / f"{STATUS}.part"
        with contextlib.suppress(OSError):
            part.write_text(json.dumps(values))
            part.replace(self._folder / STATUS)


def device_lines(rows: Sequence[Mapping[str, Any]], now_s: float) -> list[str]:
    """Return the table of devices: round, watts, joules, temperature, last seen."""
    table = [("device", "clients", "round", "W", "J", "°C", "seen", "")]
    table += [
        (
            str(row["device"]),
            ",".join(map(str, row["partition"])),
            "–" if row["round"] is None else str(row["round"] + 1),
            _number(row["watts"], ".1f"),
            _number(row["energy_j"], ".1f"),
            _number(row["temperature_c"], ".0f"),
            "never" if row["heard_s"] is None else f"{max(0.0, now_s - row['heard_s']):.0f} s ago",
            str(row["state"]) if row["here"] else f"{row['state']}, away",
        )
        for row in rows
    ]
    widths = [max(len(line[at]) for line in table) for at in range(len(table[0]))]
    return [
        "  ".join(
            text.ljust(width) if at in (0, 7) else text.rjust(width)
            for at, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]


def _sum(rows: Sequence[Mapping[str, Any]], key: str) -> float | None:
    """Return the sum over all devices; None if one of them has no figure."""
    known = [row[key] for row in rows if row[key] is not None]
    return math.fsum(known) if known and len(known) == len(rows) else None


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
