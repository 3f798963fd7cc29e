"""Number the sessions of a run: one from each start of the command to its end, however that came.

A run has one time, in seconds from its first start. Every session has a clock of its own, and says
where on that clock the run's time is 0. As long as the host is not started anew the clock goes on,
and so the run's time holds the pauses too; after that it goes on where the last session was heard
of.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from devices.collector import Collector
from devices.errors import DeviceError
from devices.stream import StreamSet
from harness.core.schema import sessions_of

SAMPLES = "samples"


@dataclass(frozen=True)
class RunSession:
    """Hold one session: its number from 1, the start of the host it fell in, its clock's zero."""

    number: int
    boot: str
    zero_s: float

    @property
    def samples(self) -> str:
        """Return the file of raw samples, below the run folder."""
        return f"{SAMPLES}/{self.number}.bin"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def read_sessions(manifest: Mapping[str, Any]) -> list[RunSession]:
    """Return the sessions that a manifest tells of.

    Raises:
        KeyError, TypeError, ValueError: if it does not tell of them in the right form.
    """
    return [
        RunSession(int(s["number"]), str(s["boot"]), float(s["zero_s"]))
        for s in sessions_of(manifest)
    ]


def next_session(
    before: Sequence[RunSession], last_moment_s: float, boot: str, now_s: float
) -> RunSession:
    """Return the session that begins now; `last_moment_s` is the last known of the run's time."""
    if not before:
        return RunSession(1, boot, now_s)
    last = before[-1]
    same_clock = bool(boot) and last.boot == boot
    return RunSession(last.number + 1, boot, last.zero_s if same_clock else now_s - last_moment_s)


def this_boot(root: Path = Path("/")) -> str:
    """Return a word that changes with every start of the host; empty if the kernel gives none."""
    try:
        text = (root / "proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        return ""
    return hashlib.sha256(text.strip().encode()).hexdigest()[:16]


def recorded(folder: Path, session: RunSession, meter: str | None) -> StreamSet | None:
    """Return what the meter gave in an earlier session; None if there is nothing to read."""
    path = folder / session.samples
    if meter is None or not path.is_file():
        return None
    try:
        streams = Collector(meter, record_path=path).streams()
    except DeviceError:
        return None
    streams.ended = "the run was broken off"
    return streams


def last_sample_s(streams: StreamSet | None) -> float:
    """Return the time of the last sample that all rails of the total have; −∞ without one."""
    if streams is None:
        return float("-inf")
    totals = [s for s in streams.streams if s.rail.role == "total" and len(s)]
    return min((s.times_s[-1] for s in totals), default=float("-inf"))


def now_s() -> float:
    """Return the clock that meters stamp samples with."""
    return time.monotonic()
