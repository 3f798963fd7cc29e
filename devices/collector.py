"""Sample a meter from a process of its own, so that a busy trainer cannot starve it.

`Collector` starts `python -m devices.collector` in a new session (Ctrl-C in the terminal does not
reach it) and follows the record file it appends to. The child ends by itself when its parent is
gone. All times are `time.monotonic()`, which on Linux is CLOCK_MONOTONIC for every process.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

from devices.collector_cost import CostLog
from devices.errors import DeviceError
from devices.meters.registry import MeterSpec, make_meter, meter_class
from devices.own_modules import module_words, own_environment
from devices.records import Record, RecordKind, RecordReader, RecordWriter
from devices.sampling import SamplingLoop
from devices.stream import StreamSet

if TYPE_CHECKING:
    import subprocess

EXIT_DEVICE = 3
POLL_S = 0.005
READ_SOON = signal.SIGUSR1
"""Asks the process for a reading before its turn."""

SLOW_PERIODS = 3.0
AT_ONCE = 4096
"""Records that are read at a time: hours of them at once would take a lot of memory."""


class Collector:
    """Run a collector process and read what it recorded.

    Attributes:
        meter: The meter as typed, such as `rapl` or `simulated:shape=square`.
        record_path: The file of raw records; it stays after `stop`.
        late: Deadlines that were skipped because a read took too long.
        cost: What the collector itself has cost so far.
    """

    def __init__(
        self,
        meter_name: str,
        root: Path = Path("/"),
        rate_hz: float | None = None,
        record_path: Path = Path("records.bin"),
        start_timeout_s: float = 10.0,
    ) -> None:
        spec = MeterSpec.parse(meter_name)
        meter_class(spec.name)
        if rate_hz is not None and not 0.0 < rate_hz < float("inf"):
            raise DeviceError(f"a rate of {rate_hz} Hz is impossible")
        self.meter = meter_name
        self.root = root
        self.rate_hz = rate_hz
        self.record_path = record_path
        self.start_timeout_s = start_timeout_s
        self.late = 0
        self.cost = CostLog()
        self._process: subprocess.Popen[bytes] | None = None
        self._reader = RecordReader(record_path)
        self._streams: StreamSet | None = None
        self._ended_well = False
        self._recorded_s = float("-inf")

    def __enter__(self) -> Collector:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def _error_path(self) -> Path:
        return self.record_path.with_name(self.record_path.name + ".err")

    def start(self) -> None:
        """Start the process and wait for the first sample of every rail of the total.

        Raises:
            DeviceError: The meter cannot be opened, gives no sample in time, or already runs.
        """
        self.launch()
        self.wait_for_first()

    def launch(self) -> None:
        """Start the process, whose first samples `wait_for_first` waits for.

        Raises:
            DeviceError: It was already started.
        """
        import subprocess  # noqa: PLC0415 - the process itself starts none

        if self._process is not None:
            raise DeviceError("this collector was already started")
        self.record_path.parent.mkdir(parents=True, exist_ok=True)
        self.record_path.unlink(missing_ok=True)
        with self._error_path.open("wb") as errors:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                env=own_environment(),
                start_new_session=True,
            )

    def wait_for_first(self) -> None:
        """Wait for the first sample of every rail of the total; end the process if none comes.

        Raises:
            DeviceError: The meter cannot be opened, or gives no sample in time.
        """
        try:
            self._wait(self._has_first_samples, self.start_timeout_s, "gave no sample")
        except DeviceError:
            self.stop()
            raise

    def _command(self) -> list[str]:
        command = [*module_words("devices.collector"), self.meter]
        command += ["--root", str(self.root), "--record", str(self.record_path.resolve())]
        command += ["--parent", str(os.getpid())]
        if self.rate_hz is not None:
            command += ["--rate", str(self.rate_hz)]
        return command

    def _has_first_samples(self) -> bool:
        self._update()
        if self._streams is None:
            return False
        totals = [s for s in self._streams.streams if s.rail.role == "total"]
        # An impossible sample is an answer too: the figures will say what is wrong with it.
        return all(len(s) > 0 or s.impossible_since for s in totals or self._streams.streams)

    def _wait(self, done: Callable[[], bool], timeout_s: float, failure: str) -> None:
        """Wait until `done`; raise if the process ends first or time runs out."""
        deadline_s = time.monotonic() + timeout_s
        while not done():
            if not self.alive() and not done():
                raise self._startup_error()
            if time.monotonic() > deadline_s:
                raise DeviceError(f"meter {self.meter} {failure} within {timeout_s:g} s")
            time.sleep(POLL_S)

    def _startup_error(self) -> DeviceError:
        """Pass on the error the child printed."""
        lines = self._error_path.read_text(errors="replace").splitlines()
        try:
            told = json.loads(lines[-1])
            return DeviceError(told["message"], told["remedy"])
        except (IndexError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            last = lines[-1] if lines else "no message"
            return DeviceError(f"the collector of {self.meter} ended: {last}")

    def alive(self) -> bool:
        """Say whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def process_id(self) -> int | None:
        """Return the process id; None before `start`."""
        return None if self._process is None else self._process.pid

    def streams(self) -> StreamSet:
        """Read what has been recorded so far.

        Raises:
            DeviceError: Nothing was recorded, or the record file is damaged.
        """
        ended = self._process is not None and not self.alive()
        self._update()
        if self._streams is None:
            raise DeviceError(f"the collector of {self.meter} has recorded nothing")
        if ended and not self._streams.ended:
            self._streams.ended = self._end_reason()
        return self._streams

    def _end_reason(self) -> str:
        if self._ended_well:
            return "the collector was stopped"
        code = None if self._process is None else self._process.returncode
        return f"the collector died (exit status {code})"

    def _update(self) -> None:
        """Add new records to the streams."""
        while True:
            records = self._reader.read_new(AT_ONCE)
            if self._reader.info is None:
                return
            if self._streams is None:
                self._streams = StreamSet(self._reader.info, self._reader.period_s)
            for record in records:
                self._take(self._streams, record)
            if len(records) < AT_ONCE:
                return

    def _take(self, streams: StreamSet, record: Record) -> None:
        self.cost.take(record)
        if record.kind is RecordKind.LATE:
            self.late += int(record.value)
        elif record.kind is RecordKind.END:
            self._ended_well = True
        elif record.kind is not RecordKind.CPU_SECONDS:
            if record.rail == 0:  # rails are read in order, so the others are no older
                self._recorded_s = record.before_s
            try:
                streams.append(record.to_sample())
            except (ValueError, IndexError) as error:
                raise DeviceError(f"{self.record_path}: damaged record: {error}") from error

    def wait_past(self, time_s: float, timeout_s: float = 2.0) -> bool:
        """Wait until the meter was read at or after `time_s`, well or not; False if it was not.

        Call it with the end of a window before asking for the window's energy. A slow meter is
        given three of its periods, as its next read may be two periods away.
        """
        timeout_s = max(timeout_s, SLOW_PERIODS * self._reader.period_s)
        deadline_s = time.monotonic() + timeout_s
        asked_s = float("-inf")
        while self._recorded_s < time_s:
            alive = self.alive()
            self._update()
            if self._recorded_s >= time_s:
                return True
            if not alive or time.monotonic() > deadline_s:
                return False
            if asked_s < time_s <= (asked_s := time.monotonic()):
                self._ask_for_reading()
            time.sleep(POLL_S)
        return True

    def _ask_for_reading(self) -> None:
        """Have the meter read soon, and not only when its period is over."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(READ_SOON)

    def stop(self, timeout_s: float = 5.0) -> None:
        """End the process and keep its records; harmless if it has ended."""
        if self._process is None:
            return
        self.end()
        if not self._ends_within(timeout_s):
            self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """Tell the process to end, without waiting for it."""
        if self._process is not None and self.alive():
            self._process.terminate()

    def _ends_within(self, timeout_s: float) -> bool:
        """Wait for the end as the kernel tells it: `Popen.wait` looks only 20 times a second."""
        assert self._process is not None
        if not self.alive():
            return True
        try:
            handle = os.pidfd_open(self._process.pid)
        except (AttributeError, OSError):  # before Linux 5.3
            return self._looked_up(timeout_s)
        try:
            return bool(select.select([handle], [], [], timeout_s)[0])
        finally:
            os.close(handle)

    def _looked_up(self, timeout_s: float) -> bool:
        deadline_s = time.monotonic() + timeout_s
        while self.alive():
            if time.monotonic() > deadline_s:
                return False
            time.sleep(POLL_S)
        return True


def collect(arguments: argparse.Namespace) -> None:
    """Open the meter and sample it until SIGTERM or until the parent is gone.

    Raises:
        DeviceError: The meter or the record file cannot be opened.
    """
    stopped: list[int] = []
    asked: list[int] = []

    def note_signal(number: int, _frame: FrameType | None) -> None:
        (asked if number == READ_SOON else stopped).append(number)

    def wanted() -> bool:
        return bool(asked and asked.pop())

    def keep_going() -> bool:
        return not stopped and (not arguments.parent or os.getppid() == arguments.parent)

    signal.signal(signal.SIGTERM, note_signal)
    signal.signal(READ_SOON, note_signal)
    meter = make_meter(arguments.meter, arguments.root)
    meter.open()
    try:
        info = meter.describe()
        rate_hz = min(arguments.rate or info.max_rate_hz, info.max_rate_hz)
        writer = RecordWriter.open_new(arguments.record, info, 1.0 / rate_hz)
        try:
            sleep = _sleep_until_signal()
            loop = SamplingLoop(meter, writer, 1.0 / rate_hz, keep_going, sleep=sleep)
            loop.wanted = wanted
            if info.kind == "sampled":
                import random  # noqa: PLC0415 - counters do without

                loop.offset = random.Random().random
            loop.run()
        finally:
            writer.close()
    finally:
        meter.close()


def _sleep_until_signal() -> Callable[[float], None]:
    """Return a sleep that a signal cuts short, so that stopping does not last a period."""
    came, comes = os.pipe()
    os.set_blocking(comes, False)
    signal.set_wakeup_fd(comes, warn_on_full_buffer=False)

    def sleep(seconds: float) -> None:
        if select.select([came], [], [], seconds)[0]:
            os.read(came, 64)

    return sleep


def parse_arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the collector's command line."""
    parser = argparse.ArgumentParser(prog="python -m devices.collector", description=__doc__)
    parser.add_argument("meter", help="meter with options, such as simulated:shape=ramp")
    parser.add_argument("--root", type=Path, default=Path("/"), help="root of the file system")
    parser.add_argument("--rate", type=float, help="reads per second; default: the meter's most")
    parser.add_argument("--record", type=Path, required=True, help="file to write records to")
    parser.add_argument("--parent", type=int, default=0, help="end when this parent is gone")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Run the collector; print a device error as one line of JSON."""
    try:
        collect(parse_arguments(words))
    except DeviceError as error:
        print(json.dumps({"message": error.message, "remedy": error.remedy}), file=sys.stderr)
        return EXIT_DEVICE
    return 0


if __name__ == "__main__":
    sys.exit(main())
