"""Let threads of one parallel loop wait for one another asleep for as long as that is wanted.

PyTorch's wheels compute with GCC's libgomp. Its threads spin for milliseconds before they sleep,
which is fastest on cores of their own; where another program has a core, one thread spins through
its share while the other waits for its turn. GOMP_SPINCOUNT is read once, as the library is loaded,
and a small count costs a third of the speed alone (`tests/benchmarks/beside.py`). But the library
asks at each wait whether it has more threads than there are processors, and then spins for a
hundred turns only: one more team of threads, asleep, is such a switch. No number changes by it.

Source: libgomp manual, GOMP_SPINCOUNT; `do_spin` in libgomp/config/linux/wait.h.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
from collections.abc import Mapping
from pathlib import Path

from devices.text_files import read_text

MOST_SLEEPERS = 8
"""More are not started: each takes the address space of a stack, which may be limited."""

SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""Variables by which a user chooses how threads wait."""


class SleepingTeam:
    """Have libgomp's threads of this process wait asleep between `start` and `stop`."""

    def __init__(self, library: ctypes.CDLL, size: int) -> None:
        """Take the library and the threads of the team; it has one of its own among them."""
        self._library = library
        self._size = size
        self._over = threading.Event()
        self._holder: threading.Thread | None = None

    def start(self) -> None:
        """Start the team, if it is not there, and return once it sleeps."""
        if self._holder is not None:
            return
        there = threading.Event()
        self._over.clear()
        self._holder = threading.Thread(
            target=self._hold, args=(there,), name="sleeping-team", daemon=True
        )
        self._holder.start()
        there.wait()

    def stop(self) -> None:
        """End the team, if it is there."""
        if self._holder is not None:
            self._over.set()
            self._holder.join()
            self._holder = None

    def _hold(self, there: threading.Event) -> None:
        """Have a team of this thread do nothing once; it stays until this thread ends."""
        try:
            nothing = ctypes.cast(ctypes.CDLL(None).getppid, ctypes.c_void_p)
            parallel = self._library.GOMP_parallel
            parallel.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
            parallel.restype = None
            parallel(nothing, None, self._size, 0)
        finally:
            there.set()
        self._over.wait()


def sleeping_team(
    threads: int, environment: Mapping[str, str] = os.environ, maps: Path = Path("/proc/self/maps")
) -> SleepingTeam | None:
    """Return what makes `threads` training threads wait asleep; None where nothing does.

    That is where the user chose how threads wait, where another library than libgomp computes, and
    where so many processors are left that too many threads would be needed.
    """
    size = (os.cpu_count() or 1) - threads + 2
    if any(environment.get(name) for name in SETTINGS) or size > MOST_SLEEPERS:
        return None
    found = re.search(r"(?m)/\S*/libgomp[^/\s]*\.so\S*$", read_text(maps))
    if found is None:
        return None
    try:
        library = ctypes.CDLL(found.group())
    except OSError:
        return None
    return SleepingTeam(library, max(size, 2)) if hasattr(library, "GOMP_parallel") else None
