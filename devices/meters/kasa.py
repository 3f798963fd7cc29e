"""Read TP-Link's Kasa and Tapo plugs over the local network with python-kasa, an optional package.

Older Kasa plugs answer to anybody; Tapo and newer Kasa ones want the owner's TP-Link account. The
package finds out which protocol a plug speaks. Power is sampled: KP115, HS110 and kin show
milliwatts, Tapo P110 and KP125M too, though it is refreshed about once a second.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from devices.errors import DeviceError
from devices.meters.base import Availability, Clock, Meter, MeterInfo, Rail, RawSample, ReasonCode
from devices.meters.board_rails import find_limits
from devices.meters.packages import Package
from devices.meters.plug import EVERYTHING_BEHIND_W, LEAST_W
from devices.meters.plug_answers import PLUG_LIMIT_W

KASA = Package("kasa", "python-kasa", 'pip install "mas-edge-harness[kasa]"')

RESOLUTION_W = 0.001
REFRESH_S = 1.0
FIND_S = 3
ANSWER_S = 0.8
LOGIN_FIX = (
    "write the TP-Link account's e-mail and password into a file, two lines: login_file=FILE"
)

Answer = TypeVar("Answer")


class KasaMeter(Meter):
    """Sample the active power at a TP-Link plug, at most once a second.

    Options: `host` (address; required), `login_file` (a file with the account's e-mail and password
    on two lines; a password typed as an option would be shown by `ps`), `socket` (number from 0 of
    a strip's socket), `port` (of an older plug behind a forwarded port).
    """

    name = "kasa"
    option_names = ("host", "login_file", "socket", "port")
    trial_fix = "see that the socket is on and that this device hangs on it"

    def __init__(
        self,
        root: Path = Path("/"),
        clock: Clock = time.monotonic,
        options: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(root, clock, options)
        self._host = self.options.get("host", "")
        if not re.fullmatch(r"[A-Za-z0-9.\-]+|\[[0-9a-fA-F:]+\]", self._host):
            raise DeviceError(
                f"meter kasa: host={self._host!r} is no address", "write kasa:host=192.168.1.50"
            )
        self._port = self._whole("port", 65_535)
        self._socket = self._whole("socket", 99)
        self._login = self._read_login()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._device: Any = None
        self._energy: Any = None

    def _whole(self, key: str, most: int) -> int | None:
        text = self.options.get(key)
        if text is None:
            return None
        if not re.fullmatch("[0-9]{1,5}", text) or int(text) > most:
            raise DeviceError(f"meter kasa: {key}={text!r} is no number up to {most}")
        return int(text)

    def _read_login(self) -> tuple[str, str] | None:
        path = self.options.get("login_file", "")
        if not path:
            return None
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DeviceError(f"meter kasa: {path} cannot be read") from error
        if len(lines) < 2:
            raise DeviceError(f"meter kasa: {path} does not hold two lines", LOGIN_FIX)
        return lines[0], lines[1]

    def refusal(self) -> Availability | None:
        """Ask the plug once."""
        try:
            KASA.check(Path("/"))
            self.open()
        except DeviceError as error:
            reason = error.message.removeprefix("meter kasa: ")
            code: ReasonCode = "permission" if error.remedy == LOGIN_FIX else "no-sensor"
            return self.refuse(code, reason, error.remedy)
        finally:
            self.close()
        return None

    def open(self) -> None:
        """Find the plug, and its energy meter.

        Raises:
            DeviceError: The package is missing, or the plug does not answer, lets nobody in, or has
                no meter.
        """
        kasa = KASA.load(Path("/"))  # a plug hangs on the network, whatever the root
        logging.getLogger("kasa").setLevel(logging.CRITICAL)  # what fails is said here
        self._loop = asyncio.new_event_loop()
        try:
            self._device = self._run(self._found(kasa), FIND_S + 2.0)
            part = self._part()
            self._energy = part.modules.get(kasa.Module.Energy)
        except kasa.AuthenticationError:
            raise DeviceError(
                f"meter kasa: {self._host} lets only its owner in", LOGIN_FIX
            ) from None
        except DeviceError:
            raise
        except Exception as error:  # a plug that answers oddly trips the package itself
            raise DeviceError(
                f"meter kasa: {self._host} does not answer ({type(error).__name__})",
                "is it on this network, and allowed to be controlled locally?",
            ) from None
        if self._energy is None:
            raise DeviceError(f"meter kasa: the {_plain(self._device.model)} has no power meter")
        self._info = self._described()

    async def _found(self, kasa: Any) -> Any:  # noqa: ANN401 - the package is optional
        login = kasa.Credentials(*self._login) if self._login else None
        if self._port is None:
            device = await kasa.Discover.discover_single(
                self._host, credentials=login, discovery_timeout=FIND_S, timeout=FIND_S
            )
        else:
            config = kasa.DeviceConfig(
                host=self._host, port_override=self._port, credentials=login, timeout=FIND_S
            )
            device = await kasa.Device.connect(config=config)
        await device.update()
        return device

    def _part(self) -> Any:  # noqa: ANN401 - of the optional package
        """Return the device, or the socket of a strip.

        Raises:
            DeviceError: There is no such socket, or none was named of several.
        """
        sockets = list(self._device.children)
        if self._socket is None:
            if sockets and not self._device.has_emeter:
                fix = f"add socket=N, N from 0 to {len(sockets) - 1}"
                raise DeviceError(f"meter kasa: {self._host} has several sockets", fix)
            return self._device
        if self._socket >= len(sockets):
            raise DeviceError(f"meter kasa: {self._host} has no socket number {self._socket}")
        return sockets[self._socket]

    def _described(self) -> MeterInfo:
        limits = find_limits(self.root)
        least_w = limits.least_w or LEAST_W
        most_w = max(limits.most_w, EVERYTHING_BEHIND_W) if limits.most_w else PLUG_LIMIT_W
        rail = Rail(
            _plain(self._device.model) or "plug", resolution_w=RESOLUTION_W, max_power_w=most_w,
            min_power_w=least_w,
        )  # fmt: skip
        return MeterInfo(
            meter=self.name,
            kind="sampled",
            scope="wall",
            rails=(rail,),
            averaging_s=REFRESH_S,
            max_rate_hz=1.0,
            notes=(
                "the plug feeds the power supply: its losses and everything behind it are included",
            ),
            least_power_w=least_w,
        )

    def read(self) -> list[RawSample]:
        """Ask for the power; a lost answer gives no value."""
        before_s = self.clock()
        value: float | None = None
        try:
            status = self._run(self._energy.get_status(), ANSWER_S)
            value = None if status.power is None else float(status.power)
        except Exception:
            pass
        return [RawSample(0, before_s, self.clock(), value)]

    def close(self) -> None:
        """Leave the plug."""
        loop, self._loop = self._loop, None
        if loop is not None:
            if self._device is not None:
                loop.run_until_complete(self._device.disconnect())
            loop.close()
        self._device = self._energy = self._info = None

    def _run(self, asked: Coroutine[Any, Any, Answer], most_s: float) -> Answer:
        assert self._loop is not None  # as it is open
        return self._loop.run_until_complete(asyncio.wait_for(asked, most_s))


def _plain(value: object) -> str:
    """Return a name that a plug told, fit to be printed."""
    return re.sub(r"[^A-Za-z0-9._-]", "", str(value))[:40]
