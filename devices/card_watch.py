"""Watch the NVIDIA cards of a measurement for what slows them down and for what breaks.

A card is chosen by its own name, or by what CUDA_VISIBLE_DEVICES shows; others of the machine say
nothing of the measurement. Between two looks the bits of the moment are read once a second; heat
and power are also counted by the driver, so that less than a second of them shows too.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from devices.accelerator import Accelerator
from devices.card_state import CardState, card_changes, read_card, read_reasons, without_general
from devices.errors import DeviceError
from devices.meters.nvml_devices import PACKAGE, check_module, choose_gpus, find_gpus, number, query

LOOK_S = 1.0
PREFIX = "gpu-"
DRIVER_FILES = ("/proc/driver/nvidia/version", "/dev/dxg")
"""What shows a driver of NVIDIA: Linux's own, and that of a Windows which runs this Linux."""

_XID = 0x8  # nvmlEventTypeXidCriticalError
MOST_EVENTS = 64

BY_PROGRAMS = frozenset((13, 31, 43, 45))
"""Xid errors that a faulty or ended program causes by itself, without harm to the card (NVIDIA, Xid
Errors: 13 and 31 a wrong access, 43 and 45 a program that was stopped)."""


@dataclass(frozen=True)
class Cards:
    """Hold NVML, started, and handles of the cards that count."""

    nvml: ModuleType
    handles: Sequence[object]

    def states(self) -> list[CardState]:
        """Look at every card once."""
        return [read_card(self.nvml, handle) for handle in self.handles]


@contextlib.contextmanager
def open_cards(
    uuid: str = "",
    module: ModuleType | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Cards | None]:
    """Start NVML and find the cards; None where there is none to ask, which is no fault.

    Args:
        uuid: The card that trains, `GPU-…` or `MIG-…`, whose whole card is meant; empty for all
            that CUDA_VISIBLE_DEVICES shows.
        module: Binding of NVML; by default the one installed, where there is a driver.
        environment: Environment variables; by default this process's.
    """
    try:
        nvml = _binding(module)
        nvml.nvmlInit()
    except Exception:  # no driver, no package, one that only looks like it: nothing to ask
        yield None
        return
    try:
        handles = _handles(nvml, uuid, os.environ if environment is None else environment)
        yield Cards(nvml, handles) if handles else None
    finally:
        with contextlib.suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def look_at_cards(uuid: str = "") -> list[CardState]:
    """Return one look at the cards of this machine; none where NVML cannot be asked."""
    with open_cards(uuid) as cards:
        return cards.states() if cards is not None else []


def _binding(module: ModuleType | None) -> ModuleType:
    if module is not None:
        return check_module(module)
    if not any(map(os.path.exists, DRIVER_FILES)):
        raise DeviceError("there is no driver of NVIDIA")
    return check_module(PACKAGE.load(Path("/")))


def _handles(nvml: ModuleType, uuid: str, environment: Mapping[str, str]) -> list[object]:
    """Return the handles of the cards that count; none if NVML does not know which."""
    try:
        if uuid.startswith("MIG-"):
            part = nvml.nvmlDeviceGetHandleByUUID(uuid)
            return [nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(part)]
        gpus, _ = find_gpus(nvml)
        return [gpu.handle for gpu in choose_gpus(gpus, uuid, environment)]
    except (nvml.NVMLError, AttributeError, DeviceError):
        return []


class CardWatch:
    """Watch cards from when it is made until `stop`; without cards it says nothing."""

    def __init__(
        self,
        uuid: str = "",
        module: ModuleType | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Take the first look; arguments as of `open_cards`."""
        self._opened = contextlib.ExitStack()
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._cards = self._opened.enter_context(open_cards(uuid, module, environment))
        self._acting: set[str] = set()
        self._lately: set[str] = set()
        self._xids: list[int] = []
        self._thread: threading.Thread | None = None
        self._first: list[CardState] = []
        if self._cards is not None:
            self._events = self._opened.enter_context(_xid_events(self._cards))
            self._first = self._cards.states()
            self._thread = threading.Thread(target=self._watch, name="gpu heat", daemon=True)
            self._thread.start()
        self._before = self._last = self._first

    @property
    def temperature_c(self) -> float | None:
        """Return the temperature in °C of the hottest card at the last look; None if unknown."""
        told = [state.temperature_c for state in self._last if state.temperature_c is not None]
        return max(told, default=None)

    def look(self) -> list[str]:
        """Look again, and return what has happened since the first look, as flags."""
        if self._cards is None:
            return []
        with self._lock:
            self._last = self._cards.states()
            self._take_events()
            return self._flags(self._first, self._acting)

    def lately(self) -> list[str]:
        """Return what happened between the last look and the last time this was asked."""
        with self._lock:
            found = self._flags(self._before, self._lately)
            self._before, self._lately = self._last, set()
            return found

    def stop(self) -> list[str]:
        """Look once more, stop, and return as `look`; a second time what was known then."""
        if self._thread is None:
            return []
        found = self.look()
        self._over.set()
        self._thread.join()
        self._thread = self._cards = None
        self._opened.close()
        return found

    def _flags(self, before: Sequence[CardState], acting: set[str]) -> list[str]:
        pairs = zip(before, self._last, strict=True)
        found = {*acting, *(word for old, new in pairs for word in card_changes(old, new))}
        words = [f"{PREFIX}{word}" for word in without_general(found)]
        return [*words, *(f"{PREFIX}xid-{number}" for number in dict.fromkeys(self._xids))]

    def _watch(self) -> None:
        while not self._over.wait(LOOK_S):
            with self._lock, contextlib.suppress(Exception):  # a driver that is asked in vain
                assert self._cards is not None
                for handle in self._cards.handles:
                    reasons, _ = read_reasons(self._cards.nvml, handle)
                    self._acting.update(reasons or ())
                    self._lately.update(reasons or ())
                self._take_events()

    def _take_events(self) -> None:
        """Note what the driver has reported of broken cards; a fault of a program is none."""
        if self._cards is None or self._events is None:
            return
        for _ in range(MOST_EVENTS):
            event, _ = query(self._cards.nvml, "nvmlEventSetWait", self._events, 0)
            code = number(getattr(event, "eventData", None))
            if code is None:  # nothing is waiting
                return
            if int(code) not in BY_PROGRAMS:
                self._xids.append(int(code))


def watch_card(trains: Accelerator) -> CardWatch | None:
    """Return what watches the card that trains; None where a processor does."""
    return CardWatch(trains.uuid) if trains.is_gpu else None


@contextlib.contextmanager
def _xid_events(cards: Cards) -> Iterator[object | None]:
    """Have the driver report errors of the cards from now on; None where it does not."""
    nvml = cards.nvml
    try:
        events = nvml.nvmlEventSetCreate()
    except (nvml.NVMLError, AttributeError):
        yield None
        return
    registered = [
        query(nvml, "nvmlDeviceRegisterEvents", handle, _XID, events)[1] == ""
        for handle in cards.handles
    ]
    try:
        yield events if any(registered) else None
    finally:
        query(nvml, "nvmlEventSetFree", events)
