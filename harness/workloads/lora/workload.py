"""Be the workload `lora` for the rest of the harness; torch is imported only to train."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import UsageError
from harness.records.listing import Item
from harness.workloads.base import Objective, PlanScreen, Settling
from harness.workloads.lora import methods
from harness.workloads.lora.config import LoraConfig
from harness.workloads.lora.listing import LISTS, measures_page
from harness.workloads.lora.methods import LoraSpec
from harness.workloads.lora.ranks import in_words

if TYPE_CHECKING:
    from harness.core.schema import Column
    from harness.evidence.findings import Finding
    from harness.evidence.reading import RunFiles
    from harness.running.target import Target
    from harness.workloads.lora.participant import LoraParticipant
    from harness.workloads.lora.study import LoraDraft
    from harness.workloads.lora.wire import LoraWire


class Lora:
    """Implement `harness.workloads.base.Workload`."""

    name = "lora"
    title = "federated fine-tuning of a language model with low-rank adapters"
    objective = Objective(
        "mixture_loss", "lower", "held-out loss of an answer's token on the clients' mixture",
        "nat/token",
    )  # fmt: skip
    reference = "zeropad"
    files: Mapping[str, Sequence[Column]] = {}
    infer = "harness.workloads.lora.commands.infer:main"

    def config_class(self) -> type[LoraConfig]:
        """Return the class of its configurations."""
        return LoraConfig

    def listing(self, kind: str, cache: str) -> Iterable[Item]:  # noqa: ARG002 - nothing is cached
        """Return its methods, models, data sets or kinds of instruction."""
        return LISTS[kind]()

    def legend(self, kind: str) -> str:
        """Return what bytes of methods are written in."""
        return methods.LEGEND if kind == "methods" else ""

    def parse(self, text: str) -> LoraSpec:
        """Read one method as typed."""
        return methods.parse(text)

    def plan_lines(self, config: LoraConfig) -> Sequence[tuple[str, str]]:
        """Return what the first screen says of data and training."""
        each = f"; {config.kinds} kinds each" if config.data == "letters" else ""
        passes = f"{config.epochs} epoch{'s' if config.epochs > 1 else ''}"
        steps = f", at most {config.steps} steps" if config.steps else ""
        return [
            ("Data", f"{config.data}: {config.clients} clients{each}"),
            (
                "Train",
                f"model {config.model}, ranks {in_words(config.client_ranks)}, {config.rounds}"
                f" rounds of {config.per_round} clients, {passes}{steps}",
            ),
        ]

    def progress_steps(self, config: LoraConfig, spec: LoraSpec, seed: int) -> int:  # noqa: ARG002
        """Return the rounds of a cell."""
        return config.rounds

    def columns_page(self) -> str:
        """Return what metrics.csv holds."""
        return measures_page()

    def findings(self, run: RunFiles) -> Iterable[Finding]:
        """Return damage of inference files, and what was not measured there."""
        from harness.workloads.lora.evidence import findings  # noqa: PLC0415 - seldom asked

        return findings(run)

    def contradictions(self, run: RunFiles) -> Iterable[tuple[str, str, str]]:
        """Return losses and bytes that the other files of the run contradict."""
        from harness.workloads.lora.evidence import contradictions  # noqa: PLC0415

        return contradictions(run)

    def owns_cache(self, folder: Path) -> bool:  # noqa: ARG002
        """Say no: nothing is cached."""
        return False

    def for_fleet(self, config: LoraConfig) -> LoraConfig:
        """Return the configuration of a run over devices.

        Raises:
            UsageError: for what devices cannot do.
        """
        left = [text for text in config.methods if methods.parse(text).name != "central"]
        if len(left) < len(config.methods):
            raise UsageError(
                "central needs the rows of all clients in one place, and devices keep theirs",
                f"--methods {','.join(left) or 'flora,zeropad'}",
            )
        if config.precision == "auto":
            raise UsageError("--precision auto differs by device", "Type fp32 or bf16.")
        return config

    @property
    def wire(self) -> LoraWire:
        """Return what travels in a fleet."""
        from harness.workloads.lora.wire import LoraWire  # noqa: PLC0415 - imports torch

        return LoraWire()

    def participant(self, config: LoraConfig, target: Target) -> LoraParticipant:
        """Open model and rows of a run on a device of a fleet."""
        from harness.workloads.lora.participant import participant  # noqa: PLC0415 - torch

        return participant(config, target)

    def draft(
        self,
        config: LoraConfig,
        target: Target,
        manifest: Mapping[str, Any],
        settling: Settling,
        screen: PlanScreen,
    ) -> LoraDraft:
        """Settle ranks, open model and rows, time a step."""
        from harness.workloads.lora import study  # noqa: PLC0415 - imports torch

        return study.draft(config, target, manifest, settling, screen)


WORKLOAD = Lora()
