"""Measure windows with one tool: python -m tests.benchmarks.contestants TOOL WINDOWS SECONDS.

Prints one line of JSON: what setting up took, and for every window its edges on the monotonic
clock, the joules the tool gave, and the processor seconds it used, its helpers' included.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devices.board_counters import parse_process_s

KWH_J = 3.6e6
RATE_HZ = 10.0


@dataclass
class Tool:
    """Hold what a tool does: begin a window, end it and tell joules, shut down."""

    begin: Callable[[], object]
    end: Callable[[], float | None]
    close: Callable[[], object]


def ours() -> Tool:
    """Measure with this project's collector."""
    from devices.collector import Collector  # noqa: PLC0415 - its import is part of the set-up
    from devices.energy import energy  # noqa: PLC0415

    folder = tempfile.TemporaryDirectory(prefix="ours-")
    collector = Collector("rapl", Path("/"), RATE_HZ, Path(folder.name) / "records.bin")
    collector.start()
    edges: list[float] = []

    def end() -> float | None:
        end_s = time.monotonic()
        collector.wait_past(end_s)
        return energy(collector.streams(), edges.pop(), end_s).energy_j

    def close() -> None:
        collector.stop()
        folder.cleanup()

    return Tool(lambda: edges.append(time.monotonic()), end, close)


def codecarbon() -> Tool:
    """Measure with CodeCarbon's tasks, offline, once a second; its figure for the processor."""
    from codecarbon import OfflineEmissionsTracker  # noqa: PLC0415

    tracker = OfflineEmissionsTracker(
        country_iso_code="DEU",
        measure_power_secs=1,
        save_to_file=False,
        log_level="error",
        allow_multiple_runs=True,
    )
    numbers = iter(range(1_000_000))

    def end() -> float | None:
        return float(tracker.stop_task().cpu_energy) * KWH_J

    return Tool(lambda: tracker.start_task(f"window {next(numbers)}"), end, tracker.stop)


def zeus() -> Tool:
    """Measure with Zeus's windows; the sum over what it takes for processors."""
    from zeus.monitor import ZeusMonitor  # noqa: PLC0415

    monitor = ZeusMonitor(gpu_indices=[])

    def end() -> float | None:
        told = monitor.end_window("window").cpu_energy
        return sum(told.values()) if told else None

    return Tool(lambda: monitor.begin_window("window"), end, lambda: None)


TOOLS = {"ours": ours, "codecarbon": codecarbon, "zeus": zeus}


def cpu_s(process_id: int) -> float:
    """Return the processor seconds of a process and all its descendants that still live."""
    total_s = 0.0
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        parents[int(stat.parent.name)] = (int(text.rpartition(")")[2].split()[1]), text)
    wanted = {process_id}
    for _ in parents:
        more = {child for child, (parent, _) in parents.items() if parent in wanted} | wanted
        if more == wanted:
            break
        wanted = more
    for member in wanted & parents.keys():
        total_s += parse_process_s(parents[member][1]) or 0.0
    return total_s


def measure(name: str, windows: int, seconds: float) -> dict[str, object]:
    """Set a tool up and let it measure windows that lie back to back."""
    start_s, spent_s = time.monotonic(), cpu_s(os.getpid())
    tool = TOOLS[name]()
    tool.begin()  # what a tool sets up at its first window belongs to the set-up
    tool.end()
    setup = {
        "setup_s": time.monotonic() - start_s,
        "setup_cpu_s": cpu_s(os.getpid()) - spent_s,
    }
    found = []
    for _ in range(windows):
        spent_s = cpu_s(os.getpid())
        before_s = time.monotonic()
        tool.begin()
        begun_s = time.monotonic()
        time.sleep(seconds)
        ending_s = time.monotonic()
        energy_j = tool.end()
        after_s = time.monotonic()
        found.append(
            {
                "start_s": 0.5 * (before_s + begun_s),
                "end_s": ending_s if name == "ours" else 0.5 * (ending_s + after_s),
                "energy_j": energy_j,
                "calls_s": begun_s - before_s + after_s - ending_s,
                "cpu_s": cpu_s(os.getpid()) - spent_s,
            }
        )
    tool.close()
    return {**setup, "windows": found}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))
