"""Read several meters as one: processor and memory by one, the GPU by another.

Their rails are read one after another in one process, each with times of its own, so they are added
up window by window like the rails of a single meter.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from devices.errors import DeviceError
from devices.meters.base import Availability, Clock, Meter, MeterInfo, RawSample, Rejected
from devices.meters.scopes import Covered, overlap


class JointMeter(Meter):
    """Add up meters that cover different parts of a computer and are of one kind.

    Counters and sampled power do not go together: their figures err in different ways, and a window
    has one bound.
    """

    name = "joint"

    def __init__(
        self, parts: Sequence[Meter], root: Path = Path("/"), clock: Clock = time.monotonic
    ) -> None:
        super().__init__(root, clock)
        self._parts = tuple(parts)
        self.made_up = any(part.made_up for part in parts)  # type: ignore[misc]

    def refusal(self) -> Availability | None:
        """Return the first part's refusal."""
        return next((no for part in self._parts if (no := part.refusal()) is not None), None)

    def open(self) -> None:
        """Open every part.

        Raises:
            DeviceError: One cannot be opened, or they cannot be added up.
        """
        self.close()
        try:
            for part in self._parts:
                part.open()
            self._info = _joined([part.describe() for part in self._parts])
        except DeviceError:
            self.close()
            raise

    def read(self) -> list[RawSample]:
        """Read every rail of every part once, in order."""
        found: list[RawSample] = []
        first = 0
        for part in self._parts:
            found += [replace(sample, rail=first + sample.rail) for sample in part.read()]
            first += len(part.describe().rails)
        return found

    def close(self) -> None:
        """Close every part."""
        for part in self._parts:
            part.close()
        self._info = None


def _joined(parts: Sequence[MeterInfo]) -> MeterInfo:
    """Return the description of the sum.

    Raises:
        DeviceError: if one may contain another, or their kinds differ.
    """
    why = overlap([Covered(part.meter, part.scope) for part in parts])
    if why:
        raise DeviceError(why, "name meters of different parts, as in rapl+nvml")
    name = "+".join(part.meter for part in parts)
    if len({part.kind for part in parts}) > 1:
        kinds = ", ".join(f"{part.meter} is {part.kind}" for part in parts)
        fix = "python -m harness.measure adds them up; a run takes meters of one kind"
        raise DeviceError(f"meter {name}: {kinds}", fix)
    return MeterInfo(
        meter=name,
        kind=parts[0].kind,
        scope="+".join(part.scope for part in parts),
        rails=tuple(
            replace(rail, name=f"{part.meter}/{rail.name}") for part in parts for rail in part.rails
        ),
        rejected=tuple(
            Rejected(f"{part.meter}/{item.name}", item.reason)
            for part in parts
            for item in part.rejected
        ),
        averaging_s=max(part.averaging_s for part in parts),
        max_rate_hz=min(part.max_rate_hz for part in parts),
        notes=tuple(f"{part.meter}: {note}" for part in parts for note in part.notes),
        least_power_w=sum(part.least_power_w for part in parts),
    )
