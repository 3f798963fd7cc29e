"""Read a smart plug on the local network: Shelly of any generation, and Tasmota.

A plug sees the wall socket: the device's power supply and everything behind it. Power is sampled;
the plug's own energy counter is too coarse for short windows (Tasmota steps by 1 Wh = 3.6 kJ as
delivered), so it is only noted.

A Shelly's meter is a component of its own name: a plug's is Switch, that of the PM Mini, which has
no relay, is PM1, that of an energy meter EM1. The first generation has no such calls at all: its
`/shelly` page has a `type` where later ones have `gen`, and its meters are `/meter/0` of plugs and
relays and `/emeter/0` of energy meters.
"""

from __future__ import annotations

import re
import time
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from devices.errors import DeviceError
from devices.meters.base import Availability, Clock, Meter, MeterInfo, Rail, RawSample
from devices.meters.board_rails import find_limits
from devices.meters.plug_answers import (
    PLUG_LIMIT_W,
    PlugReading,
    parse_first_shelly,
    parse_shelly,
    parse_tasmota,
)
from devices.meters.plug_http import Fetch, FetchError, StatusError, fetch_url, get_json

EVERYTHING_BEHIND_W = 100.0
"""What may hang on a plug beside a small board: its screen, a disk, a switch."""

LEAST_W = 0.4
"""Less than the smallest computer takes at the wall: a Raspberry Pi Zero 2 at rest takes 0.6 W."""

SHELLY_COMPONENTS = ("Switch", "PM1", "EM1")
NOT_FOUND = 404
FIRST_GENERATION = {"meter": 60.0, "emeter": 3600.0}
"""Pages of the first generation's meters, and the joules of one count of their totals."""

REFRESH_S = 1.0
TYPES = ("shelly", "tasmota")
PASSWORD_FIX = "put it on the first line of a file and add the option password_file=FILE"


class PlugMeter(Meter):
    """Sample the active power at a wall plug, at most once a second.

    Options: `host` (address, with :port if it is not 80; required), `type` (shelly or tasmota;
    required), `channel` (Shelly switch number, 0 by default), `password_file` (a file whose first
    line is the password; typed as an option it would be shown by `ps` and kept in manifests).
    """

    name = "plug"
    trial_fix = (
        "see that the plug's relay is on, that this device hangs on it the right way round, and"
        " that it draws more than the least load the plug shows, which may be some watts"
    )
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
        self._component = ""

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

    def refusal(self) -> Availability | None:
        """Ask the plug once."""
        try:
            self.ask()
        except PermissionError as error:
            return self.refuse("permission", str(error), PASSWORD_FIX)
        except FetchError as error:
            reason = f"{self._type} at {self._host}: {error}"
            fix = f"is it on this network? try: curl -m 2 http://{self._host}/"
            return self.refuse("no-sensor", reason, fix)
        except DeviceError as error:
            return self.refuse("not-supported", error.message, error.remedy)
        return None

    def ask(self) -> PlugReading:
        """Get one reading.

        Raises:
            FetchError: No answer.
            PermissionError: The plug wants another password.
            DeviceError: The answer holds no power.
        """
        base = f"http://{self._host}"
        if self._type == "shelly":
            return self._ask_shelly(base)
        query = {"cmnd": "Status 10"}
        if self._password:
            query = {"user": "admin", "password": self._password, **query}
        path = f"/cm?{urllib.parse.urlencode(query, quote_via=urllib.parse.quote)}"
        return parse_tasmota(get_json(self._fetch, base, path))

    def _ask_shelly(self, base: str) -> PlugReading:
        """Ask the component that holds the meter, which the first answer settles."""
        if self._component in FIRST_GENERATION:
            return self._ask_first_generation(base)
        for component in [self._component] if self._component else SHELLY_COMPONENTS:
            path = f"/rpc/{component}.GetStatus?id={self._channel}"
            try:
                answer = get_json(self._fetch, base, path, self._password)
            except StatusError as error:
                if error.status != NOT_FOUND or self._component:
                    raise
                continue
            self._component = component
            return parse_shelly(answer)
        return self._ask_first_generation(base)

    def _ask_first_generation(self, base: str) -> PlugReading:
        """Ask a Shelly that knows none of the components."""
        for page in [self._component] if self._component else FIRST_GENERATION:
            path = f"/{page}/{self._channel}"
            try:
                answer = get_json(self._fetch, base, path, self._password, basic=True)
            except StatusError as error:
                if error.status != NOT_FOUND or self._component:
                    raise
                continue
            self._component = page
            return parse_first_shelly(answer, FIRST_GENERATION[page])
        raise self._no_component(base)

    def _no_component(self, base: str) -> DeviceError:
        """Say what this Shelly is."""
        model = self._get_page(base, "/shelly")
        if "gen" not in model and isinstance(model.get("type"), str):
            name = f"the Shelly {_plain(model['type'])} of the first generation"
            return DeviceError(f"{name} has no meter number {self._channel}", "set channel=N")
        name = f"Shelly {_plain(model['model'])}" if "model" in model else "device there"
        tried = ", ".join(SHELLY_COMPONENTS)
        return DeviceError(
            f"the {name} has no meter number {self._channel} among {tried}", "set channel=N"
        )

    def _get_page(self, base: str, path: str) -> dict[str, Any]:
        """Return a page that needs no password; empty if there is none."""
        try:
            return get_json(self._fetch, base, path)
        except (FetchError, PermissionError):
            return {}

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
        limits = find_limits(self.root)
        least_w = limits.least_w or LEAST_W
        most_w = max(limits.most_w, EVERYTHING_BEHIND_W) if limits.most_w else PLUG_LIMIT_W
        rail = Rail(
            self._type, resolution_w=first.resolution_w, max_power_w=most_w, min_power_w=least_w
        )
        self._info = MeterInfo(
            meter=self.name,
            kind="sampled",
            scope="wall",
            rails=(rail,),
            averaging_s=REFRESH_S,
            max_rate_hz=1.0,
            notes=_notes(first),
            least_power_w=least_w,
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


def _plain(value: object) -> str:
    """Return a name that a plug told, fit to be printed."""
    return re.sub(r"[^A-Za-z0-9._-]", "", str(value))[:40]
