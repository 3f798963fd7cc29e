"""Read a Joulescope JS110 or JS220 in the supply line, with the maker's optional package.

The instrument integrates current times voltage itself, 2 million samples a second, and tells the
joules so far twice a second. It sits between a supply and a board, so it sees all the board draws
and none of the supply's losses.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from devices.errors import DeviceError
from devices.meters.base import Availability, Clock, Meter, MeterInfo, Rail, RawSample
from devices.meters.packages import Package
from devices.text_files import read_text

JOULESCOPE = Package("joulescope", "joulescope", 'pip install "mas-edge-harness[joulescope]"')

RATE_HZ = 2.0
MOST_W = 150.0
"""15 V at 10 A, the rating of both models."""

COUNT_J = 1e-6
LAG_S = 0.01
"""By how much a count is older than the moment at which it is told: transfers over USB take some
milliseconds, and so may the thread that takes them."""

PATIENCE_S = 2.0
PLUG_IT = "plug it in, close its own program, allow its USB device (udev)"

VENDORS = ("1fc9", "16d0")
"""USB vendors under whose numbers the JS110 and the JS220 are sold, among other things."""

Scan = Callable[[], list[Any]]


def _may_be_there(root: Path) -> bool:
    """Say whether anything of these vendors is plugged in: the package is slow to import."""
    found = (root / "sys/bus/usb/devices").glob("*/idVendor")
    return any(read_text(path) in VENDORS for path in found)


class JoulescopeMeter(Meter):
    """Take the joules that the instrument has counted since it was opened.

    Options: `serial` (of the instrument, where several are plugged in), `scope` (what hangs on it:
    board, by default, or module, soc, …).
    """

    name = "joulescope"
    option_names = ("serial", "scope")
    trial_fix = "see that current flows through it, from IN to OUT"

    def __init__(
        self,
        root: Path = Path("/"),
        clock: Clock = time.monotonic,
        options: Mapping[str, str] | None = None,
        scan: Scan | None = None,
    ) -> None:
        super().__init__(root, clock, options)
        self._scan = scan
        self._device: Any = None
        self._told: queue.SimpleQueue[tuple[float, float]] = queue.SimpleQueue()

    def refusal(self) -> Availability | None:
        """Look for the instrument, without opening it."""
        try:
            self.find()
        except DeviceError as error:
            return self.refuse("no-sensor", error.message, error.remedy)
        return None

    def find(self) -> Any:  # noqa: ANN401 - of the optional package
        """Return the instrument.

        Raises:
            DeviceError: The package is missing, there is none, or it is not clear which is meant.
        """
        scan = self._scan
        if scan is None:
            JOULESCOPE.check(self.root)
            scan = JOULESCOPE.load(self.root).scan if _may_be_there(self.root) else list
        found = {str(device): device for device in scan()}
        serial = self.options.get("serial", "")
        chosen = [device for name, device in found.items() if name.endswith(serial)]
        if not chosen:
            missing = f"no Joulescope {serial}".rstrip() + " is plugged in"
            raise DeviceError(missing, f"there is {', '.join(found)}" if found else PLUG_IT)
        if len(chosen) > 1:
            names = ", ".join(found)
            raise DeviceError(f"several Joulescopes are plugged in: {names}", "add serial=NUMBER")
        return chosen[0]

    def open(self) -> None:
        """Open the instrument and let it tell what it counts.

        Raises:
            DeviceError: As `find`, or it cannot be opened.
        """
        self._device = self.find()
        try:
            self._device.statistics_callback_register(self._take, "sensor")
            self._device.open()
        except Exception as error:  # whatever the package raises: USB, permission, firmware
            self._device = None
            raise DeviceError(f"the Joulescope cannot be opened: {error}", PLUG_IT) from error
        rail = Rail("in-out", resolution_j=COUNT_J + MOST_W * LAG_S, max_power_w=MOST_W)
        self._info = MeterInfo(
            meter=self.name,
            kind="counter",
            scope=self.options.get("scope", "board"),
            rails=(rail,),
            max_rate_hz=RATE_HZ,
            notes=(f"told over USB up to {1000 * LAG_S:g} ms after it was counted",),
        )

    def _take(self, statistics: Mapping[str, Any]) -> None:
        """Keep the joules so far; called by the package's own thread."""
        self._told.put((self.clock(), float(statistics["accumulators"]["energy"]["value"])))

    def read(self) -> list[RawSample]:
        """Return the newest count that was not read yet, waiting for it if there is none."""
        now_s = self.clock()
        newest: tuple[float, float] | None = None
        try:
            newest = self._told.get(timeout=PATIENCE_S)
            while True:
                newest = self._told.get_nowait()
        except queue.Empty:
            pass
        if newest is None:
            return [RawSample(0, now_s, self.clock(), None)]
        told_s, energy_j = newest
        return [RawSample(0, told_s, told_s, energy_j)]

    def close(self) -> None:
        """Let the instrument go."""
        device, self._device = self._device, None
        if device is not None:
            device.statistics_callback_unregister(self._take, "sensor")
            device.close()
        self._info = None
