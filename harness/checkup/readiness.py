"""Judge whether a host is ready to measure, and say what to do about each thing that is not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from devices.board_state import BoardState
from devices.host import Host
from devices.inspection import MeterReport
from devices.profile import Profile
from harness.checkup.facts import HostFacts

LEAST_TORCH = (2, 4)
LEAST_DISK_BYTES = 10**9
HOT_C = 75.0
STEP_S = 0.01
SET_GOVERNOR = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"

Verdict = Literal["ready", "modelled", "not-ready"]


@dataclass(frozen=True)
class Fix:
    """Say what is wrong and what to do; `blocks` if no run is possible before it is done."""

    what: str
    do: str
    blocks: bool = False


@dataclass(frozen=True)
class Checkup:
    """Hold everything that was found out about a host.

    Attributes:
        host: Board, processor, memory, state.
        board: Power mode, clocks, throttling.
        facts: Interpreter, packages, disk, clock.
        profile: Profile of this host; None if none fits.
        meters: Report of every meter that was asked.
        named: Meters the user named, which count besides those of the profile.
    """

    host: Host
    board: BoardState
    facts: HostFacts
    profile: Profile | None
    meters: Sequence[MeterReport]
    named: Sequence[str] = ()

    @property
    def measures(self) -> bool:
        """Return True if a meter that a run would take gives the energy of the whole."""
        taken = {*(self.profile.meters if self.profile else ()), *self.named}
        return any(meter.measures for meter in self.meters if meter.name in taken)

    def fixes(self) -> list[Fix]:
        """Return everything worth doing, what blocks first."""
        found = [*_software(self), *_storage(self), *_energy(self), *_set_up(self), *_state(self)]
        return sorted(found, key=lambda fix: not fix.blocks)

    def verdict(self) -> Verdict:
        """Return whether a run is possible, and whether its joules would be measured."""
        if any(fix.blocks for fix in self.fixes()):
            return "not-ready"
        return "ready" if self.measures else "modelled"


def _software(check: Checkup) -> Iterator[Fix]:
    if check.profile is None:
        seen = check.host.model or check.host.cpu_model or "unknown model"
        yield Fix(
            f"no profile fits this host ({seen}, {check.host.arch})",
            "name the device to answer for: python -m harness.run --device NAME; the names:"
            " python -m harness.list devices",
            blocks=True,
        )
    packages = check.facts.packages
    if packages is None:
        return
    how = check.profile.torch_install if check.profile else "see the PyTorch install page"
    torch = packages.get("torch")
    if torch is None:
        yield Fix("PyTorch is not installed", how, blocks=True)
    elif _release(torch) < LEAST_TORCH:
        yield Fix(f"PyTorch {torch} is older than 2.4", how, blocks=True)
    missing = [name for name, version in packages.items() if version is None and name != "torch"]
    if missing:
        yield Fix(f"not installed: {', '.join(missing)}", "make run  installs them", blocks=True)


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"[0-9]+", version)[:2])


def _storage(check: Checkup) -> Iterator[Fix]:
    free = check.facts.disk_free_bytes
    if free is not None and free < LEAST_DISK_BYTES:
        yield Fix(
            f"only {free / 1e9:.2f} GB of disk are free, 1 GB is needed",
            "free some space, or choose another folder with --out DIR",
            blocks=True,
        )


def _energy(check: Checkup) -> Iterator[Fix]:
    if check.measures or check.profile is None:
        return
    others = [meter.name for meter in check.meters if meter.measures]
    here = f"name one that works here: --meter {others[0]}" if others else ""
    yield Fix(
        "no meter that a run would take works: joules would be modelled",
        here
        or "mend one of those below, or attach a probe or a metering plug and name it with"
        " --meter (python -m harness.list meters)",
    )
    for meter in check.meters:
        if meter.name in {*check.profile.meters, *check.named}:
            reason = meter.reason or "it shows no total for this board"
            yield Fix(f"meter {meter.name}: {reason}", meter.fix or "nothing is known to help")


def _set_up(check: Checkup) -> Iterator[Fix]:
    profile, mode, clocks = check.profile, check.board.power_mode, check.board.clocks
    if profile is None:
        return
    modes = profile.power_modes
    if modes and mode and mode_name(check) != modes.recommended:
        number = modes.ids[modes.recommended]
        yield Fix(
            f"power mode is {mode_name(check) or mode.number}, not {modes.recommended}",
            f"sudo nvpmodel -m {number}  (may ask for a reboot)",
        )
    if clocks and not clocks.pinned:
        yield Fix(
            f"clocks are not pinned ({clocks.shown_by})",
            profile.settings.pin_clocks or SET_GOVERNOR,
        )
    online = check.host.cores_online
    if profile.match.compatible and online is not None and online < profile.cores:
        yield Fix(
            f"{online} of {profile.cores} cores are switched on",
            "choose a power mode that runs all cores, then start the board again",
        )


def mode_name(check: Checkup) -> str:
    """Return the power mode's name, from the profile if the board told only its number."""
    mode = check.board.power_mode
    modes = check.profile.power_modes if check.profile else None
    if mode is None or mode.name or modes is None:
        return mode.name if mode else ""
    return next((name for name, number in modes.ids.items() if number == mode.number), "")


def _state(check: Checkup) -> Iterator[Fix]:
    board, facts = check.board, check.facts
    if board.throttled_now:
        yield Fix(
            f"the board is slowed down now: {', '.join(board.throttled_now)}",
            "use a stronger power supply or better cooling; figures taken now are not typical",
        )
    if board.throttled_before:
        yield Fix(
            f"since its start the board was slowed down: {', '.join(board.throttled_before)}",
            "start it again after mending supply or cooling, so that a new event can be told",
        )
    temperature = check.host.state.temperature_c
    if temperature is not None and temperature > HOT_C:
        yield Fix(f"it is at {temperature:.0f} °C", "let it cool down before measuring")
    if facts.wall_clock_set is False:
        yield Fix("the date is not set", "set it, so that run folders sort by time")
    if facts.clock_step_s is not None and abs(facts.clock_step_s) > STEP_S:
        yield Fix(
            f"the wall clock stepped by {facts.clock_step_s:+.3f} s during this check",
            "wait until it is synchronised; durations do not depend on it",
        )
