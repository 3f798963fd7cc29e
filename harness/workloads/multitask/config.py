"""Hold the configuration of multi-task runs: what is trained on which data, and how."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from harness.config import HOW_LONG, WHAT, RunConfig, make_config, option, read_file
from harness.core.errors import HarnessError, UsageError
from harness.workloads.multitask.config_checks import (
    OF_SCENES,
    setting_problems,
    task_problems,
    with_data,
)
from harness.workloads.multitask.data.catalogue import (
    DATA_SETS,
    SCENES,
    Layout,
    default_cache,
    find_store,
    read_layout,
)
from harness.workloads.multitask.data.config import ScenesConfig
from harness.workloads.multitask.data.label_skew import LABEL_SKEWS, NONE, LabelSkew
from harness.workloads.multitask.methods.registry import MultitaskMethod
from harness.workloads.multitask.methods.schedule import Setting
from harness.workloads.multitask.protocol import PROTOCOLS, RELEASE, REPAIRED
from harness.workloads.multitask.training.descent import OPTIMIZERS, SCHEDULES
from harness.workloads.multitask.training.joining import SERVERS
from models.execution import parse_execution
from models.multitask.registry import MODELS
from models.multitask.tasks import LOSSES

if TYPE_CHECKING:
    from harness.workloads.multitask.data.dealt import Dealing

AUTO = "auto"
"""Of `step`: what a calibration of the host finds fastest."""

QUICK: Mapping[str, Any] = {
    "clients": 6, "images": 32, "unseen_buildings": 1, "unseen_images": 8, "clients_per_round": 2,
    "rounds": 8, "batch_size": 4, "evaluate_every": 4, "idle_s": 1.0, "step": "plain",
}  # fmt: skip
"""What `--quick` changes, unless the option is given too."""


@dataclass(frozen=True)
class MultitaskConfig(RunConfig):
    """Say what a multi-task run trains, beside what every run says."""

    gpu_trains = True

    methods: tuple[str, ...] = option(
        ("independent", "all-in-one", "mas:splits=2", "mas:splits=3"),
        "methods to compare, with parameters as in mas:splits=3,merge_rounds=30",
        metavar="LIST",
        group=WHAT,
    )
    tasks: str = option(
        "sdnkt", "task letters, as in sdnkt or erckt", metavar="LETTERS", group=WHAT
    )
    data: str = option(
        SCENES,
        "data set: " + ", ".join(DATA_SETS) + ", or the folder of a store",
        metavar="NAME",
        group=WHAT,
    )
    model: str = option("small", "network: " + ", ".join(MODELS), metavar="NAME", group=WHAT)
    size: int = option(64, "image side in pixels")
    clients: int = option(16, "clients, one building each", group=HOW_LONG)
    images: int = option(
        96, "images per client; the last eighth tests, as many more validate", group=HOW_LONG
    )
    unseen_buildings: int = option(4, "test buildings that no client owns")
    unseen_images: int = option(16, "images per unseen building")
    data_seed: int = option(1, "seed of the data; the same for all learning seeds")
    skew: float = option(1.0, "0 gives alike clients, 1 buildings with a style of their own")
    label_skew: str = option(
        NONE, "how classes of training pictures lie: " + ", ".join(LABEL_SKEWS), metavar="NAME"
    )
    concentration: float = option(0.5, "of --label-skew dirichlet; small is uneven")
    classes_each: int = option(2, "classes of a client, of --label-skew classes")
    client_tasks: str = option(
        "",
        "tasks that clients have labels for, dealt in turn, as in 'sdn|kt' [all]",
        metavar="LETTERS",
    )
    clients_per_round: int = option(4, "clients that train in a round", group=HOW_LONG)
    rounds: int = option(14, "rounds every task is trained for", group=HOW_LONG)
    epochs: int = option(1, "local epochs per round", group=HOW_LONG)
    batch_size: int = option(8, "images per training step")
    protocol: str = option("repaired", "training protocol: " + ", ".join(PROTOCOLS), metavar="NAME")
    loss: str = option("auto", "loss: " + ", ".join(LOSSES), metavar="NAME")
    learning_rate: float = option(1.0, "learning rate of the first round")
    optimizer: str = option(
        "heavy-ball", "kind of momentum: " + ", ".join(OPTIMIZERS), metavar="NAME"
    )
    schedule: str = option(
        "polynomial", "how the learning rate falls: " + ", ".join(SCHEDULES), metavar="NAME"
    )
    server: str = option(
        "fedavg",
        "how a server joins clients' models, where the method does not say it: "
        + ", ".join(SERVERS),
        metavar="NAME",
    )
    momentum: float = option(0.9, "momentum of the local optimizer")
    weight_decay: float = option(1e-4, "weight decay of the local optimizer")
    look_ahead_every: int = option(10, "batches from one affinity look-ahead to the next")
    evaluate_every: int = option(2, "rounds from one test to the next")
    keep_batch_size: bool = option(False, "never lower --batch-size, even if memory is short")
    step: str = option(
        AUTO, "how training steps are executed: auto (the fastest here), plain, or words as in"
        " bf16+channels-last+fused", metavar="HOW",
    )  # fmt: skip
    share_jobs: bool = option(
        False, "train jobs that methods of a seed ask for alike once, charged to each"
    )

    least: ClassVar[Mapping[str, float]] = {
        **RunConfig.least,
        "clients": 1, "unseen_buildings": 1, "clients_per_round": 1,
        "rounds": 1, "epochs": 1, "batch_size": 2, "learning_rate": 1e-12, "momentum": 0.0,
        "weight_decay": 0.0, "look_ahead_every": 1, "evaluate_every": 1, "concentration": 1e-3,
        "classes_each": 1,
    }  # fmt: skip
    most: ClassVar[Mapping[str, float]] = {
        **RunConfig.most,
        "rounds": 100_000, "epochs": 10_000, "clients": 1_000_000,
        "clients_per_round": 1_000_000, "batch_size": 1_000_000,
        "look_ahead_every": 1_000_000_000, "evaluate_every": 1_000_000_000,
        "learning_rate": 1e4, "weight_decay": 1e4, "concentration": 1e6, "classes_each": 10_000,
    }  # fmt: skip
    """Few enough that a plan is made at once, small enough for fp32."""

    choices: ClassVar[Mapping[str, Sequence[str]]] = {
        "model": tuple(MODELS), "loss": tuple(LOSSES), **RunConfig.choices,
        "protocol": tuple(PROTOCOLS), "optimizer": OPTIMIZERS, "schedule": SCHEDULES,
        "server": tuple(SERVERS), "label_skew": LABEL_SKEWS,
    }  # fmt: skip

    @classmethod
    def presets(cls, chosen: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what `quick` and the published protocol change, unless the option is given too."""
        found = dict(QUICK) if chosen.get("quick") else {}
        if chosen.get("protocol") == RELEASE.name:
            found |= {"loss": RELEASE.name, "step": "plain"}
        return found

    def completed(self, chosen: Mapping[str, Any]) -> MultitaskConfig:
        """Return it with the numbers of the data set, and without methods nobody asked for."""
        config = with_data(self, chosen)
        if "methods" not in chosen:  # nobody asked for three splits of two tasks
            possible = [s.text for s in config.method_specs() if not s.problems(config.setting)]
            config = replace(config, methods=tuple(possible))
        return config

    def problems(self) -> list[HarnessError]:
        """Return everything that makes the configuration impossible."""
        found = [*task_problems(self), *super().problems()]
        if self.step != AUTO:
            try:
                parse_execution(self.step)
            except ValueError as error:
                found.append(UsageError(f"--step {self.step}: {error}"))
        found += setting_problems(self)
        if self.data == SCENES:
            return found
        of_scenes = tuple("--" + name.replace("_", "-") for name in OF_SCENES)
        return [p for p in found if not p.message.startswith(of_scenes)]

    def spec_problems(self, spec: MultitaskMethod) -> list[HarnessError]:
        """Return what makes the parameters of a method impossible in this setting."""
        return spec.problems(self.setting)

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
        dealing = self.dealing
        return dealing.layout(self.buildings) if dealing else self.buildings

    @cached_property
    def buildings(self) -> Layout:
        """Return how many buildings and images the data set has, whoever's they are.

        Raises:
            DataError: if there is no such data set, or its store is damaged.
        """
        if self.data == SCENES:
            return self.scenes.layout()
        return read_layout(find_store(self.data, self.cache_folder))

    @cached_property
    def dealing(self) -> Dealing | None:
        """Return whose training pictures are whose; None if they stay with their buildings.

        Raises:
            DataError: if they cannot be dealt so, or do not say of which class they are.
        """
        if self.label_skew == NONE or self.label_skew not in LABEL_SKEWS:
            return None
        if not 0.0 < self.concentration < math.inf:  # reported by itself
            return None
        from harness.workloads.multitask.data.dealt import deal  # noqa: PLC0415
        from harness.workloads.multitask.data.image_classes import (  # noqa: PLC0415 - needs numpy
            classes_of_pictures,
            classes_of_rooms,
        )
        from harness.workloads.multitask.data.store import open_store  # noqa: PLC0415

        if self.data == SCENES:
            classes = classes_of_rooms(self.scenes)
        else:
            classes = classes_of_pictures(open_store(find_store(self.data, self.cache_folder)))
        skew = LabelSkew(
            self.label_skew, self.clients, self.data_seed, self.concentration, self.classes_each
        )
        return deal(skew, classes)

    @property
    def setting(self) -> Setting:
        """Return what a method is asked to train."""
        protocol = PROTOCOLS.get(self.protocol, REPAIRED)  # a wrong name is reported by itself
        named = self.client_tasks.split("|") if self.client_tasks else []
        kinds = ["".join(t for t in self.tasks if t in kind) for kind in named]
        dealt = tuple(kinds[client % len(kinds)] for client in range(self.clients * bool(kinds)))
        return Setting(self.tasks, self.rounds, protocol=protocol, client_tasks=dealt)


def make_multitask_config(
    given: Mapping[str, Any], from_file: Mapping[str, Any] | None = None
) -> MultitaskConfig:
    """Put defaults, presets, a file and options together and check the whole.

    Raises:
        HarnessError: naming every impossible value or combination at once.
    """
    return make_config(MultitaskConfig, given, from_file)


def read_multitask_file(path: Path) -> dict[str, Any]:
    """Read a TOML file of fields.

    Raises:
        UsageError: if the file cannot be read, or a key is unknown or of another type.
    """
    return read_file(path, MultitaskConfig)
