"""Read the power rails of NVIDIA Jetson modules from the lines that `tegrastats` prints.

The program is the second choice after the kernel's files: it shows the same chips, in whole
milliwatts, at its own pace, and on some releases only to root.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from devices.container import recipe, start_with
from devices.errors import DeviceError
from devices.meters.base import Availability, Clock, Meter, MeterInfo, RawSample, Rejected
from devices.meters.board_rails import BoardRails, RailChoice, choose_rule, find_board_rails
from devices.meters.ina3221_chips import AVERAGING_S, find_channels, find_chips
from devices.programs import Launch, find_program, launch_program, stop_program

PROGRAM = "tegrastats"
DEFAULT_INTERVAL_MS = 500.0
PROBE_INTERVAL_MS = 100.0
FIRST_LINE_LIMIT_S = 2.0
SILENT_INTERVALS = 4.0
"""Without a line for so many intervals the program counts as stuck."""

MISSING = "the program tegrastats, which belongs to NVIDIA Jetson, is not installed"
INSTALL_FIX = "sudo apt install nvidia-l4t-tools"
ROOT_FIX = "sudo tegrastats --interval 1000 shows whether root sees them; then run as root"

LONGEST_LINE = 65_536
JOIN_LIMIT_S = 2.0
REST_SHARE = 0.25
LINES_LOOKED_AT = 20
"""At most so many lines of one piece are searched for rails, from the last on."""

_RAIL = re.compile(
    r"(?:(?<=\s)|^)(?P<name>[0-9]*[A-Z][A-Z0-9_]*)\s+(?P<now>-?[0-9]{1,7})(?: *mW)?"
    r"(?: */ *-?[0-9]{1,7}(?: *mW)?){1,2}(?=\s|$)(?! */)",
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
        if not any(word.endswith(match["name"]) for word in _NOT_RAILS)  # or the end of a cut one
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
    unknown age. Lines without rails are no readings. After each piece it rests for a part of the
    interval, so that a program that prints without pause costs a few readings and not a core.

    Args:
        process: The program, its standard output in a pipe; `stop` kills it with its group.
        clock: Stamps the lines.
        interval_s: Time between lines that was asked for.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], clock: Clock, interval_s: float = 0.0
    ) -> None:
        assert process.stdout is not None
        self._process = process
        self._output = process.stdout
        self._clock = clock
        self._pending: list[tuple[float, dict[str, float]]] = []
        self._changed = threading.Condition()
        self._ended = False
        self._rest_s = REST_SHARE * interval_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="tegrastats", daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        rest = b""
        while piece := os.read(self._output.fileno(), LONGEST_LINE):
            time_s = self._clock()
            *lines, rest = (rest + piece).split(b"\n")
            rest = rest[-LONGEST_LINE:]
            self._take(lines, time_s)
            self._stopping.wait(self._rest_s)
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _take(self, lines: list[bytes], time_s: float) -> None:
        for line in reversed(lines[-LINES_LOOKED_AT:]):
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
        self._stopping.set()
        stop_program(self._process)
        self._thread.join(JOIN_LIMIT_S)
        # A stranger that left the group may still hold the pipe; the thread then dies with us.
        if not self._thread.is_alive():
            self._output.close()


class TegrastatsMeter(Meter):
    """Follow `tegrastats`; its lines are stamped by the injected clock when they arrive.

    Options: `interval_ms` (time between lines), and `board` and `scope` as for `ina3221`.
    """

    name = "tegrastats"
    trial_fix = "sudo tegrastats --interval 1000 shows what it prints"
    option_names = ("interval_ms", "board", "scope")

    def __init__(
        self,
        root: Path = Path("/"),
        clock: Clock = time.monotonic,
        options: Mapping[str, str] | None = None,
        launch: Launch = launch_program,
    ) -> None:
        super().__init__(root, clock, options)
        self._launch = launch
        self.interval_ms = self.float_option("interval_ms", DEFAULT_INTERVAL_MS)
        if not 50.0 <= self.interval_ms <= 1000.0:
            raise DeviceError("tegrastats: interval_ms must lie between 50 and 1000")
        self._follower: LineFollower | None = None
        self._heard_s = 0.0

    def refusal(self) -> Availability | None:
        """Refuse unless the program is here and prints the rails of this board."""
        if find_program(self.root, PROGRAM) is None:
            words = recipe(self.root)  # a container has no packages of the board's system
            shown = words and start_with(words.mount(f"/usr/bin/{PROGRAM}"))
            return self.refuse("no-sensor", MISSING, shown or INSTALL_FIX)
        board = self._board()
        try:
            _, choice = self._start(board, PROBE_INTERVAL_MS)
        except DeviceError as error:
            return self.refuse("no-sensor", error.message, error.remedy)
        finally:
            self.close()
        if choice.known_board and choice.rule is None:
            return self.refuse("no-sensor", choice.note)
        return None

    def _board(self) -> BoardRails:
        # The program shows the same chips as the kernel's files, under the same names.
        keys = (self.name, "ina3221")
        return find_board_rails(self.root, keys, self.options.get("board", ""))

    def _start(self, board: BoardRails, interval_ms: float) -> tuple[dict[str, float], RailChoice]:
        """Start the program; return the rails of its first line and what they add up to.

        Raises:
            DeviceError: The program is missing, cannot be started or prints no rails.
        """
        program = find_program(self.root, PROGRAM)
        if program is None:
            raise DeviceError(MISSING, INSTALL_FIX)
        try:
            process = self._launch([str(program), "--interval", f"{interval_ms:.0f}"])
        except OSError as error:
            raise DeviceError(f"{program}: {error.strerror}", f"ls -l {program}") from error
        self._follower = LineFollower(process, self.clock, interval_ms / 1000.0)
        rails = self._follower.first(FIRST_LINE_LIMIT_S + interval_ms / 1000.0)
        if not rails:
            reason = "tegrastats prints no power rails: some releases show them to root only"
            raise DeviceError(reason, ROOT_FIX)
        printed = [re.sub(r" \([0-9]+\)$", "", name) for name in rails]
        return rails, choose_rule(board, printed, self.options.get("scope", ""))

    def open(self) -> None:
        """Start the program and wait for its first line with rails.

        Raises:
            DeviceError: The program is missing, prints no rails, or not those of the board.
        """
        self.close()
        board = self._board()
        try:
            rails, choice = self._start(board, self.interval_ms)
            if choice.known_board and choice.rule is None:
                raise DeviceError(choice.note)
        except DeviceError as error:
            self.close()
            raise DeviceError(f"meter {self.name}: {error.message}", error.remedy) from error
        self._heard_s = self.clock()
        self._info = self._describe(board, list(rails), choice)

    def _describe(self, board: BoardRails, names: list[str], choice: RailChoice) -> MeterInfo:
        steps_w = self._steps_w(board)
        unknown = [name for name in names if steps_w.get(name) is None]
        notes = [choice.note] if choice.note else []
        if unknown:
            notes.append(f"step of the sensor not known for {', '.join(unknown)}")
        return MeterInfo(
            meter=self.name,
            kind="sampled",
            scope=choice.scope,
            rails=tuple(choice.rail(name, steps_w.get(name)) for name in names),
            rejected=(Rejected("NC", "not connected, wherever it is printed"),),
            averaging_s=AVERAGING_S,
            max_rate_hz=1000.0 / self.interval_ms,
            notes=tuple(notes),
            least_power_w=choice.limits.least_w if choice.rule else 0.0,
        )

    def _steps_w(self, board: BoardRails) -> dict[str, float | None]:
        """Return the sensors' steps where the kernel's files show the same chips."""
        channels, _ = find_channels(find_chips(self.root), board.compatible)
        return {channel.name: channel.resolution_w for channel in channels}

    def read(self) -> list[RawSample]:
        """Return the readings since the last call; failed ones if the program fell silent."""
        if self._follower is None or self._info is None:
            return []
        rails = self._info.rails
        readings = self._follower.take()
        if not readings:
            now_s = self.clock()
            if now_s - self._heard_s <= SILENT_INTERVALS * self.interval_ms / 1000.0:
                return []
            return [RawSample(index, now_s, now_s, None) for index in range(len(rails))]
        self._heard_s = readings[-1][0]
        return [
            RawSample(index, time_s, time_s, values.get(rail.name))
            for time_s, values in readings
            for index, rail in enumerate(rails)
        ]

    def close(self) -> None:
        """Kill the program and everything it started."""
        if self._follower is not None:
            self._follower.stop()
        self._follower = None
        self._info = None
