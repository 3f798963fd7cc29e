"""Hold the configuration of unlearning runs: data, recommender, and who asks to be forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any, ClassVar

from harness.config import RunConfig, option
from harness.core.errors import HarnessError, MissingPackageError, UsageError
from harness.workloads.unlearning.methods.registry import UnlearningMethod, shard_problems

GENERATED = "generated"
BATCH = "batch"
DEFAULT_METHODS = (
    "retrain", "finetune", "sisa:shards=10", "receraser:shards=10", "ultrare:shards=10", "scif",
    "influence",
)  # fmt: skip
MODELS = ("wmf", "bpr", "lightgcn")

QUICK: Mapping[str, Any] = {
    "users": 300, "items": 250, "epochs": 10, "requests": (BATCH, "3"), "idle_s": 1.0,
    "methods": tuple(m.replace("=10", "=5") for m in DEFAULT_METHODS),
}  # fmt: skip
"""What `--quick` changes, unless the option is given too."""


@dataclass(frozen=True)
class UnlearningConfig(RunConfig):
    """Say what an unlearning run trains and forgets, beside what every run says."""

    workload: str = option("unlearning", "what is trained (harness.list workloads)", metavar="NAME")
    methods: tuple[str, ...] = option(
        DEFAULT_METHODS, "methods to compare, with parameters as in sisa:shards=10", metavar="LIST"
    )
    data: str = option(
        GENERATED,
        "interactions: generated, ml-100k (of an installed package), or a file of ratings",
        metavar="NAME",
    )
    core: int = option(5, "interactions that users and items of a file need, or are left out")
    users: int = option(900, "users to generate")
    items: int = option(700, "items to generate")
    mean: float = option(42.0, "items per generated user on average")
    model: str = option("wmf", "recommender: " + ", ".join(MODELS), metavar="NAME")
    width: int = option(32, "length of the vectors")
    epochs: int = option(20, "passes over the interactions; there is no early stop")
    batch_size: int = option(512, "interactions per training step")
    learning_rate: float = option(0.01, "learning rate of Adam")
    decay: float = option(0.01, "weight decay of the vectors that an interaction meets")
    who: str = option(
        "random",
        "who asks: random, core (most active), edge (least), or a file with a request in each line",
        metavar="WHO",
    )
    requests: tuple[str, ...] = option(
        (BATCH, "8"), "batch, how many requests of a single user, or both as in batch,8",
        metavar="LIST",
    )  # fmt: skip
    share: float = option(0.05, "share of all users in the batch")
    window_s: float = option(
        0.0, "seconds that a request is repeated for, for the meter; 0: as long as it needs"
    )
    boards: int = option(0, "boards that each answer requests of their own; in a fleet at least 1")

    least: ClassVar[Mapping[str, float]] = {
        **RunConfig.least,
        "core": 1, "users": 2, "items": 3, "mean": 1.0, "width": 1, "epochs": 1, "batch_size": 1,
        "learning_rate": 1e-12, "decay": 0.0, "share": 1e-9, "window_s": 0.0, "boards": 0,
    }  # fmt: skip
    most: ClassVar[Mapping[str, float]] = {
        **RunConfig.most,
        "core": 1_000_000, "users": 1_000_000, "items": 1_000_000, "mean": 1e6, "width": 4096,
        "epochs": 100_000, "batch_size": 10_000_000, "learning_rate": 1e3, "decay": 1e3,
        "share": 0.9, "window_s": 3600.0, "boards": 1000,
    }  # fmt: skip
    choices: ClassVar[Mapping[str, Sequence[str]]] = {**RunConfig.choices, "model": MODELS}

    @classmethod
    def presets(cls, chosen: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what `quick` changes, unless the option is given too."""
        return dict(QUICK) if chosen.get("quick") else {}

    def completed(self, chosen: Mapping[str, Any]) -> UnlearningConfig:
        """Return it without a method that nobody asked for and that has no package here."""
        if "methods" in chosen or find_spec("ot") is not None:
            return self
        return replace(self, methods=tuple(m for m in self.methods if "ultrare" not in m))

    def problems(self) -> list[HarnessError]:
        """Return everything that makes the configuration impossible."""
        found = super().problems()
        try:
            _ = self.batch, self.stream
        except UsageError as error:
            found.append(error)
        if self.boards and self.who not in ("random", "core", "edge"):
            found.append(
                UsageError(
                    "--who FILE: boards have requests of their own",
                    "Take random, core or edge.",
                )
            )
        if self.generated and self.users * self.items > MOST_CELLS:
            found.append(
                UsageError(
                    f"--users {self.users} --items {self.items}: more than {MOST_CELLS:,} pairs"
                    " cannot be drawn",
                    "Ask for fewer.",
                )
            )
        return found

    def spec_problems(self, spec: UnlearningMethod) -> list[HarnessError]:
        """Return what makes a method impossible here."""
        found = shard_problems(spec, self.users) if self.generated else []
        if spec.name == "ultrare" and find_spec("ot") is None:
            found.append(
                MissingPackageError(
                    "ultrare divides users by the package POT, which is not installed",
                    "pip install POT, or leave ultrare out of --methods.",
                )
            )
        return found

    @property
    def generated(self) -> bool:
        """Say whether the data are generated."""
        return self.data == GENERATED

    @property
    def batch(self) -> bool:
        """Say whether a batch is asked for."""
        return BATCH in self.requests

    @property
    def stream(self) -> int:
        """Return how many requests of a single user are asked for.

        Raises:
            UsageError: if `requests` is no such list.
        """
        numbers = [text for text in self.requests if text != BATCH]
        wrong = [text for text in numbers if not text.isdigit() or not 1 <= int(text) <= 100_000]
        if wrong or len(numbers) > 1 or not self.requests or self.requests.count(BATCH) > 1:
            raise UsageError(
                f"--requests {','.join(self.requests)}: cannot be read",
                "Type batch, a whole number from 1 on, or both as in batch,8.",
            )
        return int(numbers[0]) if numbers else 0


MOST_CELLS = 50_000_000
