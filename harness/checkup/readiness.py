"""Judge whether a host is ready to measure, and say what to do about each thing that is not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from devices.board_modes import best_mode
from devices.board_state import BoardState
from devices.card_state import CardState
from devices.container import HIDDEN_BOARD
from devices.cuda_probe import CudaProbe
from devices.host import Host
from devices.inspection import MeterReport
from devices.profile import Profile
from harness.checkup.facts import HostFacts

LEAST_TORCH = (2, 4)
LEAST_DISK_BYTES = 10**9
HOT_C = 75.0
STEP_S = 0.01
NEEDS_ATOMICS = {
    "2.4.0": "pytorch/pytorch issue 132032",
    "2.10.0": "pytorch/pytorch issue 176993, mended in 2.11.0",
}
"""Releases whose builds execute atomic instructions of Armv8.1 without asking for them."""

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
        container: In a container, what starts it so that it sees the sensors, by kind of board.
        cards: NVIDIA cards that CUDA_VISIBLE_DEVICES shows, as their driver sees them.
    """

    host: Host
    board: BoardState
    facts: HostFacts
    profile: Profile | None
    meters: Sequence[MeterReport]
    named: Sequence[str] = ()
    cuda: CudaProbe | None = None
    container: Mapping[str, str] = field(default_factory=dict)
    cards: Sequence[CardState] = ()

    @property
    def measures(self) -> bool:
        """Return True if a meter that a run would take gives the energy of the whole."""
        taken = {*(self.profile.meters if self.profile else ()), *self.named}
        return any(meter.measures for meter in self.meters if meter.name in taken)

    def fixes(self) -> list[Fix]:
        """Return everything worth doing, what blocks first."""
        found = [
            *_device(self), *_software(self), *_storage(self), *_energy(self), *_set_up(self),
            *_state(self), *_cards(self),
        ]  # fmt: skip
        return sorted(found, key=lambda fix: not fix.blocks)

    def verdict(self) -> Verdict:
        """Return whether a run is possible, and whether its joules would be measured."""
        if any(fix.blocks for fix in self.fixes()):
            return "not-ready"
        return "ready" if self.measures else "modelled"


def _device(check: Checkup) -> Iterator[Fix]:
    """Say what keeps the board from being known, and what else a container hides."""
    host, profile = check.host, check.profile
    if profile is None:
        seen = host.model or host.cpu_model or host.family or "unknown model"
        yield Fix(
            f"no profile fits this host ({seen}, {host.arch or 'unknown architecture'})"
            + (f": {HIDDEN_BOARD}" if host.name_fix else ""),
            host.name_fix
            or "name the device to answer for: python -m harness.run --device NAME; the names:"
            " python -m harness.list devices",
            blocks=True,
        )
    named = profile is None or bool(profile.match.compatible)
    for hidden in host.hidden:
        if not (named and hidden.what == HIDDEN_BOARD):
            yield Fix(hidden.what, hidden.fix)


def _software(check: Checkup) -> Iterator[Fix]:
    packages = check.facts.packages
    if packages is None:
        return
    how = check.profile.torch_install if check.profile else "see the PyTorch install page"
    torch = packages.get("torch")
    if torch is not None and check.cuda is not None and check.cuda.fault:
        yield Fix(f"the GPU cannot train: {check.cuda.fault}", check.cuda.fix)
    if torch is None:
        yield Fix("PyTorch is not installed", how, blocks=True)
    elif _release(torch)[:2] < LEAST_TORCH:
        yield Fix(f"PyTorch {torch} is older than 2.4", how, blocks=True)
    else:
        fault = _torch_fault(check, torch)
        if fault:
            yield Fix(f"PyTorch {torch} {fault}", how, blocks=True)
    missing = [name for name, version in packages.items() if version is None and name != "torch"]
    if missing:
        yield Fix(f"not installed: {', '.join(missing)}", "make run  installs them", blocks=True)


def _torch_fault(check: Checkup, version: str) -> str:
    """Return why this PyTorch does not work here; empty if it computed or nothing is known."""
    if check.facts.torch_fault is not None:
        return check.facts.torch_fault
    source = NEEDS_ATOMICS.get(".".join(map(str, _release(version))), "")
    features = check.host.features
    isa = check.profile.isa if check.profile else ""
    without_atomics = "atomics" not in features if features else isa == "armv8.0"
    arm = check.host.arch in ("aarch64", "arm64")
    if source and arm and without_atomics:
        return f"dies on this board's cores, which lack atomic instructions ({source})"
    return ""


def _release(version: str) -> tuple[int, ...]:
    """Return major, minor and patch of a version such as 2.10.0+cpu."""
    found = re.match(r"([0-9]+)\.([0-9]+)(?:\.([0-9]+))?", version)
    return tuple(int(part or 0) for part in found.groups()) if found else ()


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
    profile, clocks = check.profile, check.board.clocks
    if profile is None:
        return
    if profile.power_modes:
        yield from _power_mode(check, profile.power_modes.recommended)
    if clocks and not clocks.pinned:
        yield Fix(
            f"clocks are not pinned ({clocks.shown_by})",
            profile.settings.pin_clocks or SET_GOVERNOR,
        )
    online = check.host.cores_online
    cores = check.host.cores_present or profile.cores
    if profile.match.compatible and online is not None and online < cores:
        yield Fix(
            f"{online} of {cores} cores are switched on",
            "choose a power mode that runs all cores, then start the board again",
        )


def _power_mode(check: Checkup, recommended: str) -> Iterator[Fix]:
    """Advise another mode; a number only from the board's own list."""
    mode, modes = check.board.power_mode, check.board.modes
    if mode is None:
        return
    if modes:
        best = best_mode(modes, recommended, mode.number)
        if best.number != mode.number if mode.number is not None else best.name != mode.name:
            yield Fix(
                f"power mode is {mode.name or mode.number}, not {best.name}",
                f"sudo nvpmodel -m {best.number}  (may ask for a reboot)",
            )
    elif mode.name and mode.name != recommended:
        yield Fix(
            f"power mode is {mode.name}, not {recommended}, which most boards of this kind have",
            "sudo nvpmodel -p --verbose  lists this board's own modes with their numbers",
        )


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


def _cards(check: Checkup) -> Iterator[Fix]:
    """Say what slows a card down now, and what has happened to its memory."""
    for card in check.cards:
        slowed = [word for word in card.reasons or () if word != "power-cap"]
        if slowed:
            words = ", ".join(word.replace("-", " ") for word in slowed)
            yield Fix(
                f"{card.model} is slowed down now: {words}",
                "cool it, or give it a stronger supply; nvidia-smi -q -d PERFORMANCE,TEMPERATURE"
                "  shows more",
            )
        if card.memory_errors:
            yield Fix(
                f"{card.model} has had {card.memory_errors} memory errors that could not be"
                " corrected since its driver was loaded",
                "sudo nvidia-smi -r  resets it (or restart the computer)",
            )
        if card.reset_due:
            yield Fix(
                f"{card.model} has faulty memory that is taken out of use at its next reset",
                "sudo nvidia-smi -r  resets it (or restart the computer)",
            )
        if card.remap_failed:
            yield Fix(
                f"{card.model} has faulty memory that could not be taken out of use",
                "have it replaced; what it computes is not to be trusted",
            )
