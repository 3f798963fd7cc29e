"""Let host and GPU become as calm between two cells as they were before the first one."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from devices.accelerator import Accelerator
from devices.gpu_heat import gpu_thermometer
from devices.thermal_zones import hottest_c
from harness.measurement.cooling import Calm, CoolDown, Cooled, Gauges, cool_down
from harness.measurement.measuring import MeasuringSession
from harness.records.phases import Label


@dataclass
class BetweenCells:
    """Know how warm the device was before the first cell; `begun` is taken by `begin`."""

    how: CoolDown
    trains: Accelerator
    session: MeasuringSession
    root: Path = Path("/")
    begun: Calm = field(default_factory=Calm)

    def begin(self) -> None:
        """Note how warm host and GPU are before anything is trained, and what they draw."""
        with gpu_thermometer(self.trains, self.root) as gpu_c:
            self.begun = Calm(self._host_c(), self.session.idle.before_w, gpu_c())

    def cool_down(self, last_cell_s: float) -> Cooled:
        """Pause as asked, after a cell that took some seconds."""
        with (
            gpu_thermometer(self.trains, self.root) as gpu_c,
            self.session.log.phase(Label("cool-down")),
        ):
            gauges = Gauges(
                self._host_c, self.session.power_since, time.sleep, time.monotonic, gpu_c
            )
            return cool_down(self.how, self.begun, last_cell_s, gauges)

    def recorded(self, found: Cooled) -> dict[str, Any]:
        """Return what is written of a pause: how long it took, how calm it was and should be."""
        return {
            "waited_s": round(found.waited_s, 3),
            "baseline": asdict(self.begun),
            "now": asdict(found.now),
        }

    def _host_c(self) -> float | None:
        return hottest_c(self.root)
