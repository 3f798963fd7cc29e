"""Read how a board is set up and what slows it down.

Every parser takes text and gives None or an empty text for what it does not find. Shapes follow
the output of NVIDIA's `nvpmodel` and `jetson_clocks` and of Raspberry Pi's `vcgencmd`; both print
other lines around the ones that matter, so lines are searched for, never counted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devices.board_clocks import is_gpu
from devices.board_counters import Counters, read_counters
from devices.board_modes import BoardMode, read_modes
from devices.host import HostState, read_state, read_text
from devices.programs import Programs

_JETPACK = {
    "36.4.3": "6.2", "36.4.4": "6.2.1", "36.5.0": "6.2.2", "38.4.0": "7.1", "39.2.0": "7.2",
}  # fmt: skip
_JETPACK_MAJOR = {32: "4", 34: "5", 35: "5", 36: "6", 38: "7", 39: "7"}

THROTTLE_BITS = {
    0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit",
}  # fmt: skip
"""Bits of `vcgencmd get_throttled`; the same 16 higher mean: since the board was started."""


@dataclass(frozen=True)
class PowerMode:
    """Name a power mode; either part may be unknown."""

    name: str
    number: int | None


@dataclass(frozen=True)
class ClockPinning:
    """Say whether the clocks stand still, and what shows it."""

    pinned: bool
    shown_by: str


@dataclass(frozen=True)
class BoardState:
    """Hold what was found out about a board's set-up.

    Attributes:
        l4t: Release of NVIDIA's Linux for Tegra, such as 36.4.3; empty if it is none.
        jetpack: JetPack it belongs to, as exactly as known.
        power_mode: Power mode; None if the board has none or does not tell.
        modes: Power modes of this very board; none if it has none or does not tell.
        clocks: Whether clocks are pinned; None if unknown.
        throttled_now: What slows the board down at this moment.
        throttled_before: What has done so since it was started.
        host: Governor, temperature and throttle counters.
        counters: What the kernel counts, for the difference between two moments.
    """

    l4t: str
    jetpack: str
    power_mode: PowerMode | None
    clocks: ClockPinning | None
    throttled_now: tuple[str, ...]
    throttled_before: tuple[str, ...]
    host: HostState
    counters: Counters
    modes: tuple[BoardMode, ...] = ()


def read_board_state(root: Path, programs: Programs, own: Sequence[int] = ()) -> BoardState:
    """Read the state of the board whose files lie under `root`.

    Args:
        root: Root of the file system.
        programs: Asks the board's programs. It keeps every answer, so give a fresh one for each
            moment that is to be compared.
        own: Processes besides this one whose work is not foreign, such as the collector.
    """
    l4t = parse_l4t(read_text(root / "etc/nv_tegra_release"), read_text(root / "proc/version"))
    now, before = _throttling(root, programs)
    return BoardState(
        l4t=l4t,
        jetpack=jetpack_of(l4t),
        power_mode=read_power_mode(root, programs),
        clocks=parse_jetson_clocks(programs.ask("jetson_clocks", "--show")) or read_cpufreq(root),
        throttled_now=now,
        throttled_before=before,
        host=read_state(root),
        counters=read_counters(root, own),
        modes=read_modes(root),
    )


def parse_l4t(tegra_release: str, proc_version: str) -> str:
    """Return the release, from NVIDIA's file or, as in a container, from the kernel's version."""
    found = re.search(r"\bR([0-9]{2,3})\b.*?REVISION:\s*([0-9.]+[0-9])", tegra_release)
    if found:
        return f"{found.group(1)}.{found.group(2)}"
    found = re.search(r"l4t-r([0-9]{2,3}(?:\.[0-9]+)*)", proc_version)
    return found.group(1) if found else ""


def jetpack_of(l4t: str) -> str:
    """Return the JetPack release; only its major number where no more is known."""
    major = re.match(r"[0-9]{2,3}", l4t)
    if not major:
        return ""
    return _JETPACK.get(l4t) or _JETPACK_MAJOR.get(int(major.group()), "")


def parse_nvpmodel(text: str) -> PowerMode | None:
    """Return the mode that `nvpmodel -q` names: its line, then the next line that is a number."""
    lines = iter(text.splitlines())
    for line in lines:
        found = re.search(r"NV Power Mode:\s*(\S+)", line)
        if not found:
            continue
        for later in lines:
            if re.fullmatch(r"\s*[0-9]{1,4}\s*", later):
                return PowerMode(found.group(1), int(later))
        return PowerMode(found.group(1), None)
    return None


def parse_nvpmodel_status(status: str) -> PowerMode | None:
    """Return the mode, by its number alone, from nvpmodel's state file."""
    found = re.search(r"pmode:\s*([0-9]{1,6})\b", status)
    return PowerMode("", int(found.group(1))) if found else None


def read_power_mode(root: Path, programs: Programs) -> PowerMode | None:
    """Return the power mode that nvpmodel tells, or its files; None if there is none.

    What one of them leaves out, name or number, is taken from the modes of this very board.
    """
    status = read_text(root / "var/lib/nvpmodel/status")
    told = parse_nvpmodel(programs.ask("nvpmodel", "-q")) or parse_nvpmodel_status(status)
    if told is None:
        return None
    for mode in read_modes(root):
        if told.number == mode.number and not told.name:
            return PowerMode(mode.name, told.number)
        if told.name == mode.name and told.number is None:
            return PowerMode(told.name, mode.number)
    return told


def parse_jetson_clocks(text: str) -> ClockPinning | None:
    """Say whether `jetson_clocks --show` shows pinned clocks; None if it shows no online core.

    Pinned: on every online core the least frequency is the greatest and no idle state is allowed,
    and the memory clock, where it is shown, is overridden.
    """
    cores = [line for line in text.splitlines() if re.match(r"\s*cpu[0-9]+:\s*Online=1\b", line)]
    if not cores:
        return None
    memory = re.search(r"^EMC .*FreqOverride=([0-9])", text, re.MULTILINE)
    pinned = all(map(_core_is_pinned, cores)) and (memory is None or memory.group(1) == "1")
    return ClockPinning(pinned, "jetson_clocks --show")


def _core_is_pinned(line: str) -> bool:
    least, greatest = (re.search(rf"{name}=([0-9]+)", line) for name in ("MinFreq", "MaxFreq"))
    _, _, idle_states = line.partition("IdleStates:")
    still = not re.search(r"=[1-9]", idle_states)
    return bool(least and greatest and least.group(1) == greatest.group(1) and still)


def read_cpufreq(root: Path) -> ClockPinning | None:
    """Say whether every clock is fixed: cores by limits or governor, a board's GPU by limits."""
    folders = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq"))
    fixed = []
    for folder in folders:
        least, greatest = (read_text(folder / f"scaling_{end}_freq") for end in ("min", "max"))
        governor = read_text(folder / "scaling_governor")
        if (least and greatest) or governor:
            fixed.append((least != "" and least == greatest) or governor == "performance")
    return ClockPinning(all([*fixed, *_fixed_gpus(root)]), "cpufreq") if fixed else None


def _fixed_gpus(root: Path) -> list[bool]:
    """Say of each GPU in the devfreq tree (Jetson) whether its least clock is its greatest."""
    found = []
    for folder in sorted((root / "sys/class/devfreq").glob("*")):
        least, greatest = (read_text(folder / f"{end}_freq") for end in ("min", "max"))
        if is_gpu(folder.name) and least and greatest:
            found.append(least == greatest)
    return found


def parse_throttled(text: str) -> int | None:
    """Return the bits of `vcgencmd get_throttled`."""
    found = re.search(r"throttled=0x([0-9a-fA-F]{1,8})\b", text)
    return int(found.group(1), 16) if found else None


def throttle_words(bits: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return in words what the bits say of this moment, and of the time since the start."""
    now = tuple(word for bit, word in THROTTLE_BITS.items() if bits >> bit & 1)
    before = tuple(word for bit, word in THROTTLE_BITS.items() if bits >> (bit + 16) & 1)
    return now, before


def _throttling(root: Path, programs: Programs) -> tuple[tuple[str, ...], tuple[str, ...]]:
    bits = parse_throttled(programs.ask("vcgencmd", "get_throttled"))
    if bits is None:
        text = read_text(root / "sys/devices/platform/soc/soc:firmware/get_throttled")
        bits = int(text, 16) if re.fullmatch(r"(0x)?[0-9a-fA-F]{1,8}", text) else None
    now, before = throttle_words(bits) if bits is not None else ((), ())
    over = tuple(f"over-current alarm {name}" for name in _current_alarms(root))
    low = _supply_alarm(root) if bits is None else ()
    return now + low + over, before


def _current_alarms(root: Path) -> list[str]:
    """Name the rails' alarms that are set, each once, wherever the tree shows their chip."""
    places = ("sys/class/hwmon/hwmon*", "sys/bus/i2c/drivers/ina*/*/hwmon/hwmon*")
    found = {
        (path.parent.name, path.name)
        for place in places
        for path in root.glob(f"{place}/curr*_crit_alarm")
        if read_text(path) == "1"
    }
    return [name for _, name in sorted(found)]


def _supply_alarm(root: Path) -> tuple[str, ...]:
    """Read the Pi's under-voltage alarm as its kernel driver shows it (hwmon `rpi_volt`)."""
    for alarm in sorted((root / "sys/class/hwmon").glob("hwmon*/in0_lcrit_alarm")):
        if read_text(alarm.parent / "name") == "rpi_volt" and read_text(alarm) == "1":
            return (THROTTLE_BITS[0],)
    return ()
