"""Read how warm the GPU is that trains: a card by its driver, a board's by its thermal zone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType

from devices.accelerator import Accelerator
from devices.card_state import read_temperature_c
from devices.card_watch import open_cards
from devices.thermal_zones import gpu_zone_c

Thermometer = Callable[[], float | None]
"""Return a temperature in °C; None if it is not told."""


@contextlib.contextmanager
def gpu_thermometer(
    trains: Accelerator,
    root: Path = Path("/"),
    module: ModuleType | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Thermometer]:
    """Give a thermometer of the GPU as long as the context is open; of a processor it tells None.

    Memory that GPU and processor share is a board's, and there the zone comes first: its driver
    answers few queries.

    Args:
        trains: What trains.
        root: Root of the file system.
        module: Binding of NVML; by default the one installed, where there is a driver.
        environment: Environment variables; by default this process's.
    """
    if not trains.is_gpu:
        yield lambda: None
        return
    with open_cards(trains.uuid, module, environment) as cards:

        def read_c() -> float | None:
            zone_c = gpu_zone_c(root) if trains.shared_memory else None
            if zone_c is not None or cards is None:
                return zone_c
            told = (read_temperature_c(cards.nvml, handle) for handle in cards.handles)
            return max((celsius for celsius in told if celsius is not None), default=None)

        yield read_c
