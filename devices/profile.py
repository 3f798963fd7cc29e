"""Load what is known of a device from one TOML file; adding a board means adding one file.

Every table is a frozen dataclass whose fields are the allowed keys, so a misspelt key is an error
that names file, line and key instead of a setting that is silently ignored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from devices import extensions
from devices.errors import DeviceError, faults_of
from devices.host import Host, HostMatch, match_strength
from devices.names import nearest, offer
from devices.profile_figures import Compute, GpuFigures, Power, Training
from devices.toml_tables import TableReader, load_toml

PROFILE_FOLDER = Path(__file__).parent / "profiles"


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
class PowerModes:
    """List the board's power modes: names are clock caps, not watts.

    The list is for people who look a board up; a board at hand is asked for its own
    (`devices.board_modes`), as numbers differ per module and release.

    Attributes:
        ids: Number of every mode, by the name that `nvpmodel -q` prints.
        recommended: Mode to measure in, if the board at hand has it.
        source: Where the table comes from.
    """

    ids: Mapping[str, int]
    recommended: str
    source: str


@dataclass(frozen=True)
class BoardSetup:
    """Recommend how the board is set up for a measurement that others can repeat.

    Attributes:
        governor: Frequency governor that keeps the clock still.
        pin_clocks: Command that pins the clocks; empty if the governor is enough.
        precision: Number format the engine trains in on this device.
    """

    governor: str = "performance"
    pin_clocks: str = ""
    precision: str = "fp32"


@dataclass(frozen=True)
class Profile:
    """Hold all that is known of one device.

    Attributes:
        name: Name on the command line; the file is called the same.
        title: Name for people.
        cores: Processor cores.
        memory_bytes: Memory of the usual model, in bytes.
        match: How a host is recognised as this device.
        power: Figures of the power model, training on the processor.
        compute: Figures of the time model, training on the processor.
        training: Recommended threads and batch, training on the processor.
        torch_install: Command that puts PyTorch onto the device, and where it is typed.
        aliases: Other names users type.
        meters: Meters in order of preference.
        rails: Rule per meter that needs one; `meter-scope` names a second rule of that meter, for
            a figure of another scope. Jetson's other readers show the rails of `ina3221`.
        limits: What does not work on the device, one sentence each.
        settings: How to set the board up.
        power_modes: Its power modes; None if it has none.
        isa: Instruction set of its cores where that decides which programs run on them: `armv8.0`
            has no atomic instructions; empty otherwise.
        gpu: The same sets of figures for its GPU; None if it has none that trains.
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
    settings: BoardSetup = dataclasses.field(default_factory=BoardSetup)
    power_modes: PowerModes | None = None
    isa: str = ""
    gpu: GpuFigures | None = None


def matches(host: Host, profile: Profile) -> bool:
    """Say whether the host is the device of the profile.

    A profile of any computer of an architecture is not that of a board which has one of its own.
    """
    if match_strength(host, profile.match) == 0:
        return False
    generic = not profile.match.compatible and not profile.match.model
    return not (generic and any(match_strength(host, board) for board in _boards()))


def _boards() -> tuple[HostMatch, ...]:
    """Return how the profiles of boards are recognised."""
    return tuple(p.match for p in load_profiles() if p.match.compatible or p.match.model)


def profile_names(folder: Path = PROFILE_FOLDER) -> list[str]:
    """Return the names of the profiles of a folder, sorted."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def load_profiles(folder: Path = PROFILE_FOLDER) -> list[Profile]:
    """Load every profile of a folder, and behind them those that come from outside.

    A file that is wrong, or claims a name that another has, is skipped with all that is wrong with
    it (`devices.extensions.skipped`); all others can be used.
    """
    owners: dict[str, str] = {}
    found = []
    own = {folder / f"{name}.toml": None for name in profile_names(folder)}
    for path, offered in {**own, **_outside()}.items():
        try:
            profile = _known_profile(path, path.stat().st_mtime_ns)
        except (DeviceError, OSError) as error:
            wrong = faults_of(error) if isinstance(error, DeviceError) else (error,)
            extensions.skip(str(path), [str(one).removeprefix(f"{path}: ") for one in wrong])
            continue
        taken = [name for name in (profile.name, *profile.aliases) if name in owners]
        if taken:
            extensions.skip(
                str(path), [f"the name {name!r} is taken by {owners[name]}" for name in taken]
            )
            continue
        owners |= dict.fromkeys((profile.name, *profile.aliases), profile.name)
        found.append(profile)
        if offered is not None:
            extensions.accept(profile.name, offered)
    return found


@lru_cache(maxsize=256)
def _known_profile(path: Path, changed_ns: int) -> Profile:  # noqa: ARG001 - the key of the cache
    return load_profile(path)


def _outside() -> dict[Path, extensions.Offered]:
    """Return the files of profiles that come from outside, each with who offers it."""
    found: dict[Path, extensions.Offered] = {}
    for offered in extensions.offers(extensions.PROFILES):
        try:
            thing = offered.load()
        except Exception as error:
            extensions.skip(offered.origin, [extensions.fault(error)])
            continue
        for place in thing if isinstance(thing, list | tuple) else [thing]:
            if not isinstance(place, str | Path):
                extensions.skip(offered.origin, [f"it offers {place!r}, not a file or folder"])
                continue
            path = Path(place)
            files = sorted(path.glob("*.toml")) if path.is_dir() else [path]
            found |= {file: replace(offered, sources=(file,)) for file in files}
    return found


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
    names = ", ".join(["auto", *(profile.name for profile in profiles)])
    found = dict.fromkeys(targets[near] for near in nearest(name.lower(), targets))
    return f"{offer(list(found))}Devices are: {names}"


def _recognise(profiles: list[Profile], host: Host | None) -> Profile:
    """Return the profile that fits the host best."""
    names = ", ".join(profile.name for profile in profiles)
    if host is None:
        raise DeviceError("the host was not examined", f"name a device: {names}")
    ranked = sorted(profiles, key=lambda profile: match_strength(host, profile.match))
    if ranked and match_strength(host, ranked[-1].match) > 0:
        return ranked[-1]
    seen = host.model or host.cpu_model or host.family or "unknown model"
    raise DeviceError(
        f"no profile fits this host ({seen}, {host.arch or 'unknown architecture'})",
        host.name_fix or f"name the device to answer for with --device: {names}",
    )


def load_profile(path: Path) -> Profile:
    """Read one profile.

    Raises:
        DeviceError: The file cannot be read, is not TOML, or has unknown, missing or wrong keys.
    """
    data, text = load_toml(path)
    profile = TableReader(path, text, _problem).table(Profile, data)
    if profile.name != path.stem:
        raise DeviceError(f"{path}: the profile is called {profile.name!r}, its file is not")
    return profile


def _problem(table: object) -> tuple[str, str] | None:
    """Return the key and the fault of a value that parses but cannot be meant."""
    if isinstance(table, RailRule) and bool(table.total) == bool(table.sum):
        return "", "needs exactly one of total and sum"
    if isinstance(table, Power) and table.full_load_w < table.idle_w:
        return "full_load_w", "is below idle_w"
    if isinstance(table, PowerModes) and table.recommended not in table.ids:
        return "recommended", "is not one of ids"
    return None
