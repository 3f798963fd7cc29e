"""Find what comes from outside this program: files and folders that users name, and packages.

A user's board is a file `NAME.toml`; all else is a Python file that defines `METER`, `WORKLOAD`,
`METHOD`, `DATASET` or `FIGURE`, one or a list. `--profile FILE.toml` and `--include FOLDER` name
them, and so does the environment variable, so that every process that is started knows them. An
installed package offers the same under the entry point groups `edge_harness.KIND`.

What is wrong with one is kept and said; it is skipped, and everything else works. Those who know a
kind judge it; here nothing is known of any.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from types import ModuleType

from devices.errors import DeviceError

VARIABLE = "EDGE_HARNESS_INCLUDE"
GROUP = "edge_harness"
ATTRIBUTES = {
    "meters": "METER", "workloads": "WORKLOAD", "methods": "METHOD", "datasets": "DATASET",
    "figures": "FIGURE",
}  # fmt: skip
PROFILES = "profiles"
KINDS = (PROFILES, *ATTRIBUTES)


@dataclass(frozen=True)
class Offered:
    """Hold one thing that comes from outside.

    Attributes:
        kind: One of `KINDS`.
        name: What it calls itself, or the name of its file or entry point.
        origin: The file, or the package with its release, in words.
        sources: The files it is made of.
        load: Return the thing itself; may raise whatever a stranger's code raises.
    """

    kind: str
    name: str
    origin: str
    sources: tuple[Path, ...]
    load: Callable[[], object]

    @cached_property
    def sha256(self) -> str:
        """Return the checksum of its files, in the order of their names."""
        digest = hashlib.sha256()
        for path in sorted(self.sources):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Skipped:
    """Say what of outside is not used, and everything that is wrong with it."""

    origin: str
    problems: tuple[str, ...]

    def __str__(self) -> str:
        """Return it in one line for a single problem, else one line for each."""
        if len(self.problems) == 1:
            return f"skipped {self.origin}: {self.problems[0]}"
        listed = "".join(f"\n  - {problem}" for problem in self.problems)
        return f"skipped {self.origin}: {len(self.problems)} faults{listed}"


_skipped: dict[str, Skipped] = {}
_accepted: dict[tuple[str, str], Offered] = {}


def accept(name: str, offered: Offered) -> None:
    """Keep under which name a sound thing can be used."""
    _accepted[offered.kind, name] = offered


def accepted(kind: str, name: str) -> Offered | None:
    """Return what of outside is used under a name; None if that is this program's own."""
    return _accepted.get((kind, name))


def skip(origin: str, problems: Sequence[str]) -> None:
    """Keep that something is not used, and why; said again it is the same."""
    before = _skipped[origin].problems if origin in _skipped else ()
    _skipped[origin] = Skipped(origin, tuple(dict.fromkeys([*before, *problems])))


def skipped() -> tuple[Skipped, ...]:
    """Return what was skipped until now."""
    return tuple(_skipped.values())


def forget() -> None:
    """Look at everything anew; for tests, and after the variable was changed."""
    _skipped.clear()
    _accepted.clear()
    _offers.cache_clear()
    for name in [name for name in sys.modules if name.startswith(f"{GROUP}_included_")]:
        del sys.modules[name]


def include(paths: Sequence[Path]) -> None:
    """Take files and folders in, for this process and those it starts.

    Raises:
        DeviceError: One does not exist, or is neither a folder nor a .toml or .py file.
    """
    for path in paths:
        if not path.exists():
            raise DeviceError(f"{path} does not exist", "name a folder, a .toml or a .py file")
        if not path.is_dir() and path.suffix not in (".toml", ".py"):
            raise DeviceError(f"{path} is no .toml or .py file", "name a folder or such a file")
    known = included()
    new = [path.resolve() for path in paths if path.resolve() not in known]
    if new:
        os.environ[VARIABLE] = os.pathsep.join(map(str, [*known, *new]))


def included(environment: Mapping[str, str] = os.environ) -> list[Path]:
    """Return the files and folders that are taken in."""
    return [Path(text) for text in environment.get(VARIABLE, "").split(os.pathsep) if text]


def offers(kind: str) -> tuple[Offered, ...]:
    """Return what of a kind comes from outside, whether or not it is sound."""
    found = _offers(os.environ.get(VARIABLE, ""), tuple(sys.path))
    return tuple(offered for offered in found if offered.kind == kind)


@lru_cache(maxsize=1)
def _offers(
    variable: str,
    path: tuple[str, ...],  # noqa: ARG001 - where packages are looked for: the key of the cache
) -> tuple[Offered, ...]:
    paths = included({VARIABLE: variable})
    files = [file for path in paths for file in _files(path)]
    return (*(offered for file in files for offered in _of_file(file)), *_of_packages())


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        if path.is_file():
            return [path]
        skip(str(path), ["it does not exist any more"])
        return []
    return [
        file
        for file in sorted(path.iterdir())
        if file.suffix in (".toml", ".py") and not file.name.startswith(("_", "."))
    ]


def _of_file(file: Path) -> Iterator[Offered]:
    if file.suffix == ".toml":
        yield Offered(PROFILES, file.stem, str(file), (file,), lambda: file)
        return
    try:
        module = _module(file)
    except Exception as error:
        skip(str(file), [fault(error, file)])
        return
    things = [
        (kind, thing)
        for kind, attribute in ATTRIBUTES.items()
        for thing in _listed(getattr(module, attribute, ()))
    ]
    if not things:
        skip(str(file), [f"it defines none of {', '.join(ATTRIBUTES.values())}"])
    for kind, thing in things:
        name = str(getattr(thing, "name", "") or file.stem)
        yield Offered(kind, name, str(file), (file,), lambda thing=thing: thing)  # type: ignore[misc]


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else [value]


def _module(file: Path) -> ModuleType:
    """Import a file under a name that no other module has."""
    word = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:12]
    name = f"{GROUP}_included_{word}_{file.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def fault(error: BaseException, file: Path | None = None) -> str:
    """Return what a stranger's code raised: kind, words, and the line of the file if it is there.

    The lines of a syntax error and of what was raised below the file are found, too.
    """
    words = f"{type(error).__name__}: {error}".strip().rstrip(":")
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
    if lines and not isinstance(error, SyntaxError):
        words += f" (line {lines[-1]})"
    return " ".join(words.split())


def _of_packages() -> Iterator[Offered]:
    if not _any_package_offers():
        return
    from importlib import metadata  # noqa: PLC0415 - takes longer than all the rest

    for kind in KINDS:
        for entry in metadata.entry_points(group=f"{GROUP}.{kind}"):
            package = entry.dist
            origin = f"{package.name} {package.version}" if package else entry.value
            try:
                sources = _sources(entry.module)
            except Exception as error:
                skip(f"{origin}, entry point {entry.name}", [fault(error)])
                continue
            yield Offered(
                kind, entry.name, f"{origin}, entry point {entry.name}", sources, entry.load
            )


def _any_package_offers() -> bool:
    """Say whether an installed package names one of our groups, from the text of its files."""
    listed = (p for place in sys.path for p in Path(place or ".").glob("*-info/entry_points.txt"))
    return any(f"[{GROUP}." in path.read_text("utf-8", "replace") for path in listed)


def _sources(module: str) -> tuple[Path, ...]:
    """Return the files of a module's outermost package; none of it is imported."""
    top = module.partition(".")[0]
    spec = importlib.util.find_spec(top)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {top!r}")
    places = [Path(place) for place in spec.submodule_search_locations or ()]
    found = [p for place in places for p in place.rglob("*") if p.suffix in (".py", ".toml")]
    return tuple(found) or ((Path(spec.origin),) if spec.origin else ())


def sound(
    kind: str,
    problems: Callable[[object, Offered], Sequence[str]],
    taken: Sequence[str] = (),
) -> dict[str, tuple[object, Offered]]:
    """Return the sound things of a kind by name; all others are skipped with all their faults.

    Args:
        kind: One of `KINDS`.
        problems: Return everything that is wrong with a thing.
        taken: Names of this program's own, which nothing from outside may have.
    """
    found: dict[str, tuple[object, Offered]] = {}
    for offered in offers(kind):
        try:
            thing = offered.load()
            wrong = list(problems(thing, offered))
        except Exception as error:
            skip(offered.origin, [fault(error, next(iter(offered.sources), None))])
            continue
        name = str(getattr(thing, "name", None) or offered.name)
        if name in taken:
            wrong.append(f"the name {name!r} is taken by this program")
        elif name in found:
            wrong.append(f"the name {name!r} is taken by {found[name][1].origin}")
        if wrong:
            skip(offered.origin, wrong)
        else:
            found[name] = (thing, offered)
            accept(name, offered)
    return found
