"""Read the same processor energy counters as `rapl`, through perf events instead of powercap.

This is the way where powercap is closed or missing: it needs a capability or a setting instead of
readable files. The kernel keeps 64-bit counts in units of 2^-32 J that start at 0 when the event is
opened, so nothing wraps.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from devices.errors import DeviceError
from devices.host import find_virtualisation, read_text
from devices.meters.base import Availability, Clock, Meter, MeterInfo, Rail, RawSample, read_each
from devices.meters.powercap import (
    DRAM_LIMIT_W,
    LEAST_PACKAGE_W,
    PACKAGE_LIMIT_W,
    PSYS_LIMIT_W,
    RESOLUTION_J,
    STALE_AFTER_S,
)
from devices.meters.rapl_perf_events import POWER_PMU, EventChoice, PowerEvent, choose_events

SYSCALL_NUMBERS = {"x86_64": 298, "aarch64": 241}
"""perf_event_open in the kernel's system call tables."""

PERF_FLAG_FD_CLOEXEC = 8
READ_FORMAT = 1 | 2
"""PERF_FORMAT_TOTAL_TIME_ENABLED and _RUNNING: they tell whether the counter ran all the time."""

ATTRIBUTES = struct.Struct("=IIQQQQQIIQ")
"""perf_event_attr in its first published size of 64 bytes (linux/perf_event.h)."""

COUNT = struct.Struct("=QQQ")
LIMITS_W = {"energy-pkg": PACKAGE_LIMIT_W, "energy-ram": DRAM_LIMIT_W, "energy-psys": PSYS_LIMIT_W}

PERMISSION_FIX = (
    "sudo sysctl kernel.perf_event_paranoid=0 (until reboot), or for this interpreter only: "
    'sudo setcap cap_perfmon=ep "$(readlink -f "$(command -v python3)")"'
)
CONTAINER_FIX = "start the container with --cap-add PERFMON --security-opt seccomp=unconfined"


class PerfCalls(Protocol):
    """Name the three kernel calls the meter needs; all raise `OSError`."""

    def open(self, attributes: bytes, cpu: int) -> int:
        """Open an event on one processor for all processes and return its descriptor."""

    def read(self, descriptor: int) -> bytes:
        """Return the event's count with its times."""

    def close(self, descriptor: int) -> None:
        """Close the event."""


class LinuxPerfCalls:
    """Make the calls in the running kernel; perf_event_open has no wrapper in the C library."""

    def open(self, attributes: bytes, cpu: int) -> int:
        """Open an event on one processor for all processes and return its descriptor."""
        number = SYSCALL_NUMBERS.get(platform.machine())
        if number is None:
            raise OSError(38, "no perf_event_open known for this architecture")
        library = ctypes.CDLL(None, use_errno=True)
        descriptor: int = library.syscall(
            ctypes.c_long(number),
            ctypes.c_char_p(attributes),
            ctypes.c_int(-1),
            ctypes.c_int(cpu),
            ctypes.c_int(-1),
            ctypes.c_ulong(PERF_FLAG_FD_CLOEXEC),
        )
        if descriptor < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return descriptor

    def read(self, descriptor: int) -> bytes:
        """Return the event's count with its times."""
        return os.read(descriptor, COUNT.size)

    def close(self, descriptor: int) -> None:
        """Close the event."""
        os.close(descriptor)


@dataclass(frozen=True)
class _Counter:
    """Bundle an open event with its scale."""

    descriptor: int
    scale_j: float


class RaplPerfMeter(Meter):
    """Read energy-pkg (and energy-ram beside it) of every socket; psys is a witness only."""

    name = "rapl-perf"
    trial_fix = "in a virtual machine only the host can measure: run there, or use a plug"

    def __init__(
        self,
        root: Path = Path("/"),
        clock: Clock = time.monotonic,
        options: Mapping[str, str] | None = None,
        calls: PerfCalls | None = None,
    ) -> None:
        super().__init__(root, clock, options)
        self._calls: PerfCalls = calls or LinuxPerfCalls()
        self._counters: list[_Counter] = []

    def refusal(self) -> Availability | None:
        """Refuse unless every event of the total can be opened; opens and closes each once."""
        choice = choose_events(self.root)
        if not choice.totals:
            return _absent(self.root, choice)
        if self.root != Path("/") and isinstance(self._calls, LinuxPerfCalls):
            reason = f"perf events are those of this machine, not of the one under {self.root}"
            return self.refuse("not-supported", reason)
        for event in choice.totals:
            try:
                descriptor = self._calls.open(event_attributes(event), event.cpu)
            except PermissionError:
                return _closed(self.root)
            except OSError as error:
                reason = f"{event.rail_name} cannot be opened: {error.strerror}"
                return RaplPerfMeter.refuse("not-supported", reason)
            self._calls.close(descriptor)
        return None

    def open(self) -> None:
        """Open every event once; the descriptors are read again and again.

        Raises:
            DeviceError: There is no event, or one of the total cannot be opened.
        """
        answer = self.judge()
        answer.require()
        self.close()
        choice = choose_events(self.root)
        notes = ["counts start at 0 J when the meter is opened"]
        try:
            opened = self._open_events(choice, notes)
        except OSError as error:
            self.close()
            raise DeviceError(f"meter rapl-perf: {error.strerror}") from error
        with_ram = any(event.name == "energy-ram" for event in choice.totals)
        self._info = MeterInfo(
            meter=self.name,
            kind="counter",
            scope="package+dram" if with_ram else "package",
            rails=tuple(_rail(event, event in choice.witnesses) for event in opened),
            rejected=choice.rejected,
            max_rate_hz=10.0,
            notes=tuple(notes),
            least_power_w=LEAST_PACKAGE_W,
        )

    def _open_events(self, choice: EventChoice, notes: list[str]) -> list[PowerEvent]:
        """Open descriptors; a witness that cannot be opened is only noted."""
        opened = []
        for event in (*choice.totals, *choice.witnesses):
            try:
                descriptor = self._calls.open(event_attributes(event), event.cpu)
            except OSError as error:
                if event in choice.totals:
                    raise
                notes.append(f"{event.rail_name}: not recorded, {error.strerror}")
                continue
            self._counters.append(_Counter(descriptor, event.scale_j))
            opened.append(event)
        return opened

    def read(self) -> list[RawSample]:
        """Read every counter once; one that cannot be read or did not run gives no value."""
        return read_each(self.clock, self._counters, self._read_joules)

    def _read_joules(self, counter: _Counter) -> float | None:
        try:
            data = self._calls.read(counter.descriptor)
        except OSError:
            return None
        return parse_count(data, counter.scale_j)

    def close(self) -> None:
        """Close all events."""
        while self._counters:
            self._calls.close(self._counters.pop().descriptor)
        self._info = None


def event_attributes(event: PowerEvent) -> bytes:
    """Return the perf_event_attr of a counting event that is on from the start."""
    return ATTRIBUTES.pack(
        event.pmu_type, ATTRIBUTES.size, event.config, 0, 0, READ_FORMAT, 0, 0, 0, 0
    )


def parse_count(data: bytes, scale_j: float) -> float | None:
    """Return joules for one read of an event; None if it is cut short or was ever switched off.

    A processor that goes offline takes its event with it: the enabled time runs on and the running
    time does not, and the energy in between is lost.
    """
    if len(data) != COUNT.size:
        return None
    count, enabled_ns, running_ns = COUNT.unpack(data)
    if running_ns == 0 or enabled_ns - running_ns > enabled_ns // 1000:
        return None
    return float(count * scale_j)


def _rail(event: PowerEvent, witness: bool) -> Rail:
    """Describe an event; the register behind it steps by 61 µJ whatever the scale says."""
    return Rail(
        name=event.rail_name,
        role="witness" if witness else "total",
        resolution_j=RESOLUTION_J,
        max_power_w=LIMITS_W[event.name],
        stale_after_s=STALE_AFTER_S,
    )


def _closed(root: Path) -> Availability:
    """Say what keeps the events closed."""
    level = read_text(root / "proc/sys/kernel/perf_event_paranoid")
    reason = "perf events of the whole machine need CAP_PERFMON or perf_event_paranoid ≤ 0"
    if re.fullmatch(r"-?[0-9]{1,3}", level):
        reason += f"; it is {level}"
    virtual, _ = find_virtualisation(root)
    return RaplPerfMeter.refuse(
        "permission", reason, CONTAINER_FIX if virtual == "container" else PERMISSION_FIX
    )


def _absent(root: Path, choice: EventChoice) -> Availability:
    """Say why there is no event."""
    if choice.rejected:
        reasons = "; ".join(f"{item.name}: {item.reason}" for item in choice.rejected)
        return RaplPerfMeter.refuse("not-supported", reasons, choice.fix)
    missing = f"no energy-pkg event under /{POWER_PMU}"
    return RaplPerfMeter.refuse_absent(root, missing, "sudo modprobe rapl")
