"""Show what every meter and rail of this host reads now."""

from __future__ import annotations

import math
import os
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TextIO

from harness.core.command_frame import run_command
from harness.core.errors import EXIT_DONE, MeterMissingError, StorageError, UsageError
from harness.core.parser import Parser, add_include_options

if TYPE_CHECKING:
    from devices.stream import Stream
    from harness.measurement.meters import MeterSet

BARS = "▁▂▃▄▅▆▇█"
PLAIN_BARS = "._-=+*%#"
SPARKS = 24
COLUMNS = "t_s,meter,rail,power_w,max_power_w,energy_j"

EPILOG = """A rail without a reading in the last five periods shows none; joules are those since the
start. exit status: 0 done or stopped by Ctrl-C; 2 wrong usage; 3 no meter; 9 files cannot be
written."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = Parser(
        prog="python -m harness.watch",
        description="Show what every meter of this host reads now.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--meter",
        metavar="NAME",
        action="append",
        default=[],
        help="this one; may be repeated [all]",
    )
    add("--every", metavar="SECONDS", default="1", help="from one look to the next [1]")
    add("--count", metavar="N", default="", help="stop after so many looks [never]")
    add("--rate", metavar="HZ", default="10", help="readings per second [10]")
    add("--prometheus", metavar="FILE", default="", help="file for node_exporter's textfile")
    add("--csv", metavar="FILE", default="", help="write a line per rail and look")
    add("--root", metavar="DIR", default="/", help="look for sensors below this folder")
    add_include_options(parser)
    return run_command(parser, words, _watch)


@dataclass(frozen=True)
class RailNow:
    """Hold what one rail shows; None for what it does not show."""

    meter: str
    rail: str
    power_w: float | None
    max_power_w: float | None
    energy_j: float | None
    recent_w: Sequence[float]


def rail_now(meter: str, stream: Stream, stale_s: float, now_s: float) -> RailNow:
    """Return what a rail shows now; a reading older than `stale_s` is none."""
    known = [w for w in stream.power_w if not math.isnan(w)]
    fresh = bool(known) and now_s - stream.times_s[-1] <= stale_s
    return RailNow(
        meter,
        stream.rail.name,
        known[-1] if fresh else None,
        max(known, default=None),
        stream.curve_j[-1] if len(stream) > 1 else None,
        known[-SPARKS:],
    )


def rails_now(meters: MeterSet, now_s: float) -> list[RailNow]:
    """Return what every rail of every meter shows."""
    found = []
    for meter in meters.running:
        streams = meter.streams()
        found += [
            rail_now(meter.name, stream, streams.gap_limit_s, now_s) for stream in streams.streams
        ]
    return found


def spark(values: Sequence[float], bars: str = BARS) -> str:
    """Return a line of bars, from 0 to the greatest of the values."""
    top = max(values, default=0.0)
    if top <= 0.0:
        return bars[0] * len(values)
    last = len(bars) - 1
    return "".join(bars[min(last, max(0, round(last * value / top)))] for value in values)


def screen(rails: Sequence[RailNow], passed_s: float, bars: str = BARS) -> list[str]:
    """Return the lines of the screen, none wider than 80 columns."""
    lines = [f"{'meter':<11}{'rail':<14}{'now W':>9} {'':<{SPARKS}}{'max W':>9}{'J':>11}"]
    for rail in rails:
        sparks = spark(rail.recent_w, bars)
        lines.append(
            f"{rail.meter[:10]:<11}{rail.rail[:13]:<14}{_shown(rail.power_w):>9} "
            f"{sparks:<{SPARKS}}{_shown(rail.max_power_w):>9}{_shown(rail.energy_j):>11}"
        )
    return [*lines, f"{passed_s:.0f} s since the start; Ctrl-C ends"]


def plain_line(rail: RailNow, passed_s: float) -> str:
    """Return one rail as a line for a file or a pipe."""
    return (
        f"{passed_s:9.1f} s  {rail.meter} {rail.rail}: {_shown(rail.power_w)} W now,"
        f" {_shown(rail.max_power_w)} W at most, {_shown(rail.energy_j)} J"
    )


def prometheus(rails: Sequence[RailNow]) -> str:
    """Return the rails in Prometheus' text format; what is not known has no line."""
    lines = []
    for name, kind, meaning, attribute in (
        ("harness_power_watts", "gauge", "Power of a rail now.", "power_w"),
        ("harness_energy_joules_total", "counter", "Joules of a rail since the start.", "energy_j"),
    ):
        lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
        for rail in rails:
            value = getattr(rail, attribute)
            if value is not None:
                labels = f'meter="{_escaped(rail.meter)}",rail="{_escaped(rail.rail)}"'
                lines.append(f"{name}{{{labels}}} {value!r}")
    return "\n".join([*lines, ""])


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _shown(value: float | None) -> str:
    if value is None:
        return "none"
    return f"{value:.2f}" if abs(value) < 10_000 else f"{value:.0f}"


def _watch(parsed: Namespace) -> int:
    from harness.measurement.meters import running_meters  # noqa: PLC0415 - --help is light

    every_s = _positive("--every", parsed.every)
    rate_hz = _positive("--rate", parsed.rate)
    count = math.inf if parsed.count == "" else _positive("--count", parsed.count)
    if count < 1 or (parsed.count and not parsed.count.isdigit()):
        raise UsageError(f"--count: cannot read '{parsed.count}'", "Give a whole number from 1.")
    root = Path(parsed.root)
    names = _names(parsed.meter, root)
    for path in (parsed.prometheus, parsed.csv):
        _check(path)
    with TemporaryDirectory(prefix="watch-") as folder, running_meters(
        (), names, Path(folder), rate_hz=rate_hz, root=root
    ) as meters:  # fmt: skip
        try:
            _Watching(meters, parsed.prometheus, parsed.csv).go_on(every_s, count)
        except KeyboardInterrupt:
            return EXIT_DONE
    return EXIT_DONE


def _names(asked: Sequence[str], root: Path) -> list[str]:
    """Return the meters asked for, or all that work here.

    Raises:
        HarnessError: for an unknown meter, or if none works.
    """
    from devices.meters.registry import MADE_UP, METERS, try_meter  # noqa: PLC0415
    from harness.measurement.choice import choose_meters  # noqa: PLC0415

    if asked:
        return list(choose_meters("none", asked, root=root).witnesses)
    answers = [try_meter(name, root) for name in METERS if name not in MADE_UP]
    if not any(answer.usable for answer in answers):
        raise MeterMissingError("no meter works here", "python -m harness.doctor says why.")
    return [answer.meter for answer in answers if answer.usable]


class _Watching:
    """Show, and write, one look after another."""

    def __init__(self, meters: MeterSet, prometheus_file: str, csv_file: str) -> None:
        self._meters = meters
        self._prometheus = prometheus_file
        self._csv = Path(csv_file) if csv_file else None
        self._start_s = time.monotonic()
        self._lines = 0
        if self._csv is not None:
            self._csv.write_text(COLUMNS + "\n", encoding="utf-8")

    def go_on(self, every_s: float, count: float) -> None:
        done = 0
        while done < count:
            done += 1
            time.sleep(max(0.0, self._start_s + done * every_s - time.monotonic()))
            now_s = time.monotonic()
            rails = rails_now(self._meters, now_s)
            self._show(rails, now_s - self._start_s, sys.stdout)
            if self._csv is not None:
                self._append(rails, now_s - self._start_s, self._csv)
            if self._prometheus:
                _replace(Path(self._prometheus), prometheus(rails))

    def _show(self, rails: Sequence[RailNow], passed_s: float, stream: TextIO) -> None:
        if not stream.isatty():
            print("\n".join(plain_line(rail, passed_s) for rail in rails), file=stream, flush=True)
            return
        bars = BARS if "utf" in (stream.encoding or "").lower() else PLAIN_BARS
        up = f"\x1b[{self._lines}F\x1b[J" if self._lines else ""
        lines = screen(rails, passed_s, bars)
        self._lines = len(lines)
        print(up + "\n".join(lines), file=stream, flush=True)

    @staticmethod
    def _append(rails: Sequence[RailNow], passed_s: float, path: Path) -> None:
        with path.open("a", encoding="utf-8") as stream:
            for rail in rails:
                numbers = (rail.power_w, rail.max_power_w, rail.energy_j)
                told = ("" if n is None else repr(n) for n in numbers)
                stream.write(",".join([f"{passed_s:.3f}", rail.meter, rail.rail, *told]) + "\n")


def _replace(path: Path, text: str) -> None:
    """Write a file so that whoever reads it never finds half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _check(path: str) -> None:
    folder = Path(path).absolute().parent
    if path and (Path(path).is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK)):
        raise StorageError(f"{path} cannot be written", "Choose a file in a folder of your own.")


def _positive(option: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value < math.inf:
        raise UsageError(f"{option}: cannot read '{text}'", "Give a number above 0.")
    return value
