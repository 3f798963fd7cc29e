"""Hold the configuration of a run: one frozen record, one table of options, nothing implicit.

Every field is an option of the command line and a key of a TOML file, with its help in its
metadata, so none can be documented and forgotten. Precedence: defaults, `--quick`, file, options.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import Field, asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.core.errors import DataError, HarnessError, UsageError, raise_all, unknown
from harness.measurement.cooling import parse_cool_down
from harness.running.accelerator import ACCELERATORS
from harness.running.order import ORDERS
from harness.workloads.multitask.data.catalogue import (
    DATA_SETS,
    SCENES,
    Layout,
    default_cache,
    find_store,
    read_layout,
)
from harness.workloads.multitask.data.config import ScenesConfig
from harness.workloads.multitask.methods import registry
from harness.workloads.multitask.methods.registry import MethodSpec
from harness.workloads.multitask.methods.schedule import Setting
from harness.workloads.multitask.protocol import PROTOCOLS, RELEASE, REPAIRED
from harness.workloads.multitask.training.descent import OPTIMIZERS, SCHEDULES
from models.execution import parse_execution
from models.multitask.registry import MODELS
from models.multitask.tasks import LOSSES, TASKS

MOST_SEEDS = 10_000

AUTO = "auto"
"""Of `step`: what a calibration of the host finds fastest."""


def _option(default: Any, meaning: str, *, metavar: str = "N") -> Any:  # noqa: ANN401
    """Declare a field with the help its command-line option shows."""
    return field(default=default, metadata={"help": meaning, "metavar": metavar})


@dataclass(frozen=True)
class RunConfig:
    """Say what a run trains, on which device it answers for, and how it is measured."""

    device: str = _option("auto", "device to answer for; auto is this host", metavar="NAME")
    require_device: bool = _option(False, "stop unless this host is that device")
    meter: str = _option("auto", "meter to use, auto or none", metavar="NAME")
    require_meter: bool = _option(False, "stop unless energy can be measured")
    methods: tuple[str, ...] = _option(
        ("independent", "all-in-one", "mas:splits=2", "mas:splits=3"),
        "methods to compare, with parameters as in mas:splits=3,merge_rounds=30",
        metavar="LIST",
    )
    tasks: str = _option("sdnkt", "task letters, as in sdnkt or erckt", metavar="LETTERS")
    data: str = _option(
        SCENES, "data set: " + ", ".join(DATA_SETS) + ", or the folder of a store", metavar="NAME"
    )
    model: str = _option("small", "network: " + ", ".join(MODELS), metavar="NAME")
    size: int = _option(64, "image side in pixels")
    clients: int = _option(16, "clients, one building each")
    images: int = _option(96, "images per client; the last eighth tests, as many more validate")
    unseen_buildings: int = _option(4, "test buildings that no client owns")
    unseen_images: int = _option(16, "images per unseen building")
    data_seed: int = _option(1, "seed of the data; the same for all learning seeds")
    skew: float = _option(1.0, "0 gives alike clients, 1 buildings with a style of their own")
    clients_per_round: int = _option(4, "clients that train in a round")
    rounds: int = _option(14, "rounds every task is trained for")
    epochs: int = _option(1, "local epochs per round")
    batch_size: int = _option(8, "images per training step")
    protocol: str = _option(
        "repaired", "training protocol: " + ", ".join(PROTOCOLS), metavar="NAME"
    )
    loss: str = _option("auto", "loss: " + ", ".join(LOSSES), metavar="NAME")
    learning_rate: float = _option(1.0, "learning rate of the first round")
    optimizer: str = _option(
        "heavy-ball", "kind of momentum: " + ", ".join(OPTIMIZERS), metavar="NAME"
    )
    schedule: str = _option(
        "polynomial", "how the learning rate falls: " + ", ".join(SCHEDULES), metavar="NAME"
    )
    momentum: float = _option(0.9, "momentum of the local optimizer")
    weight_decay: float = _option(1e-4, "weight decay of the local optimizer")
    look_ahead_every: int = _option(10, "batches from one affinity look-ahead to the next")
    evaluate_every: int = _option(2, "rounds from one test to the next")
    seeds: tuple[int, ...] = _option((0,), "learning seeds, as in 0-4 or 0,2,7", metavar="LIST")
    repeats: int = _option(1, "measurements of every seed")
    threads: int = _option(0, "processor threads; 0 is all that device and host have")
    keep_batch_size: bool = _option(False, "never lower --batch-size, even if memory is short")
    step: str = _option(
        AUTO, "how training steps are executed: auto (the fastest here), plain, or words as in"
        " bf16+channels-last+fused", metavar="HOW",
    )  # fmt: skip
    accelerator: str = _option("auto", "what trains: " + ", ".join(ACCELERATORS), metavar="NAME")
    idle_s: float = _option(3.0, "seconds of idle power before and after, if a meter is there")
    rate_hz: float = _option(10.0, "samples per second asked of the meter")
    order: str = _option(
        "random", "order of the methods in a seed: " + ", ".join(ORDERS), metavar="NAME"
    )
    share_jobs: bool = _option(
        False, "train jobs that methods of a seed ask for alike once, charged to each"
    )
    cool_down: str = _option("auto", "pause between cells: auto, off or seconds", metavar="TIME")
    quick: bool = _option(False, "tiny run to see that all works; not for publication")
    out: str = _option("results", "folder that run folders are made in", metavar="DIR")
    cache: str = _option("", "folder of generated data; default ~/.cache", metavar="DIR")

    @property
    def scenes(self) -> ScenesConfig:
        """Return the settings of the procedural data set."""
        return ScenesConfig(
            seed=self.data_seed,
            clients=self.clients,
            images=self.images,
            unseen_buildings=self.unseen_buildings,
            unseen_images=self.unseen_images,
            size=self.size,
            skew=self.skew,
        )

    @property
    def cache_folder(self) -> Path:
        """Return the folder that data sets are kept in."""
        return Path(self.cache) if self.cache else default_cache(os.environ, Path.home())

    @cached_property
    def layout(self) -> Layout:
        """Return how many clients and images the data set has.

        Raises:
            DataError: if there is no such data set, or its store is damaged.
        """
        if self.data == SCENES:
            return self.scenes.layout()
        return read_layout(find_store(self.data, self.cache_folder))

    @property
    def setting(self) -> Setting:
        """Return what a method is asked to train."""
        protocol = PROTOCOLS.get(self.protocol, REPAIRED)  # a wrong name is reported by itself
        return Setting(self.tasks, self.rounds, protocol=protocol)

    def method_specs(self) -> list[MethodSpec]:
        """Return the methods read."""
        return [registry.parse(text) for text in self.methods]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; the home folder, which names a person, is `~` in them."""
        return {k: without_home(v) if k in PATHS else v for k, v in asdict(self).items()}

    def digest(self) -> str:
        """Return a short hash of everything that decides results, not where they are put."""
        values = {k: v for k, v in self.as_dict().items() if k not in ("out", "cache")}
        values["data"] = Path(self.data).name  # a store says in its name what it was made from
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


PATHS = ("out", "cache", "data")
"""Fields that may hold a path."""


def without_home(text: str) -> str:
    """Return a text with the home folder as `~`."""
    home = str(Path.home())
    return text.replace(home, "~") if len(home) > 1 else text


QUICK: Mapping[str, Any] = {
    "clients": 6, "images": 32, "unseen_buildings": 1, "unseen_images": 8, "clients_per_round": 2,
    "rounds": 8, "batch_size": 4, "evaluate_every": 4, "idle_s": 1.0, "step": "plain",
}  # fmt: skip
"""What `--quick` changes, unless the option is given too."""


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read `0-4` or `0,2,7` or a mixture.

    Raises:
        ValueError: if a piece is no whole number, or a range runs backwards or is absurdly long.
    """
    found: list[int] = []
    for piece in text.split(","):
        first, dash, last = piece.partition("-")
        try:
            low, high = int(first), int(last if dash else first)
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
    "int": int,
    "float": float,
    "tuple[str, ...]": lambda text: tuple(registry.split_list(text)),
    "tuple[int, ...]": parse_seeds,
}


def parse_option(option: Field[Any], text: str) -> Any:  # noqa: ANN401
    """Read the text of one option.

    Raises:
        UsageError: if the text is not of the field's type.
    """
    try:
        return _PARSERS[str(option.type)](text)
    except ValueError as error:
        name = option.name.replace("_", "-")
        raise UsageError(f"--{name}: cannot read '{text}': {error}") from None


def read_file(path: Path) -> dict[str, Any]:
    """Read a TOML file of fields.

    Raises:
        UsageError: if the file cannot be read, or a key is unknown or of another type.
    """
    if sys.version_info >= (3, 11):
        import tomllib  # noqa: PLC0415 - only where a file is given
    else:
        import tomli as tomllib  # noqa: PLC0415
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read configuration {path}: {error}") from None
    return check_values(values, str(path))


def check_values(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Check the names and types of values that `where` gives to fields.

    Raises:
        UsageError: if a key is unknown or its value of another type.
    """
    known = {f.name: f for f in fields(RunConfig)}
    problems: list[HarnessError] = []
    read: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            problems.append(unknown(f"key in {where}:", key, known))
            continue
        try:
            read[key] = _from_toml(known[key], value)
        except UsageError as error:
            problems.append(UsageError(f"{where}: {error.message}"))
    raise_all(problems)
    return read


def _from_toml(option: Field[Any], value: object) -> Any:  # noqa: ANN401
    kind = type(option.default)
    if kind is tuple and isinstance(value, list):
        inner = int if option.name == "seeds" else str
        if all(type(item) is inner for item in value):
            return tuple(value)
    elif kind is float and type(value) is int:
        return float(value)
    elif type(value) is kind:
        return value
    raise UsageError(f"key '{option.name}' has the value {value!r}, expected {option.type}")


def make_config(given: Mapping[str, Any], from_file: Mapping[str, Any] | None = None) -> RunConfig:
    """Put defaults, the quick preset, a file and options together and check the whole.

    Raises:
        HarnessError: naming every impossible value or combination at once.
    """
    chosen = {**(from_file or {}), **given}
    base = {**(QUICK if chosen.get("quick") else {})}
    if chosen.get("protocol") == RELEASE.name:
        base["loss"] = RELEASE.name
        base["step"] = "plain"
    config = _with_data(RunConfig(**{**base, **chosen}), chosen)
    if "methods" not in chosen:  # nobody asked for three splits of two tasks
        possible = [s.text for s in config.method_specs() if not s.problems(config.setting)]
        config = replace(config, methods=tuple(possible))
    raise_all(_problems(config))
    return config


_OF_SCENES = ("size", "clients", "images", "unseen_buildings", "unseen_images", "data_seed", "skew")
"""Options that say what to generate; other data sets are as they are."""


def _with_data(config: RunConfig, chosen: Mapping[str, Any]) -> RunConfig:
    """Return the configuration with the numbers of an imported data set in place of options.

    Raises:
        DataError: if the data set is unknown, not here or damaged.
        UsageError: if options contradict it.
    """
    if config.data == SCENES:
        return config
    layout = config.layout
    found: dict[str, Any] = {
        "size": layout.size,
        "clients": layout.count("train"),
        "images": layout.mean_length("train") + layout.mean_length("test"),
        "unseen_buildings": layout.count("test_unseen"),
        "unseen_images": layout.mean_length("test_unseen"),
        "data_seed": RunConfig.data_seed,
        "skew": RunConfig.skew,
    }
    wrong = [name for name in _OF_SCENES if chosen.get(name, found[name]) != found[name]]
    if wrong:
        options = ", ".join("--" + name.replace("_", "-") for name in wrong)
        text = f"{options}: only {SCENES} are made to measure, {config.data} is as it is"
        raise UsageError(text, "Leave it out.")
    return replace(config, **found)


def _problems(config: RunConfig) -> list[HarnessError]:
    found = _name_problems(config)
    found += [
        UsageError(f"--{name.replace('_', '-')} must be at least {least}, got {value}")
        for name, least in _LEAST.items()
        if not least <= (value := getattr(config, name)) < math.inf  # refuses NaN too
        and (config.data == SCENES or name not in _OF_SCENES)
    ]
    found += [
        UsageError(f"--{name} may be at most {most}, got {getattr(config, name)}")
        for name, most in _MOST.items()
        if getattr(config, name) > most
    ]
    if not config.out.strip():
        found.append(UsageError("--out is empty", "Name a folder, or leave it out."))
    found += _seed_problems(config)
    if config.step != AUTO:
        try:
            parse_execution(config.step)
        except ValueError as error:
            found.append(UsageError(f"--step {config.step}: {error}"))
    try:
        parse_cool_down(config.cool_down)
    except UsageError as error:
        found.append(error)
    if config.momentum >= 1.0:
        found.append(UsageError(f"--momentum must be below 1, got {config.momentum}"))
    if config.clients_per_round > config.clients:
        found.append(
            UsageError(
                f"{config.clients_per_round} clients per round of {config.clients} clients"
                " is impossible",
                "Lower --clients-per-round or raise --clients.",
            )
        )
    found += _data_problems(config)
    if config.model == "xception" and config.size % 16:
        found.append(UsageError(f"xception needs --size in multiples of 16, got {config.size}"))
    return found


def _data_problems(config: RunConfig) -> list[HarnessError]:
    try:
        layout = config.layout
    except DataError as error:
        return [error]
    missing = [task for task in config.tasks if task in TASKS and task not in layout.tasks]
    if missing:
        text = f"data set {config.data} has no labels for task {', '.join(missing)}"
        return [UsageError(text, f"It has: --tasks {layout.tasks}")]
    return []


def _seed_problems(config: RunConfig) -> list[HarnessError]:
    seeds = config.seeds
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        text = "--seeds must be distinct whole numbers from 0 on, at least one"
        return [UsageError(f"{text}, got {seeds}")]
    return []


_LEAST: Mapping[str, float] = {
    "clients": 1, "unseen_buildings": 1, "clients_per_round": 1,
    "rounds": 1, "epochs": 1, "batch_size": 2, "learning_rate": 1e-12, "momentum": 0.0,
    "weight_decay": 0.0, "look_ahead_every": 1, "evaluate_every": 1, "repeats": 1, "threads": 0,
    "idle_s": 0.0, "rate_hz": 0.01,
}  # fmt: skip


_MOST: Mapping[str, float] = {
    "rounds": 100_000, "epochs": 10_000, "repeats": 10_000, "clients": 1_000_000,
    "clients_per_round": 1_000_000, "batch_size": 1_000_000, "look_ahead_every": 1_000_000_000,
    "evaluate_every": 1_000_000_000, "threads": 4096, "learning_rate": 1e4, "weight_decay": 1e4,
    "idle_s": 86_400.0, "rate_hz": 1e5,
}  # fmt: skip
"""More than anyone trains, few enough that a plan is made at once, small enough for fp32."""


def _name_problems(config: RunConfig) -> list[HarnessError]:
    found: list[HarnessError] = []
    for letter in dict.fromkeys(config.tasks):
        if letter not in TASKS:
            found.append(unknown("task letter", letter, TASKS))
        elif config.tasks.count(letter) > 1:
            found.append(UsageError(f"task '{letter}' is named twice in '{config.tasks}'"))
    if not config.tasks:
        found.append(UsageError("--tasks is empty", f"Known: {', '.join(TASKS)}"))
    for kind, name, known in (
        ("model", config.model, MODELS),
        ("loss", config.loss, LOSSES),
        ("order", config.order, ORDERS),
        ("accelerator", config.accelerator, ACCELERATORS),
        ("protocol", config.protocol, PROTOCOLS),
        ("optimizer", config.optimizer, OPTIMIZERS),
        ("schedule", config.schedule, SCHEDULES),
    ):
        if name not in known:
            found.append(unknown(kind, name, known))
    return found + _method_problems(config)


def _method_problems(config: RunConfig) -> list[HarnessError]:
    found: list[HarnessError] = []
    slugs: set[str] = set()
    for text in config.methods:
        try:
            spec = registry.parse(text)
        except HarnessError as error:
            found.append(error)
            continue
        found += spec.problems(config.setting)
        if spec.slug in slugs:
            found.append(UsageError(f"method '{text}' is named twice"))
        slugs.add(spec.slug)
    if not config.methods:
        found.append(UsageError("--methods is empty"))
    return found
