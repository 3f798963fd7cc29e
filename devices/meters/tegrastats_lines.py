"""Parse the lines of `tegrastats` and follow a running one."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections import Counter
from typing import NamedTuple

from devices.meters.base import Clock
from devices.meters.programs import stop_group

LONGEST_LINE = 65_536
JOIN_LIMIT_S = 2.0

_RAIL = re.compile(
    r"(?:(?<=\s)|^)(?P<name>[A-Z][A-Z0-9_]*)\s+(?P<now>-?[0-9]{1,7})(?:mW)?"
    r"(?:/-?[0-9]{1,7}(?:mW)?){1,2}(?=\s|$)",
    re.ASCII,
)
_NOT_RAILS = ("RAM", "SWAP", "IRAM")


class RailPower(NamedTuple):
    """Hold one rail of one line, by its printed name."""

    name: str
    power_w: float


def parse_line(line: str) -> list[RailPower]:
    """Return the rails of one line in order, unconnected ones (`NC`, which repeats) included.

    A rail is a word of capitals, digits and underscores, then two numbers (now and mean; JetPack 4
    to 7.1) or three (now, mean, peak; JetPack 7.2), in milliwatts with or without the unit. Only
    the first counts: the mean runs since the start of the program. Memory has the same shape.
    """
    return [
        RailPower(match["name"], int(match["now"]) / 1000.0)
        for match in _RAIL.finditer(line)
        if match["name"] not in _NOT_RAILS
    ]


def connected_rails(rails: list[RailPower]) -> dict[str, float]:
    """Return watts by unique name, without unconnected rails; a second `X` becomes `X (2)`."""
    counts: Counter[str] = Counter()
    named = {}
    for rail in rails:
        if rail.name == "NC":
            continue
        counts[rail.name] += 1
        repeat = counts[rail.name]
        named[rail.name if repeat == 1 else f"{rail.name} ({repeat})"] = rail.power_w
    return named


class LineFollower:
    """Read a program's lines in a thread and stamp them when they arrive.

    Of several lines that arrive in one piece only the last is kept, because the others are of
    unknown age. Lines without rails are no readings.

    Args:
        process: The program, its standard output in a pipe; `stop` kills it with its group.
        clock: Stamps the lines.
    """

    def __init__(self, process: subprocess.Popen[bytes], clock: Clock) -> None:
        assert process.stdout is not None
        self._process = process
        self._output = process.stdout
        self._clock = clock
        self._pending: list[tuple[float, dict[str, float]]] = []
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._follow, name="tegrastats", daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        rest = b""
        while piece := os.read(self._output.fileno(), LONGEST_LINE):
            time_s = self._clock()
            *lines, rest = (rest + piece).split(b"\n")
            rest = rest[-LONGEST_LINE:]
            self._take(lines, time_s)
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _take(self, lines: list[bytes], time_s: float) -> None:
        for line in reversed(lines):
            values = connected_rails(parse_line(line.decode("utf-8", "replace")))
            if values:
                with self._changed:
                    self._pending.append((time_s, values))
                    self._changed.notify_all()
                return

    def first(self, timeout_s: float) -> dict[str, float]:
        """Wait for a reading and return it without taking it; empty if none comes in time."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._pending) or self._ended, timeout_s)
            return dict(self._pending[0][1]) if self._pending else {}

    def take(self) -> list[tuple[float, dict[str, float]]]:
        """Return and forget all readings since the last call, each with its arrival time."""
        with self._changed:
            taken, self._pending = self._pending, []
            return taken

    def stop(self) -> None:
        """Kill the program with its group and wait for the thread."""
        stop_group(self._process)
        self._thread.join(JOIN_LIMIT_S)
        # A stranger that left the group may still hold the pipe; the thread then dies with us.
        if not self._thread.is_alive():
            self._output.close()
