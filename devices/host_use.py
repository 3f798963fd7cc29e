"""Say how busy processor and GPU were, and what crossed the network, between two moments.

Processor: ticks of `/proc/stat`, of all cores the kernel runs. Network: the kernel's counters of
physical interfaces, or where there is none, as in containers, of all but the loopback. GPU: what
the driver says of its last second, looked at once a second: Tegra's `load` file (per mille), NVML's
utilisation otherwise.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from devices.card_watch import Cards, open_cards
from devices.meters.nvml_devices import number, query
from devices.text_files import read_integer, read_text

LEAST_TICKS = 20
"""Fewer ticks (mostly of 10 ms) of all cores together say nothing of a share."""

LOOK_S = 1.0
TEGRA_LOADS = (
    "sys/devices/gpu.0/load", "sys/devices/platform/gpu.0/load",
    "sys/devices/platform/bus@0/*.gpu/load", "sys/devices/*.gpu/load",
)  # fmt: skip

GpuLook = Callable[[], float | None]
"""Returns the share of time in which GPUs were busy; None if it is not told this time."""


@dataclass(frozen=True)
class HostUse:
    """Hold means and sums over a stretch of time; None for what is not known.

    Attributes:
        cpu_utilisation: Share of all cores' time in which they were busy, 0 to 1.
        gpu_utilisation: The same of GPUs, as their driver sees it.
        received_bytes: Bytes that came in over network interfaces, whoever asked for them.
        sent_bytes: The same for those that went out.
    """

    cpu_utilisation: float | None = None
    gpu_utilisation: float | None = None
    received_bytes: int | None = None
    sent_bytes: int | None = None


@dataclass(frozen=True)
class HostCounts:
    """Hold what the kernel has counted since the host's start; None where it does not tell."""

    busy_ticks: int | None
    all_ticks: int | None
    received_bytes: int | None
    sent_bytes: int | None


def read_counts(root: Path = Path("/")) -> HostCounts:
    """Return what the kernel has counted so far."""
    busy, every = _ticks(read_text(root / "proc/stat"))
    received, sent = _network(root)
    return HostCounts(busy, every, received, sent)


def _ticks(stat: str) -> tuple[int | None, int | None]:
    """Return busy and all ticks (proc(5)); guests' are in their hosts', waiting is not busy."""
    words = stat.partition("\n")[0].split()
    if len(words) < 6 or words[0] != "cpu" or not all(word.isdigit() for word in words[1:]):
        return None, None
    ticks = [int(word) for word in words[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def _network(root: Path) -> tuple[int | None, int | None]:
    found: dict[str, tuple[int, int]] = {}
    for line in read_text(root / "proc/net/dev").splitlines()[2:]:
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) >= 9 and words[0].isdigit() and words[8].isdigit():
            found[name.strip()] = int(words[0]), int(words[8])
    found.pop("lo", None)
    real = {n: c for n, c in found.items() if (root / "sys/class/net" / n / "device").exists()}
    chosen = (real or found).values()
    if not chosen:
        return None, None
    return sum(c[0] for c in chosen), sum(c[1] for c in chosen)


def use_between(before: HostCounts, after: HostCounts) -> HostUse:
    """Return what was used between two looks; what ran backwards is not known."""
    share = None
    busy, every = (
        _grown(before.busy_ticks, after.busy_ticks),
        _grown(before.all_ticks, after.all_ticks),
    )
    if busy is not None and every is not None and every >= LEAST_TICKS:
        share = min(busy / every, 1.0)
    return HostUse(
        share,
        None,
        _grown(before.received_bytes, after.received_bytes),
        _grown(before.sent_bytes, after.sent_bytes),
    )


def _grown(before: int | None, after: int | None) -> int | None:
    if before is None or after is None or after < before:
        return None
    return after - before


@contextlib.contextmanager
def gpu_look(root: Path = Path("/"), gpu: str = "") -> Iterator[GpuLook | None]:
    """Give a function that looks at GPUs as long as the context is open; None without one.

    Of NVIDIA cards `gpu` names the one that works; otherwise those count that
    CUDA_VISIBLE_DEVICES shows.
    """
    for pattern in TEGRA_LOADS:
        for path in root.glob(pattern):
            if read_integer(path) is not None:
                yield lambda path=path: _per_mille(read_integer(path))  # type: ignore[misc]
                return
    with open_cards(gpu) if root == Path("/") else contextlib.nullcontext() as cards:
        if cards is None:
            yield None
            return
        yield lambda: _mean(list(_shares(cards)))


def _shares(cards: Cards) -> Iterator[float]:
    for handle in cards.handles:
        answer, _ = query(cards.nvml, "nvmlDeviceGetUtilizationRates", handle)
        share = number(getattr(answer, "gpu", None))
        if share is not None and share <= 100.0:
            yield share / 100.0


def _per_mille(value: int | None) -> float | None:
    return None if value is None or not 0 <= value <= 1000 else value / 1000.0


def _mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


class UseWatch:
    """Watch the host, and of its NVIDIA cards the one named, from when it is made to `at_end`."""

    def __init__(self, root: Path = Path("/"), gpu: str = "") -> None:
        self._root = root
        self._over = threading.Event()
        self._seen: list[float] = []
        self._opened = contextlib.ExitStack()
        look = self._opened.enter_context(gpu_look(root, gpu))
        self._thread: threading.Thread | None = None
        if look is not None:
            self._thread = threading.Thread(
                target=self._watch, args=(look,), name="gpu use", daemon=True
            )
            self._thread.start()
        self._first = read_counts(root)

    def at_end(self) -> HostUse:
        """Return what was used since the beginning, and watch no more."""
        use = use_between(self._first, read_counts(self._root))
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        self._opened.close()
        return HostUse(use.cpu_utilisation, _mean(self._seen), use.received_bytes, use.sent_bytes)

    def _watch(self, look: GpuLook) -> None:
        while not self._over.wait(LOOK_S):
            with contextlib.suppress(Exception):  # a driver that is asked once in vain
                if (share := look()) is not None:
                    self._seen.append(share)
