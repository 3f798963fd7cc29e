"""Read the rails of the Raspberry Pi 5's power management chip through `vcgencmd`."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devices.container import recipe, start_with
from devices.errors import DeviceError
from devices.meters.base import Availability, Clock, Meter, MeterInfo, RawSample, Rejected
from devices.meters.board_rails import RailChoice, choose_rule, find_board_rails
from devices.programs import Answer, Run, find_program, run_program

PROGRAM = "vcgencmd"
READ_LIMIT_S = 1.0
MAX_RATE_HZ = 2.0
"""A read is a process and a trip to the firmware; 50 reads a second slow a busy board sixfold."""

FITTED_RAIL = "fitted board input (modelled)"
FIT_SLOPE = 1.1451
FIT_OFFSET_W = 0.5879
"""Line through 50 s means of one board against one USB-C meter (github.com/jfikar/RPi5-power)."""

INSTALL_FIX = "sudo apt install raspi-utils"
PERMISSION_FIX = "sudo usermod -aG video $USER, then log in again"

_NUMBER = r"(?P<value>-?[0-9]{1,3}(?:\.[0-9]{1,12})?)"
_CURRENT = re.compile(rf"\s*(?P<rail>[0-9A-Z_]+)_A\s+current\([0-9]+\)={_NUMBER}A\s*")
_VOLTAGE = re.compile(rf"\s*(?P<rail>[0-9A-Z_]+)_V\s+volt\([0-9]+\)={_NUMBER}V\s*")


def parse_adc(text: str) -> dict[str, float | None]:
    """Return watts by rail for the output of `vcgencmd pmic_read_adc`.

    Current and voltage are paired by name, since their numbers run in different orders. A rail
    with a voltage only (EXT5V, BATT) has None; so has one that is printed twice.
    """
    amperes: dict[str, list[float]] = {}
    volts: dict[str, list[float]] = {}
    for line in text.splitlines():
        for pattern, found in ((_CURRENT, amperes), (_VOLTAGE, volts)):
            match = pattern.fullmatch(line)
            if match:
                found.setdefault(match["rail"], []).append(float(match["value"]))
    return {
        rail: _product(amperes.get(rail, []), volts.get(rail, []))
        for rail in dict.fromkeys([*amperes, *volts])
    }


def _product(amperes: list[float], volts: list[float]) -> float | None:
    if len(amperes) != 1 or len(volts) != 1:
        return None
    return amperes[0] * volts[0]


def fitted_input_w(sum_w: float) -> float:
    """Return the modelled input power of the board for the measured sum of all rails.

    The fit stands for one board and one meter; it is a model, never a measurement.
    """
    return FIT_SLOPE * sum_w + FIT_OFFSET_W


@dataclass(frozen=True)
class _Look:
    """Hold one answer of the firmware and what its rails add up to."""

    program: Path
    output: Answer
    powers: dict[str, float | None]
    choice: RailChoice


class PmicMeter(Meter):
    """Add up the rails that have a current; what is fed straight from 5 V is not among them.

    The fitted input power of the board is recorded beside it as a witness that says it is modelled.
    Options: `board` (a device name, where the device tree does not tell the board).
    """

    name = "pmic"
    trial_fix = "vcgencmd pmic_read_adc shows what the firmware reads"
    option_names = ("board",)

    def __init__(
        self,
        root: Path = Path("/"),
        clock: Clock = time.monotonic,
        options: Mapping[str, str] | None = None,
        run: Run = run_program,
    ) -> None:
        super().__init__(root, clock, options)
        self._run = run
        self._program: Path | None = None

    def refusal(self) -> Availability | None:
        """Refuse unless the firmware answers with rails of the board."""
        return self._judge(self._look())

    def _look(self) -> _Look | None:
        """Ask once; None without the program, `DeviceError` for a board that does not exist."""
        program = find_program(self.root, PROGRAM)
        if program is None:
            return None
        output = self._ask(program)
        powers = _powers(output)
        board = find_board_rails(self.root, (self.name,), self.options.get("board", ""))
        rails = [name for name, power in powers.items() if power is not None]
        return _Look(program, output, powers, choose_rule(board, rails))

    def _ask(self, program: Path) -> Answer:
        return self._run([str(program), "pmic_read_adc"], READ_LIMIT_S)

    def _judge(self, look: _Look | None) -> Availability | None:
        """Say whether the answer holds the rails of the board."""
        if look is None:
            return _without_program(self.root)
        if not any(power is not None for power in look.powers.values()):
            return _without_rails(self.root, look.output)
        if look.choice.known_board and look.choice.rule is None:
            return self.refuse("no-sensor", look.choice.note)
        return None

    def open(self) -> None:
        """Read once to learn the rails.

        Raises:
            DeviceError: The program is missing, or answers without the rails of the board.
        """
        self.close()
        look = self._look()
        answer = self._judge(look)
        if answer is not None:
            raise DeviceError(f"meter {self.name}: {answer.reason}", answer.fix)
        assert look is not None  # else it is refused
        self._program = look.program
        self._info = _describe(look)

    def read(self) -> list[RawSample]:
        """Ask the firmware once; a rail it does not answer for gives no value."""
        if self._info is None or self._program is None:
            return []
        before_s = self.clock()
        output = self._ask(self._program)
        after_s = self.clock()
        powers = _powers(output)
        totals = [powers.get(rail.name) for rail in self._info.rails if rail.role == "total"]
        known = [power for power in totals if power is not None]
        # Half of the rails would make a fitted figure that is far too low.
        complete = bool(totals) and len(known) == len(totals)
        powers[FITTED_RAIL] = fitted_input_w(math.fsum(known)) if complete else None
        return [
            RawSample(index, before_s, after_s, powers.get(rail.name))
            for index, rail in enumerate(self._info.rails)
        ]

    def close(self) -> None:
        """Forget the rails; no program runs between reads."""
        self._program = None
        self._info = None


def _describe(look: _Look) -> MeterInfo:
    """Describe the rails of an answer."""
    rails, rejected = [], []
    for name, power in look.powers.items():
        if power is None:
            rejected.append(Rejected(name, "not one current and one voltage of that name"))
        else:
            rails.append(look.choice.rail(name))
    if look.choice.rule is not None:
        rails.append(look.choice.rail(FITTED_RAIL))
    notes = ["single readings are noisy and the step of the sensor is not documented"]
    return MeterInfo(
        meter=PmicMeter.name,
        kind="sampled",
        scope=look.choice.scope,
        rails=tuple(rails),
        rejected=tuple(rejected),
        max_rate_hz=MAX_RATE_HZ,
        notes=tuple(notes + ([look.choice.note] if look.choice.note else [])),
        least_power_w=look.choice.limits.least_w if look.choice.rule else 0.0,
    )


def _powers(output: Answer) -> dict[str, float | None]:
    """Return the rails of an answer; none of one that failed, whatever it printed before."""
    return parse_adc(output.text) if output.status == 0 else {}


def _without_program(root: Path) -> Availability:
    """Say why `vcgencmd` is missing."""
    compatible = find_board_rails(root, (PmicMeter.name,)).compatible
    if any(name.startswith("raspberrypi,") for name in compatible):
        reason = "the program vcgencmd is not installed"
        words = recipe(root)
        shown = words and start_with(words.mount("/usr/bin/vcgencmd"), words.device("/dev/vcio"))
        return PmicMeter.refuse("no-sensor", reason, shown or INSTALL_FIX)
    reason = "this is no Raspberry Pi: the program vcgencmd is not here"
    return PmicMeter.refuse("no-sensor", reason)


def _without_rails(root: Path, output: Answer) -> Availability:
    """Say why the firmware gave no rails."""
    told = " ".join(f"{output.text} {output.errors}".split())[:200]
    if output.status is None:
        reason = f"vcgencmd did not answer within {READ_LIMIT_S:g} s"
        return PmicMeter.refuse("no-sensor", reason, "sudo reboot")
    if re.search(r"vcio|VCHI|[Pp]ermission", told):
        reason = f"vcgencmd may not talk to the firmware: {told}"
        words = recipe(root)
        shown = words and start_with(words.device("/dev/vcio"))
        return PmicMeter.refuse("permission", reason, shown or PERMISSION_FIX)
    reason = f"the firmware knows no pmic_read_adc, which the Pi 5 family has: {told or 'silence'}"
    return PmicMeter.refuse("not-supported", reason)
