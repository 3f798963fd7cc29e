"""Read the power in a foreign log: any CSV with a column of times, and one of W or two of V and A.

USB testers and lab supplies write such files, each with columns and units of its own, so these are
named by whoever replays one.
"""

from __future__ import annotations

import csv
import datetime as dt
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from devices.errors import DeviceError
from devices.meters.log_numbers import DECIMALS, NumberStyle, find_style
from devices.names import did_you_mean

UNITS_W = {"W": 1.0, "mW": 1e-3, "uW": 1e-6, "kW": 1e3}
UNITS_S = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
DELIMITERS = (",", ";", "\t", "|")
OPTIONS = ("file", "time", "time_unit", "power", "volts", "amps", "unit", "decimal")
EXAMPLE = "write replay:file=log.csv,time=Time,power=Watts, or volts=V,amps=A instead of power"

_CLOCK = re.compile(r"[0-9]{1,6}(?::[0-5]?[0-9]){1,2}(?:[.,][0-9]{0,12})?")
"""Hours:minutes:seconds, or minutes:seconds; a comma groups no digits of seconds."""


@dataclass(frozen=True)
class LogColumns:
    """Hold which columns of a log say what, and in which unit.

    Attributes:
        time: Column of times: seconds (or `time_unit`), a date with time, or hours:minutes:seconds.
        values: Column of the power, or those of voltage and current, whose product it is.
        unit_w: Watts of one unit of the power, or of the product.
        unit_s: Seconds of one unit of time.
        decimal: The sign that begins decimals; empty to tell it by the log's numbers.
    """

    time: str
    values: tuple[str, ...]
    unit_w: float
    unit_s: float
    decimal: str = ""

    @classmethod
    def from_options(cls, options: Mapping[str, str]) -> LogColumns:
        """Read the options.

        Raises:
            DeviceError: One is missing, or names no unit.
        """
        pair = tuple(options.get(key, "") for key in ("volts", "amps"))
        power = options.get("power", "")
        if not options.get("time") or bool(power) == bool(any(pair)) or (any(pair) and "" in pair):
            raise DeviceError("a log needs the names of its columns", EXAMPLE)
        return cls(
            options["time"],
            (power,) if power else pair,
            _unit(options, "unit", "W", UNITS_W),
            _unit(options, "time_unit", "s", UNITS_S),
            _decimal(options.get("decimal", "")),
        )


@dataclass
class LogTrace:
    """Hold a log's times, from 0 at its first line, and watts."""

    times_s: list[float] = field(default_factory=list)
    power_w: list[float] = field(default_factory=list)


def _unit(options: Mapping[str, str], key: str, usual: str, known: Mapping[str, float]) -> float:
    name = options.get(key, usual)
    if name not in known:
        raise DeviceError(f"{key}={name!r} is no unit that is known", f"one of {', '.join(known)}")
    return known[name]


def _decimal(name: str) -> str:
    if name and name not in DECIMALS:
        raise DeviceError(f"decimal={name!r} is not known", f"one of {', '.join(DECIMALS)}")
    return DECIMALS.get(name, "")


def read_log(path: Path, columns: LogColumns) -> LogTrace:
    """Read a log; lines before the header may begin with #.

    Raises:
        DeviceError: It cannot be read, lacks a column, or a line of it says no time or no number.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DeviceError(f"log {path} cannot be read: {error}") from error
    lines = text.splitlines()
    skipped = 0
    while skipped < len(lines) and (not lines[skipped].strip() or lines[skipped][0] == "#"):
        skipped += 1
    if skipped == len(lines):
        raise DeviceError(f"log {path} is empty")
    delimiter = max(DELIMITERS, key=lines[skipped].count)
    rows = csv.reader(lines[skipped:], delimiter=delimiter)
    try:
        header = [name.strip() for name in next(rows)]
        places = [_place(path, header, name) for name in (columns.time, *columns.values)]
        read = [
            (f"{path}:{number}", _cells(row, places, len(header), f"{path}:{number}"))
            for number, row in enumerate(rows, start=skipped + 2)
            if any(cell.strip() for cell in row)
        ]
    except csv.Error as error:
        raise DeviceError(f"log {path} is not CSV: {error}") from error
    style = _style(path, columns, [cells for _, cells in read])
    found = LogTrace()
    for where, cells in read:
        _add(found, columns, style, cells, where)
    if not found.times_s:
        raise DeviceError(f"log {path} holds no line of figures")
    first_s = found.times_s[0]
    found.times_s = [time_s - first_s for time_s in found.times_s]
    return found


def _place(path: Path, header: Sequence[str], name: str) -> int:
    """Return where a column stands; upper and lower case are alike if nothing matches exactly."""
    for alike in (str, str.casefold):
        matches = [at for at, known in enumerate(header) if alike(known) == alike(name)]
        if matches:
            return matches[0]
    hint = f"{did_you_mean(name, header)}Columns are: {', '.join(header)}"
    raise DeviceError(f"log {path} has no column {name!r}", hint)


def _cells(row: Sequence[str], places: Sequence[int], most: int, where: str) -> list[str]:
    if max(places) >= len(row):
        raise DeviceError(f"{where}: the line is too short")
    if any(cell.strip() for cell in row[most:]):
        raise DeviceError(
            f"{where}: more fields than the header has", "write decimals with a point"
        )
    return [row[at].strip() for at in places]


def _style(path: Path, columns: LogColumns, rows: Sequence[Sequence[str]]) -> NumberStyle:
    """Return how numbers are written: as is said, or as all of them together show."""
    if columns.decimal:
        return NumberStyle(columns.decimal)
    try:
        return find_style(cell for cells in rows for cell in cells)
    except DeviceError as error:
        raise DeviceError(f"log {path}: {error.message}", error.remedy) from None


def _add(
    found: LogTrace, columns: LogColumns, style: NumberStyle, cells: Sequence[str], where: str
) -> None:
    time_s = _time(cells[0], columns.unit_s, style, where)
    if found.times_s and time_s <= found.times_s[-1]:
        raise DeviceError(
            f"{where}: time does not go forward",
            "a log needs times finer than its lines: seconds with a fraction, or milliseconds",
        )
    found.times_s.append(time_s)
    factors = [_number(cell, style, where) for cell in cells[1:]]
    found.power_w.append(columns.unit_w * math.prod(factors))


def _time(text: str, unit_s: float, style: NumberStyle, where: str) -> float:
    """Return seconds of a number, of a date with time, or of hours:minutes:seconds."""
    if ":" not in text:
        return unit_s * _number(text, style, where)
    if "-" in text or "/" in text:
        try:
            return dt.datetime.fromisoformat(text.replace("/", "-")).timestamp()
        except ValueError:
            raise DeviceError(f"{where}: {text!r} is no time") from None
    if not _CLOCK.fullmatch(text):
        raise DeviceError(f"{where}: {text!r} is no time")
    parts = [float(part) for part in text.replace(",", ".").split(":")]
    return sum(part * 60.0**power for power, part in enumerate(reversed(parts)))


def _number(text: str, style: NumberStyle, where: str) -> float:
    try:
        value = style.read(text)
    except ValueError:
        raise DeviceError(f"{where}: {text!r} is no number") from None
    if not math.isfinite(value):
        raise DeviceError(f"{where}: {text!r} is not a finite number")
    return value
