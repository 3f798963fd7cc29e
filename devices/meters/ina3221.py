"""Read the power rails of NVIDIA Jetson modules from the kernel's files."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from devices.errors import DeviceError
from devices.meters.base import Availability, Clock, Meter, MeterInfo, Rail, RawSample, Rejected
from devices.meters.board_rails import RailChoice, choose_rule, find_board_rails
from devices.meters.ina3221_chips import (
    Channel,
    Chip,
    find_channels,
    find_chips,
    find_timing,
    shunts_in_doubt,
)
from devices.meters.sysfs import Opener, QuantityReader, open_readonly, try_quantity
from devices.profile import RailRule

CONTAINER_FIX = "start the container with -v /sys:/sys:ro"
NO_CHIP_FIX = "ls /sys/bus/i2c/drivers/ina3221 /sys/bus/i2c/drivers/ina3221x lists the chips"


@dataclass(frozen=True)
class _Found:
    """Hold everything `open` needs to know."""

    chips: list[Chip]
    channels: list[Channel]
    rejected: list[Rejected]
    choice: RailChoice
    doubts: list[str]


class Ina3221Meter(Meter):
    """Read every connected rail of the module's power monitors.

    Options: `board` (a device name, where the device tree does not tell the board) and `scope`
    (one of the profile's scopes, where the board has several). The chip reports a moving mean, and
    negative readings of one step occur near zero; they are kept.
    """

    name = "ina3221"
    trial_fix = NO_CHIP_FIX
    option_names = ("board", "scope")

    def __init__(
        self,
        root: Path = Path("/"),
        clock: Clock = time.monotonic,
        options: Mapping[str, str] | None = None,
        opener: Opener = open_readonly,
    ) -> None:
        super().__init__(root, clock, options)
        self._opener = opener
        self._reader = QuantityReader(opener)

    def refusal(self) -> Availability | None:
        """Refuse unless the rails can be read and, on a known board, make up its total."""
        return self._judge(self._find())

    def _find(self) -> _Found | None:
        """Look at chips and board; None without chips, `DeviceError` for no such board."""
        chips = find_chips(self.root)
        if not any(chip.kind != "ina238" for chip in chips):
            return None  # an INA238 alone is somebody's probe, not a Jetson's
        board = find_board_rails(self.root, (self.name,), self.options.get("board", ""))
        channels, rejected = find_channels(chips, board.compatible)
        names = [channel.name for channel in channels]
        choice = choose_rule(board, names, self.options.get("scope", ""))
        doubts = shunts_in_doubt(chips, board.compatible)
        return _Found(chips, channels, rejected, choice, doubts)

    def _judge(self, found: _Found | None) -> Availability | None:
        """Say whether what was found can be used."""
        if found is None:
            missing = "no INA3221 power monitor under /sys/bus/i2c/drivers"
            return self.refuse_absent(self.root, missing, NO_CHIP_FIX, CONTAINER_FIX)
        if not found.channels:
            reason = "the power monitors show no rail: " + _reasons(found.rejected)
            return self.refuse("no-sensor", reason, NO_CHIP_FIX)
        if found.choice.known_board and found.choice.rule is None:
            return self.refuse("no-sensor", found.choice.note)
        needed = [c for c in found.channels if found.choice.role(c.name) == "total"]
        tried = [
            try_quantity(type(self), c.name, c.power, self.root, self._opener)
            for c in needed or found.channels
        ]
        refusals = [answer for answer in tried if answer is not None]
        if refusals and (needed or len(refusals) == len(tried)):
            return refusals[0]
        return None

    def open(self) -> None:
        """Open every rail once; the descriptors are read again and again.

        Raises:
            DeviceError: There is no rail, or one of the total cannot be read.
        """
        self.close()
        found = self._find()
        answer = self._judge(found)
        if answer is not None:
            raise DeviceError(f"meter {self.name}: {answer.reason}", answer.fix)
        assert found is not None  # else it is refused
        rails: list[Rail] = []
        rejected = list(found.rejected)
        try:
            self._open_channels(found, rails, rejected)
        except OSError as error:
            self.close()
            raise DeviceError(f"meter {self.name}: {error}") from error
        timing = find_timing([chip for chip in found.chips if chip.kind != "ina238"])
        notes = [timing.note, *self._notes(found, rails)]
        self._info = MeterInfo(
            meter=self.name,
            kind="sampled",
            scope=found.choice.scope,
            rails=tuple(rails),
            rejected=tuple(rejected),
            averaging_s=timing.averaging_s,
            max_rate_hz=timing.max_rate_hz,
            notes=tuple(notes),
            least_power_w=found.choice.limits.least_w if found.choice.rule else 0.0,
        )

    def _open_channels(self, found: _Found, rails: list[Rail], rejected: list[Rejected]) -> None:
        """Open descriptors; a witness that cannot be read is left out with its reason."""
        counts: Counter[str] = Counter()
        for channel in found.channels:
            rail = found.choice.rail(channel.name, channel.resolution_w)
            try:
                self._reader.add(channel.power)
            except OSError as error:
                if rail.role == "total":
                    raise
                rejected.append(Rejected(channel.name, f"cannot be read: {error.strerror}"))
                continue
            counts[channel.name] += 1
            repeat = counts[channel.name]
            name = channel.name if repeat == 1 else f"{channel.name} ({repeat})"
            rails.append(replace(rail, name=name))

    def _notes(self, found: _Found, rails: list[Rail]) -> list[str]:
        """Collect what limits the figure."""
        notes = [*filter(None, [found.choice.note]), *found.doubts]
        unknown = [rail.name for rail in rails if rail.resolution_w is None]
        if unknown:
            notes.append(f"step of the sensor not known for {', '.join(unknown)}")
        rule = found.choice.rule
        if rule is not None and rule.total:
            values = [self._reader.value(index) for index in range(len(rails))]
            notes += _labels_in_doubt(rule.total, rails, values)
            notes += _parts_in_doubt(rule, rails, values)
        return notes

    def read(self) -> list[RawSample]:
        """Read every rail once; a rail that cannot be read gives no value."""
        return self._reader.samples(self.clock)

    def close(self) -> None:
        """Close all descriptors."""
        self._reader.close()
        self._info = None


def _labels_in_doubt(total: str, rails: list[Rail], values: list[float | None]) -> list[str]:
    """Warn if a part draws more than the whole, as on carriers with permuted labels.

    A part may read one step of each sensor too high without being wrong.
    """
    readings = {
        rail.name: (value, rail.resolution_w or 0.0)
        for rail, value in zip(rails, values, strict=True)
        if value is not None
    }
    if total not in readings:
        return [f"{total}: no reading when the meter was opened"]
    whole_w, whole_step_w = readings.pop(total)
    return [
        f"{name} reads {part_w:.3f} W, more than the total {total} with {whole_w:.3f} W: "
        "the labels may be permuted"
        for name, (part_w, step_w) in readings.items()
        if part_w > whole_w + step_w + whole_step_w
    ]


def _parts_in_doubt(rule: RailRule, rails: list[Rail], values: list[float | None]) -> list[str]:
    """Warn if the parts add up to more than a tenth above the whole they are inside of."""
    readings = {rail.name: value or 0.0 for rail, value in zip(rails, values, strict=True)}
    parts_w = sum(readings.get(name, 0.0) for name in rule.never_sum)
    steps_w = sum(rail.resolution_w or 0.0 for rail in rails)
    whole_w = readings.get(rule.total, 0.0)
    if parts_w <= 1.1 * whole_w + steps_w:
        return []
    inside = ", ".join(rule.never_sum)
    return [f"{inside} add up to {parts_w:.3f} W, the total {rule.total} reads {whole_w:.3f} W"]


def _reasons(rejected: list[Rejected]) -> str:
    return "; ".join(f"{item.name}: {item.reason}" for item in rejected) or "no channel has a name"
