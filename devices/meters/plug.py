"""Read a smart plug on the local network: Shelly of the second generation or newer, and Tasmota.

A plug sees the wall socket: the device's power supply and everything behind it. Power is sampled;
the plug's own energy counter is too coarse for short windows (Tasmota steps by 1 Wh = 3.6 kJ as
delivered), so it is only noted.
"""

from __future__ import annotations

import re
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from devices.errors import DeviceError
from devices.meters.base import Availability, Clock, Meter, MeterInfo, Rail, RawSample
from devices.meters.plug_http import Fetch, FetchError, fetch_url, get_json

PLUG_LIMIT_W = 4000.0
"""16 A at 250 V, the rating of the largest household plug."""

JOULES_PER_WATT_HOUR = 3600.0
REFRESH_S = 1.0
SHELLY_STEP_W = 0.1
"""Shelly prints tenths of a watt and drops a trailing zero, so digits cannot be counted there."""

TYPES = ("shelly", "tasmota")
PASSWORD_FIX = "put it on the first line of a file and add the option password_file=FILE"


@dataclass(frozen=True)
class PlugReading:
    """Hold one answer of a plug.

    Attributes:
        power_w: Active power; below 0 if the load is wired the wrong way round.
        resolution_w: Step of the power.
        total_j: The plug's own energy counter; None if it has none.
        total_step_j: Step in which the counter is shown; None without a counter.
    """

    power_w: float
    resolution_w: float
    total_j: float | None
    total_step_j: float | None


class PlugMeter(Meter):
    """Sample the active power at a wall plug, at most once a second.

    Options: `host` (address, with :port if it is not 80; required), `type` (shelly or tasmota;
    required), `channel` (Shelly switch number, 0 by default), `password_file` (a file whose first
    line is the password; typed as an option it would be shown by `ps` and kept in manifests).
    """

    name = "plug"
    option_names = ("host", "type", "channel", "password_file")

    def __init__(
        self,
        root: Path = Path("/"),
        clock: Clock = time.monotonic,
        options: Mapping[str, str] | None = None,
        fetch: Fetch = fetch_url,
    ) -> None:
        super().__init__(root, clock, options)
        self._fetch = fetch
        self._host = self._checked("host", r"[A-Za-z0-9.\-]+(:[0-9]{1,5})?|\[[0-9a-fA-F:]+\]")
        self._type = self._checked("type", "|".join(TYPES))
        self._channel = self._checked("channel", "[0-9]{1,2}", "0")
        self._password = self._read_password()

    def _checked(self, key: str, pattern: str, default: str = "") -> str:
        text = self.options.get(key, default)
        if not re.fullmatch(pattern, text):
            example = "plug:host=192.168.1.50,type=shelly"
            fault = f"{key}={text!r} is not usable" if text else f"no {key} is named"
            raise DeviceError(f"meter plug: {fault}", f"write {example}")
        return text

    def _read_password(self) -> str:
        path = self.options.get("password_file", "")
        if not path:
            return ""
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DeviceError(f"meter plug: {path} cannot be read") from error
        return lines[0] if lines else ""

    @classmethod
    def probe(
        cls,
        root: Path = Path("/"),
        options: Mapping[str, str] | None = None,
        fetch: Fetch = fetch_url,
    ) -> Availability:
        """Ask the plug once."""
        try:
            meter = cls(root, options=options, fetch=fetch)
        except DeviceError as error:
            return cls.refuse("bad-option", error.message, error.remedy)
        try:
            meter.ask()
        except PermissionError as error:
            return cls.refuse("permission", str(error), PASSWORD_FIX)
        except FetchError as error:
            reason = f"{meter._type} at {meter._host}: {error}"
            fix = f"is it on this network? try: curl -m 2 http://{meter._host}/"
            return cls.refuse("no-sensor", reason, fix)
        except DeviceError as error:
            return cls.refuse("not-supported", error.message, error.remedy)
        return Availability(cls.name, True)

    def ask(self) -> PlugReading:
        """Get one reading.

        Raises:
            FetchError: No answer.
            PermissionError: The plug wants another password.
            DeviceError: The answer holds no power.
        """
        base = f"http://{self._host}"
        if self._type == "shelly":
            path = f"/rpc/Switch.GetStatus?id={self._channel}"
            return parse_shelly(get_json(self._fetch, base, path, self._password))
        query = {"cmnd": "Status 10"}
        if self._password:
            query = {"user": "admin", "password": self._password, **query}
        path = f"/cm?{urllib.parse.urlencode(query, quote_via=urllib.parse.quote)}"
        return parse_tasmota(get_json(self._fetch, base, path))

    def open(self) -> None:
        """Ask once, to learn the plug's resolution.

        Raises:
            DeviceError: The plug does not answer with a power.
        """
        try:
            first = self.ask()
        except PermissionError as error:
            raise DeviceError(f"meter plug: {error}", PASSWORD_FIX) from error
        except FetchError as error:
            raise DeviceError(f"meter plug: {self._type} at {self._host}: {error}") from error
        rail = Rail(self._type, resolution_w=first.resolution_w, max_power_w=PLUG_LIMIT_W)
        self._info = MeterInfo(
            meter=self.name,
            kind="sampled",
            scope="wall",
            rails=(rail,),
            averaging_s=REFRESH_S,
            max_rate_hz=1.0,
            notes=_notes(first),
        )

    def read(self) -> list[RawSample]:
        """Ask for the power; a lost or senseless answer gives no value."""
        before_s = self.clock()
        try:
            value: float | None = self.ask().power_w
        except (FetchError, PermissionError, DeviceError):
            value = None
        return [RawSample(0, before_s, self.clock(), value)]

    def close(self) -> None:
        """Forget the plug; there is no connection to end."""
        self._info = None


def _notes(first: PlugReading) -> tuple[str, ...]:
    notes = ["the plug feeds the power supply: its losses and everything behind it are included"]
    if first.total_step_j is not None:
        notes.append(f"the plug's own counter shows steps of {first.total_step_j:g} J: not used")
    if first.power_w < 0.0:
        notes.append("the power is negative: the load is wired the wrong way round or feeds in")
    return tuple(notes)


def parse_shelly(data: Mapping[str, Any]) -> PlugReading:
    """Read the answer of `Switch.GetStatus`: `apower` in W, `aenergy.total` in Wh.

    Raises:
        DeviceError: No power, a reported fault, or the relay is off.
    """
    if data.get("errors"):
        raise DeviceError("the plug reports a fault of its meter")
    if data.get("output") is False:
        raise DeviceError("the plug's relay is off, so it does not feed the device")
    power = _number(data.get("apower"))
    if power is None or abs(power) > PLUG_LIMIT_W:
        raise DeviceError("the plug's answer holds no power: this model has no meter")
    counter = data.get("aenergy")
    total = _number(counter.get("total")) if isinstance(counter, Mapping) else None
    return _reading(power, SHELLY_STEP_W, total, JOULES_PER_WATT_HOUR)


def parse_tasmota(data: Mapping[str, Any]) -> PlugReading:
    """Read the answer of `Status 10`: ENERGY with `Power` in W and `Total` in kWh.

    A list of powers means several channels behind one plug; they are not added up by guess.

    Raises:
        DeviceError: No power of one channel.
        PermissionError: The plug wants a password.
    """
    if "Need user=" in str(data.get("WARNING", "")):
        raise PermissionError("the plug wants a password, or another one")
    sensors = data.get("StatusSNS", data)
    meter = sensors.get("ENERGY") if isinstance(sensors, Mapping) else None
    if not isinstance(meter, Mapping):
        raise DeviceError("the plug's answer has no ENERGY: this model has no meter")
    if isinstance(meter.get("Power"), list):
        raise DeviceError("the plug has several channels: use one with a single socket")
    power = _number(meter.get("Power"))
    if power is None or abs(power) > PLUG_LIMIT_W:
        raise DeviceError("the plug's answer holds no power")
    # Tasmota always prints as many decimals as WattRes and EnergyRes ask for.
    total = _number(meter.get("Total"))
    return _reading(power, _step(power), total, 1000.0 * JOULES_PER_WATT_HOUR)


def _reading(
    power: Decimal, resolution_w: float, total: Decimal | None, unit_j: float
) -> PlugReading:
    if total is None:
        return PlugReading(float(power), resolution_w, None, None)
    return PlugReading(float(power), resolution_w, float(total) * unit_j, _step(total) * unit_j)


def _step(number: Decimal) -> float:
    """Return what one unit of the last printed digit stands for."""
    exponent = number.as_tuple().exponent
    return 10.0 ** min(int(exponent), 0)


def _number(value: object) -> Decimal | None:
    """Return a JSON number of sane size; text, truth values and lists are none."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    number = Decimal(value)
    # copy_abs does not round: abs would overflow on an absurd exponent
    return number if number.copy_abs() < Decimal("1e12") else None
