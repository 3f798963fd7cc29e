"""Be the workload `personalized` for the rest of the harness; torch is imported only to train."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.schema import Column
from harness.records.listing import Item
from harness.workloads.base import Objective, PlanScreen, Settling
from harness.workloads.personalized.config import BY_DEVICE, ClubConfig
from harness.workloads.personalized.listing import LEGEND, LISTS
from harness.workloads.personalized.methods import registry
from harness.workloads.personalized.methods.registry import ClubMethod
from harness.workloads.personalized.tables import FILES, measures_page
from harness.workloads.personalized.wire import ClubWire

if TYPE_CHECKING:
    from harness.evidence.findings import Finding
    from harness.evidence.reading import RunFiles
    from harness.running.target import Target
    from harness.workloads.personalized.study import ClubStudy


class Personalized:
    """Implement `harness.workloads.base.Workload`."""

    name = "personalized"
    title = "personalised models: unlike networks, teachers reassembled from their blocks"
    objective = Objective(
        "accuracy", "higher",
        "mean over clients of the test accuracy of their own networks after the last round",
    )  # fmt: skip
    reference = "local"
    files: Mapping[str, Sequence[Column]] = FILES
    wire = ClubWire()

    def config_class(self) -> type[ClubConfig]:
        """Return the class of its configurations."""
        return ClubConfig

    def listing(self, kind: str, cache: str) -> Iterable[Item]:
        """Return its methods, families or data sets."""
        return LISTS[kind](cache) if kind in LISTS else ()

    def legend(self, kind: str) -> str:
        """Return what a list of methods needs to be understood."""
        return LEGEND if kind == "methods" else ""

    def parse(self, text: str) -> ClubMethod:
        """Read one method as typed."""
        return registry.parse(text)

    def plan_lines(self, config: ClubConfig) -> Sequence[tuple[str, str]]:
        """Return what the first screen says of data and training."""
        families = config.client_families()
        counts = ", ".join(f"{families.count(name)} {name}" for name in dict.fromkeys(families))
        how = f"{BY_DEVICE}: " if config.families == (BY_DEVICE,) else ""
        split = {"dirichlet": f"Dirichlet {config.concentration:g}", "iid": "alike",
                 "classes": f"{config.classes_each} classes each"}[config.split]  # fmt: skip
        names = {text.partition(":")[0] for text in config.methods}
        note = (
            [("Controls", "local and smooth always run beside methods with teachers")]
            if names & set(registry.TAUGHT) else []
        )  # fmt: skip
        return [
            *note,
            ("Data", f"{config.data}: {config.clients} clients, {split};"
                     f" {100 * config.public_share:g} % public"),
            ("Train", f"{config.rounds} rounds of {config.clients_per_round} clients,"
                      f" {config.epochs} epochs each; {how}{counts}"),
        ]  # fmt: skip

    def progress_steps(self, config: ClubConfig, spec: ClubMethod, seed: int) -> int:  # noqa: ARG002
        """Return the rounds."""
        return config.rounds

    def columns_page(self) -> str:
        """Return its measures."""
        return measures_page()

    def findings(self, run: RunFiles) -> Iterable[Finding]:
        """Return teachers beyond their limit, and controls that are missing."""
        from harness.workloads.personalized.evidence import findings  # noqa: PLC0415 - seldom asked

        return findings(run)

    def contradictions(self, run: RunFiles) -> Iterable[tuple[str, str, str]]:
        """Return what its own tables contradict in cells.csv."""
        from harness.workloads.personalized.evidence import contradictions  # noqa: PLC0415

        return contradictions(run)

    def owns_cache(self, folder: Path) -> bool:  # noqa: ARG002
        """Own none: data are shipped, made in memory, or somebody else's."""
        return False

    def for_fleet(self, config: ClubConfig) -> ClubConfig:
        """Return it: devices can follow every option."""
        return config

    def participant(self, config: ClubConfig, target: Target) -> ClubStudy:
        """Open the data of a run on a device of a fleet."""
        from harness.workloads.personalized import study  # noqa: PLC0415 - imports torch

        return study.draft(config, target, {}, None)

    def draft(
        self,
        config: ClubConfig,
        target: Target,
        manifest: Mapping[str, Any],
        settling: Settling,  # noqa: ARG002 - the timing is a part of a second
        screen: PlanScreen,
    ) -> ClubStudy:
        """Open the data and time this host."""
        from harness.workloads.personalized import study  # noqa: PLC0415 - imports torch

        return study.draft(config, target, manifest, screen)


WORKLOAD = Personalized()
