"""Load what is known of a device from one TOML file; adding a board means adding one file.

Every table is a frozen dataclass whose fields are the allowed keys, so a misspelt key is an error
that names file, line and key instead of a setting that is silently ignored.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, get_type_hints

from devices.errors import DeviceError
from devices.host import Host, HostMatch, match_strength

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROFILE_FOLDER = Path(__file__).parent / "profiles"
_Table = TypeVar("_Table")


@dataclass(frozen=True)
class RailRule:
    """Say how a meter's rails make up the device's total.

    Exactly one of `total` and `sum` is set; `never_sum` names rails that are already inside others.
    """

    scope: str
    total: str = ""
    sum: tuple[str, ...] = ()
    never_sum: tuple[str, ...] = ()


@dataclass(frozen=True)
class Power:
    """Give the power model's two figures, each with its source."""

    idle_w: float
    idle_source: str
    full_load_w: float
    full_load_source: str


@dataclass(frozen=True)
class Compute:
    """Give sustained training throughput (forward and backward) and memory bandwidth."""

    flop_per_s: float
    flop_source: str
    memory_bytes_per_s: float
    memory_source: str


@dataclass(frozen=True)
class Training:
    """Recommend threads and batch size for training on the device."""

    threads: int
    batch: int


@dataclass(frozen=True)
class Profile:
    """Hold all that is known of one device.

    Attributes:
        name: Name on the command line; the file is called the same.
        title: Name for people.
        cores: Processor cores.
        memory_bytes: Memory of the usual model, in bytes.
        match: How a host is recognised as this device.
        power: Figures of the power model.
        compute: Figures of the time model.
        training: Recommended threads and batch.
        torch_install: How PyTorch gets onto the device.
        aliases: Other names users type.
        meters: Meters in order of preference.
        rails: Rule per meter that needs one.
        limits: What does not work on the device, one sentence each.
    """

    name: str
    title: str
    cores: int
    memory_bytes: int
    match: HostMatch
    power: Power
    compute: Compute
    training: Training
    torch_install: str
    aliases: tuple[str, ...] = ()
    meters: tuple[str, ...] = ()
    rails: Mapping[str, RailRule] = dataclasses.field(default_factory=dict)
    limits: tuple[str, ...] = ()


def profile_names(folder: Path = PROFILE_FOLDER) -> list[str]:
    """Return the names of all profiles, sorted."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def load_profiles(folder: Path = PROFILE_FOLDER) -> list[Profile]:
    """Load every profile of a folder.

    Raises:
        DeviceError: A file is wrong, or two profiles claim one name.
    """
    profiles = [load_profile(folder / f"{name}.toml") for name in profile_names(folder)]
    owners: dict[str, str] = {}
    for profile in profiles:
        for name in (profile.name, *profile.aliases):
            if name in owners:
                raise DeviceError(f"both {owners[name]} and {profile.name} are called {name!r}")
            owners[name] = profile.name
    return profiles


def find_profile(name: str, host: Host | None = None, folder: Path = PROFILE_FOLDER) -> Profile:
    """Return the profile for a name, an alias, or `auto`.

    Args:
        name: Name typed by the user.
        host: The host, needed for `auto`.
        folder: Where profiles lie.

    Raises:
        DeviceError: No such device, or `auto` does not recognise the host.
    """
    profiles = load_profiles(folder)
    if name == "auto":
        return _recognise(profiles, host)
    for profile in profiles:
        if name == profile.name or name in profile.aliases:
            return profile
    raise DeviceError(f"unknown device {name!r}", _suggest(name, profiles))


def _suggest(name: str, profiles: list[Profile]) -> str:
    targets = {alias: profile.name for profile in profiles for alias in profile.aliases}
    targets.update({profile.name: profile.name for profile in profiles})
    near = difflib.get_close_matches(name.lower(), targets, n=1)
    names = ", ".join(["auto", *(profile.name for profile in profiles)])
    if near:
        return f"did you mean {targets[near[0]]}? devices are: {names}"
    return f"devices are: {names}"


def _recognise(profiles: list[Profile], host: Host | None) -> Profile:
    """Return the profile that fits the host best."""
    names = ", ".join(profile.name for profile in profiles)
    if host is None:
        raise DeviceError("the host was not examined", f"name a device: {names}")
    ranked = sorted(profiles, key=lambda profile: match_strength(host, profile.match))
    if ranked and match_strength(host, ranked[-1].match) > 0:
        return ranked[-1]
    seen = host.model or host.cpu_model or "unknown model"
    raise DeviceError(
        f"no profile fits this host ({seen}, {host.arch})",
        f"name the device to answer for with --device: {names}",
    )


def load_profile(path: Path) -> Profile:
    """Read one profile.

    Raises:
        DeviceError: The file cannot be read, is not TOML, or has unknown, missing or wrong keys.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DeviceError(f"profile {path} cannot be read: {error}") from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DeviceError(f"{path}: {error}") from error
    profile = _Reader(path, text).table(Profile, data, "")
    if profile.name != path.stem:
        raise DeviceError(f"{path}: the profile is called {profile.name!r}, its file is not")
    return profile


class _Reader:
    """Turn parsed TOML into dataclasses, with errors that point into the file."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.lines = text.splitlines()

    def table(self, kind: type[_Table], data: object, section: str) -> _Table:
        """Build one dataclass from one TOML table."""
        if not isinstance(data, dict):
            raise self.error(section.rstrip("."), "is not a table")
        hints = get_type_hints(kind)
        fields = dataclasses.fields(kind)  # type: ignore[arg-type]  # every table is a dataclass
        known = [field.name for field in fields]
        for key in data:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"keys are: {', '.join(known)}"
                raise self.error(f"{section}{key}", "is an unknown key", hint)
        required = (
            field.name
            for field in fields
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        for key in required:
            if key not in data:
                raise self.error(f"{section}{key}", "is missing")
        values = {
            key: self.value(hints[key], value, f"{section}{key}") for key, value in data.items()
        }
        return self.checked(kind(**values), section)

    def checked(self, table: _Table, section: str) -> _Table:
        """Refuse values that parse but cannot be meant."""
        if isinstance(table, RailRule) and bool(table.total) == bool(table.sum):
            raise self.error(section.rstrip("."), "needs exactly one of total and sum")
        if isinstance(table, Power) and table.full_load_w < table.idle_w:
            raise self.error("power.full_load_w", "is below idle_w")
        return table

    def value(self, hint: object, value: object, key: str) -> object:
        """Convert one TOML value to the type its field asks for."""
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            return self.table(hint, value, f"{key}.")
        if hint is str and isinstance(value, str):
            return value
        if hint is int:
            return int(self.positive(value, key, (int,)))
        if hint is float:
            return float(self.positive(value, key, (int, float)))
        if hint == tuple[str, ...]:
            return self.strings(value, key)
        if hint == Mapping[str, RailRule] and isinstance(value, dict):
            return {
                name: self.table(RailRule, rule, f"{key}.{name}.") for name, rule in value.items()
            }
        raise self.error(key, "has a value of the wrong type")

    def positive(self, value: object, key: str, allowed: tuple[type, ...]) -> int | float:
        """Return a number above zero that has one of the allowed types."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.error(key, "has a value of the wrong type")
        if not isinstance(value, allowed):
            raise self.error(key, "must be a whole number")
        if not 0 < value < float("inf"):
            raise self.error(key, "must be above zero and finite")
        return value

    def strings(self, value: object, key: str) -> tuple[str, ...]:
        """Return a list of strings."""
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.error(key, "must be a list of strings")
        return tuple(value)

    def error(self, key: str, problem: str, remedy: str = "") -> DeviceError:
        """Build an error that names file, line if the key is written there, and key."""
        line = self.line_of(key)
        place = f"{self.path}:{line}" if line else str(self.path)
        return DeviceError(f"{place}: {key} {problem}", remedy)

    def line_of(self, key: str) -> int:
        """Return the line a dotted key is written on; 0 if it cannot be found."""
        *sections, last = key.split(".")
        wanted = ".".join(sections)
        current = ""
        for number, line in enumerate(self.lines, start=1):
            header = re.match(r"\s*\[([^\[\]]+)\]", line)
            if header:
                current = header.group(1).strip()
                if current == key:
                    return number
            elif current == wanted and re.match(rf"\s*['\"]?{re.escape(last)}['\"]?\s*=", line):
                return number
        return 0
