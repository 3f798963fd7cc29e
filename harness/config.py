"""Hold the configuration of a run by layer: measuring, matrix, output; workloads add their own.

Every field is an option of the command line and a key of a TOML file, with its help in its
metadata, so none can be documented and forgotten. Precedence: defaults, presets such as `--quick`,
file, options.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from devices.accelerator import ALIASES, AUTO, CPU, GPU
from devices.errors import DeviceError
from devices.plain_numbers import plain_float, plain_int
from devices.toml_tables import TableReader, load_toml
from harness.core.clean_text import readable, without_home
from harness.core.errors import HarnessError, UsageError, raise_all, unknown
from harness.core.schema import MOST_WHOLE
from harness.measurement.cooling import MOST_S, parse_cool_down
from harness.workloads.registry import DEFAULT, find_workload

MOST_SEEDS = 10_000

ACCELERATORS = (AUTO, CPU, GPU)
ORDERS = ("random", "interleaved", "fixed")


WHAT = "what to run"
WHERE = "where"
HOW_LONG = "how long"
MEASURING = "measuring"
OUTPUT = "output"
EXPERT = "expert"
GROUPS = (WHAT, WHERE, HOW_LONG, MEASURING, OUTPUT, EXPERT)
"""Groups of options in the help of a run, in its order."""


def option(
    default: Any,  # noqa: ANN401
    meaning: str,
    *,
    metavar: str = "N",
    group: str = EXPERT,
) -> Any:  # noqa: ANN401
    """Declare a field with the help its command-line option shows, and the group it stands in."""
    return field(default=default, metadata={"help": meaning, "metavar": metavar, "group": group})


@dataclass(frozen=True)
class MeasuringOptions:
    """Say on which device a run answers, what measures it, and how long for."""

    device: str = option(
        "auto", "device to answer for; auto is this host", metavar="NAME", group=WHERE
    )
    require_device: bool = option(False, "stop unless this host is that device", group=WHERE)
    meter: str = option("auto", "meter to use, auto or none", metavar="NAME", group=MEASURING)
    require_meter: bool = option(False, "stop unless energy can be measured", group=MEASURING)
    threads: int = option(0, "processor threads; 0 is all that device and host have", group=WHERE)
    accelerator: str = option(
        "auto", "what trains, or is modelled: " + ", ".join(ACCELERATORS), metavar="NAME",
        group=WHERE,
    )  # fmt: skip
    board_python: str = option(
        "", "the board's own Python, which trains in place of this program", metavar="PATH",
        group=WHERE,
    )  # fmt: skip
    idle_s: float = option(
        3.0, "seconds of idle power before and after, if a meter is there", group=MEASURING
    )
    rate_hz: float = option(10.0, "samples per second asked of the meter", group=MEASURING)
    cool_down: str = option(
        "auto", "pause between cells: auto, off or seconds", metavar="TIME", group=MEASURING
    )


@dataclass(frozen=True)
class MatrixOptions:
    """Say which cells a run has, and in which order they run."""

    workload: str = option(
        DEFAULT, "what is trained (harness.list workloads)", metavar="NAME", group=WHAT
    )
    methods: tuple[str, ...] = option((), "methods to compare", metavar="LIST", group=WHAT)
    seeds: tuple[int, ...] = option(
        (0,), "learning seeds, as in 0-4 or 0,2,7", metavar="LIST", group=WHAT
    )
    repeats: int = option(1, "measurements of every seed", group=WHAT)
    order: str = option(
        "random", "order of the methods in a seed: " + ", ".join(ORDERS), metavar="NAME"
    )
    quick: bool = option(False, "tiny run to see that all works; not for publication", group=WHAT)


@dataclass(frozen=True)
class OutputOptions:
    """Say where results and data are kept."""

    out: str = option("results", "folder that run folders are made in", metavar="DIR", group=OUTPUT)
    cache: str = option(
        "", "folder of generated data; default ~/.cache", metavar="DIR", group=OUTPUT
    )


@dataclass(frozen=True)
class RunConfig(OutputOptions, MatrixOptions, MeasuringOptions):
    """Say what every run says, whatever it trains; a workload's class adds its own options.

    Attributes:
        gpu_trains: Whether the workload trains on a GPU where one is settled on.
    """

    gpu_trains: ClassVar[bool] = False

    @property
    def kind_here(self) -> str:
        """Return on what this process computes, once the accelerator is settled."""
        return CPU if self.board_python else self.accelerator

    least: ClassVar[Mapping[str, float]] = {
        "repeats": 1, "threads": 0, "idle_s": 0.0, "rate_hz": 0.01,
    }  # fmt: skip
    most: ClassVar[Mapping[str, float]] = {
        "repeats": 10_000, "threads": 4096, "idle_s": MOST_S, "rate_hz": 1e5,
    }  # fmt: skip
    """More than anyone trains, and few enough that a plan is made at once."""

    choices: ClassVar[Mapping[str, Sequence[str]]] = {
        "order": ORDERS, "accelerator": ACCELERATORS,
    }  # fmt: skip

    @classmethod
    def presets(cls, chosen: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: ARG003
        """Return what other options make of defaults, such as `quick`."""
        return {}

    def completed(self: Config, chosen: Mapping[str, Any]) -> Config:  # noqa: ARG002
        """Return the configuration with what follows from data and method in place."""
        return self

    def problems(self) -> list[HarnessError]:
        """Return everything that makes the configuration impossible."""
        found: list[HarnessError] = [
            unknown(name.replace("_", " "), getattr(self, name), known)
            for name, known in self.choices.items()
            if getattr(self, name) not in known
        ]
        found += self._method_problems()
        found += [
            UsageError(f"--{name.replace('_', '-')} must be at least {least}, got {value}")
            for name, least in self.least.items()
            if not least <= (value := getattr(self, name)) < math.inf  # refuses NaN too
        ]
        found += [
            UsageError(
                f"--{name.replace('_', '-')} may be at most {most}, got {getattr(self, name)}"
            )
            for name, most in self.most.items()
            if getattr(self, name) > most
        ]
        if not self.out.strip():
            found.append(UsageError("--out is empty", "Name a folder, or leave it out."))
        found += _seed_problems(self)
        try:
            parse_cool_down(self.cool_down)
        except UsageError as error:
            found.append(error)
        return found

    def _method_problems(self) -> list[HarnessError]:
        found: list[HarnessError] = []
        slugs: set[str] = set()
        try:
            workload = find_workload(self.workload)
        except UsageError as error:
            return [error]
        for text in self.methods:
            try:
                spec = workload.parse(text)
            except HarnessError as error:
                found.append(error)
                continue
            found += self.spec_problems(spec)
            if spec.slug in slugs:
                same = "its files would have the names of another's"
                found.append(UsageError(f"method '{text}' is named twice: {same}", "Leave it out."))
            slugs.add(spec.slug)
        if not self.methods:
            found.append(UsageError("--methods is empty"))
        return found

    def spec_problems(self, spec: Any) -> list[HarnessError]:  # noqa: ARG002, ANN401
        """Return what makes the parameters of a method impossible here."""
        return []

    @property
    def reference(self) -> str:
        """Return the method that others are compared with; by default the workload's."""
        return find_workload(self.workload).reference

    def method_specs(self) -> list[Any]:
        """Return the methods read."""
        return [find_workload(self.workload).parse(text) for text in self.methods]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; the home folder, which names a person, is `~` in them."""
        return {k: readable(without_home(v)) if k in PATHS else v for k, v in asdict(self).items()}

    def digest(self) -> str:
        """Return a short hash of everything that decides results, not where they are put."""
        values = {k: v for k, v in self.as_dict().items() if k not in ("out", "cache")}
        for name in PATHS:
            if name in values:  # a store says in its name what it was made from
                values[name] = Path(str(values[name])).name
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


Config = TypeVar("Config", bound=RunConfig)

PATHS = ("out", "cache", "data", "who")
"""Fields that may hold a path."""


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read `0-4` or `0,2,7` or a mixture.

    Raises:
        ValueError: if a piece is no whole number, or a range runs backwards or is absurdly long.
    """
    found: list[int] = []
    for piece in text.split(","):
        first, dash, last = piece.partition("-")
        try:
            low, high = plain_int(first), plain_int(last if dash else first)
        except ValueError:
            raise ValueError(f"'{piece}'; a range is written 0-4, a list 0,2,7") from None
        if high < low:
            raise ValueError(f"range {piece} runs backwards")
        if high - low >= MOST_SEEDS:
            raise ValueError(f"{piece} is more than {MOST_SEEDS} seeds")
        found += range(low, high + 1)
    return tuple(found)


_PARSERS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": plain_int,
    "float": plain_float,
    "tuple[str, ...]": lambda text: tuple(split_list(text)),
    "tuple[int, ...]": parse_seeds,
}


def _type_name(option: Field[Any]) -> str:
    """Return a field's type as written, whether or not its module postpones annotations."""
    kind = option.type
    return kind.__name__ if kind in (str, int, float, bool) else str(kind)


def parse_option(option: Field[Any], text: str) -> Any:  # noqa: ANN401
    """Read the text of one option.

    Raises:
        UsageError: if the text is not of the field's type.
    """
    try:
        return _PARSERS[_type_name(option)](text)
    except ValueError as error:
        name = option.name.replace("_", "-")
        raise UsageError(f"--{name}: cannot read '{text}': {error}") from None


def split_list(text: str) -> list[str]:
    """Split `a,b:x=1,y=2,c` into methods: a piece `key=value` belongs to the method before it.

    So does a piece `s:1` behind a value of such pieces, as in `a:weights=s:1,d:4`.
    """
    found: list[str] = []
    for piece in filter(None, (p.strip() for p in text.split(","))):
        name, equals, _ = piece.partition("=")
        last = found[-1].rpartition("=")[2] if found and "=" in found[-1] else ""
        if found and (":" not in name if equals else ":" in piece and ":" in last):
            found[-1] += "," + piece
        else:
            found.append(piece)
    return found


def read_file(path: Path, kind: type[RunConfig]) -> dict[str, Any]:
    """Read a TOML file of fields; those of the workload may stand in a table of its name.

    Raises:
        UsageError: if the file cannot be read, or a key is unknown or of another type.
    """
    try:
        values, text = load_toml(path)
    except DeviceError as error:
        raise UsageError(f"configuration {error.message}") from None
    return check_values(values, str(path), kind, text)


def check_values(
    values: Mapping[str, Any], where: str, kind: type[RunConfig], text: str = ""
) -> dict[str, Any]:
    """Check the names and types of values that `where` gives to fields; `text` is the file's.

    Raises:
        UsageError: if a key is unknown or its value of another type; all problems at once.
    """
    own = values.get(kind.workload)  # the workload's options may stand in a table of its name
    flat = {k: v for k, v in values.items() if k != kind.workload or not isinstance(own, dict)}
    reader = TableReader(where, text, above_zero=False)
    read, problems = reader.values(kind, flat)
    if isinstance(own, dict):
        of_table, more = reader.values(kind, own, f"{kind.workload}.")
        read, problems = {**read, **of_table}, problems + more
    raise_all([UsageError(error.message, error.remedy) for error in problems])
    return read


def make_config(
    kind: type[Config], given: Mapping[str, Any], from_file: Mapping[str, Any] | None = None
) -> Config:
    """Put defaults, presets, a file and options together and check the whole.

    Raises:
        HarnessError: naming every impossible value or combination at once.
    """
    chosen = {**(from_file or {}), **given}
    if "accelerator" in chosen:
        chosen["accelerator"] = ALIASES.get(chosen["accelerator"], chosen["accelerator"])
    config = kind(**{**kind.presets(chosen), **chosen}).completed(chosen)
    raise_all(config.problems())
    return config


def _seed_problems(config: RunConfig) -> list[HarnessError]:
    seeds = config.seeds
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0 or max(seeds) > MOST_WHOLE:
        text = f"--seeds must be distinct whole numbers from 0 to {MOST_WHOLE}, at least one"
        return [UsageError(f"{text}, got {seeds}")]
    return []
