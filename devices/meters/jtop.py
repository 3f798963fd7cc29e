"""Read a Jetson's rails through the jetson-stats service, which owns the sensors as root.

Only raw volts and amperes are used. The service's own `tot` adds up rails that contain one another
on boards without a total rail, and its `avg` is no mean; which rails make up the board is the
profile's business, as for meter `ina3221`. The package is under the AGPL, so it is an extra of its
own and is imported only when this meter is asked for.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Protocol

from devices.errors import DeviceError
from devices.host import find_virtualisation
from devices.meters.base import (
    Availability,
    Clock,
    Meter,
    MeterInfo,
    RawSample,
    ReasonCode,
    Rejected,
)
from devices.meters.board_rails import RailChoice, choose_rule, find_board_rails
from devices.meters.ina3221_chips import AVERAGING_S, find_channels, find_chips
from devices.meters.jtop_rails import merge_rails, rail_power_w
from devices.meters.packages import Package

SOCKET = Path("run/jtop.sock")
INTERVAL_S = 0.5
CONNECT_TIMEOUT_S = 5.0
STALE_INTERVALS = 3.0

PACKAGE = Package("jtop", "jetson-stats", "sudo pip3 install -U jetson-stats")
SERVICE_FIX = "sudo pip3 install -U jetson-stats && sudo systemctl restart jtop.service"
GROUP_FIX = 'sudo usermod -aG jtop "$USER", then log out and in again'
CONTAINER_FIX = (
    "start the container with -v /run/jtop.sock:/run/jtop.sock "
    '--group-add "$(getent group jtop | cut -d: -f3)"'
)
VERSION_FIX = (
    "install the service's version for this Python too, or newest for both: "
    "pip install -U jetson-stats && sudo pip3 install -U jetson-stats "
    "&& sudo systemctl restart jtop.service"
)


class Client(Protocol):
    """Name what is used of a jtop client."""

    power: Mapping[str, object]
    interval: float

    def start(self) -> None:
        """Connect and wait for the first values."""

    def close(self) -> None:
        """Disconnect."""

    def attach(self, observer: Callable[[object], None]) -> None:
        """Call a function after each update."""


def may_use(path: Path) -> bool:
    """Say whether this user may talk to a socket."""
    return os.access(path, os.R_OK | os.W_OK)


class JtopMeter(Meter):
    """Sample the rails the jtop service last read.

    Options: `board` (a profile, where the host is not recognised) and `scope` (where a board has
    several figures).
    """

    name = "jtop"
    trial_fix = "sudo systemctl restart jtop.service"
    option_names = ("board", "scope")

    def __init__(
        self,
        root: Path = Path("/"),
        clock: Clock = time.monotonic,
        options: Mapping[str, str] | None = None,
        module: ModuleType | None = None,
        access: Callable[[Path], bool] = may_use,
    ) -> None:
        super().__init__(root, clock, options)
        self._module = module
        self._access = access
        self._client: Client | None = None
        self._names: list[str] = []
        self._steps_w: dict[str, float | None] = {}
        self._choice: RailChoice | None = None
        self._rejected: tuple[Rejected, ...] = ()
        self._updated_s = 0.0

    def refusal(self) -> Availability | None:
        """Connect once, and say what stands in the way if that fails."""
        refusal = self._socket_refusal()
        if refusal is not None:
            return refusal
        try:
            self.open()
            choice = self._choice
        except DeviceError as error:
            return self.refuse("not-supported", error.message, error.remedy)
        finally:
            self.close()
        if choice is not None and choice.known_board and choice.rule is None:
            return self.refuse("no-sensor", choice.note)
        return None

    def _socket_refusal(self) -> Availability | None:
        """Look at the service's socket; return why it is of no use, or None."""
        socket = self.root / SOCKET
        in_container = find_virtualisation(self.root)[0] == "container"
        code: ReasonCode = "no-sensor"
        if not socket.exists():
            reason = f"/{SOCKET} is not there: the jtop service (Jetson only) does not run"
            fix = CONTAINER_FIX if in_container else SERVICE_FIX
        elif not self._access(socket):
            code = "permission"
            reason = f"/{SOCKET} is open to root and group jtop only"
            fix = CONTAINER_FIX if in_container else GROUP_FIX
        else:
            return None
        return self.refuse(code, reason, fix)

    def open(self) -> None:
        """Connect to the service and find the rails.

        Raises:
            DeviceError: No package, no service, another version of it, or no rails.
        """
        self.close()
        refusal = self._socket_refusal()
        if refusal is not None:
            raise DeviceError(f"meter jtop: {refusal.reason}", refusal.fix)
        board = find_board_rails(self.root, ("jtop", "ina3221"), self.options.get("board", ""))
        self._client = self._connect(self._load())
        rails, rejected = merge_rails(self._power())
        if not rails:
            self.close()
            raise DeviceError("meter jtop: the service shows no rail", SERVICE_FIX)
        self._choice = choose_rule(board, list(rails), self.options.get("scope", ""))
        self._names = list(rails)
        channels, _ = find_channels(find_chips(self.root), board.compatible)
        self._steps_w = {channel.name: channel.resolution_w for channel in channels}
        self._rejected = rejected
        self._updated_s = self.clock()

    def _load(self) -> ModuleType:
        if self._module is not None:
            return self._module
        return PACKAGE.load(self.root)

    def _connect(self, module: ModuleType) -> Client:
        """Start a client; a service that never answers must not hold up the caller.

        Raises:
            DeviceError: The service refuses, or does not answer in time.
        """
        try:
            faults = (module.JtopException, OSError, EOFError, KeyError, ValueError)
            make_client = module.jtop
        except AttributeError as error:
            reason = f"the module jtop is not jetson-stats: {error}"
            raise DeviceError(reason, PACKAGE.fix) from None
        caught: list[Exception] = []
        started: list[Client] = []

        def start() -> None:
            try:
                client = make_client(interval=INTERVAL_S)
                client.attach(self._note_update)
                client.start()
                started.append(client)
            except faults as error:
                caught.append(error)

        worker = threading.Thread(target=start, daemon=True)
        worker.start()
        worker.join(CONNECT_TIMEOUT_S)
        if caught:
            raise _connection_error(caught[0])
        if not started:
            raise DeviceError("meter jtop: the service does not answer", SERVICE_FIX)
        return started[0]

    def _note_update(self, _client: object) -> None:
        """Remember when the client last got values; its own thread calls this."""
        self._updated_s = self.clock()

    def _power(self) -> object:
        """Return what the service says about power; None if it says nothing."""
        if self._client is None:
            return None
        try:
            return self._client.power
        except (KeyError, AttributeError):
            return None

    def read(self) -> list[RawSample]:
        """Return the last values; none if the service has stopped sending or left a rail out."""
        if self._client is None:
            return []
        before_s = self.clock()
        rails, _ = merge_rails(self._power())
        stale = before_s - self._updated_s > STALE_INTERVALS * self._interval_s()
        after_s = self.clock()
        samples = []
        for index, name in enumerate(self._names):
            value = None if stale or name not in rails else rail_power_w(rails[name])
            samples.append(RawSample(index, before_s, after_s, value))
        return samples

    def _interval_s(self) -> float:
        """Return the service's own interval, which another client may have set."""
        interval_s = None if self._client is None else self._client.interval
        sane = isinstance(interval_s, int | float) and 0.05 <= interval_s <= 60.0
        return float(interval_s) if sane and interval_s is not None else INTERVAL_S

    def close(self) -> None:
        """Disconnect."""
        if self._client is not None:
            self._client.close()
        self._client = None
        self._choice = None
        self._names = []

    def describe(self) -> MeterInfo:
        """Describe the rails and which of them make up the total."""
        if self._client is None or self._choice is None:
            raise DeviceError("meter jtop is not open")
        interval_s = self._interval_s()
        choice = self._choice
        notes = [f"the service updates every {interval_s:g} s and gives no time of its own"]
        notes.extend([choice.note] if choice.note else [])
        return MeterInfo(
            meter=self.name,
            kind="sampled",
            scope=choice.scope,
            rails=tuple(choice.rail(name, self._steps_w.get(name)) for name in self._names),
            rejected=self._rejected,
            averaging_s=AVERAGING_S + interval_s,  # a value may be one interval old
            max_rate_hz=1.0 / interval_s,
            notes=tuple(notes),
            least_power_w=choice.limits.least_w if choice.rule else 0.0,
        )


def _connection_error(error: Exception) -> DeviceError:
    """Translate what jtop raises; it names a wrong version and a lost service in its text only."""
    text = " ".join(str(error).split())
    if isinstance(error, PermissionError) or "can't access" in text:
        return DeviceError(f"meter jtop: no access to the service: {text}", GROUP_FIX)
    if "ismatch" in text:
        return DeviceError(f"meter jtop: {text}", VERSION_FIX)
    return DeviceError(f"meter jtop: {type(error).__name__}: {text}", SERVICE_FIX)
