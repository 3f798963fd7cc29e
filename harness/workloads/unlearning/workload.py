"""Be the workload `unlearning` for the rest of the harness; torch is imported only to train."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import raise_all
from harness.records.listing import Item
from harness.workloads.base import Objective, PlanScreen, Settling
from harness.workloads.on_devices import Silence
from harness.workloads.simple import SimpleWorkload
from harness.workloads.unlearning.config import UnlearningConfig
from harness.workloads.unlearning.listing import listing
from harness.workloads.unlearning.methods import registry
from harness.workloads.unlearning.methods.registry import UnlearningMethod
from harness.workloads.unlearning.tables import FILES

if TYPE_CHECKING:
    from harness.core.schema import Column
    from harness.evidence.findings import Finding
    from harness.evidence.reading import RunFiles
    from harness.running.target import Target
    from harness.workloads.unlearning.boards import BoardWire
    from harness.workloads.unlearning.study import UnlearningStudy


DEFAULT_BOARDS = 2


class Unlearning(SimpleWorkload):
    """Implement `harness.workloads.base.Workload`."""

    name = "unlearning"
    title = "what forgetting costs a recommender: users ask to be deleted"
    objective = Objective(
        "ndcg_20", "higher", "NDCG@20 of those who stay, after the last request of the scenario"
    )
    reference = "retrain"
    files: Mapping[str, Sequence[Column]] = FILES  # type: ignore[misc]

    def config_class(self) -> type[UnlearningConfig]:
        """Return the class of its configurations."""
        return UnlearningConfig

    def listing(self, kind: str, cache: str) -> Iterable[Item]:  # noqa: ARG002
        """Return its methods, recommenders or data."""
        return listing(kind)

    def parse(self, text: str) -> UnlearningMethod:  # type: ignore[override]
        """Read one method as typed."""
        return registry.parse(text)

    def plan_lines(self, config: UnlearningConfig) -> Sequence[tuple[str, str]]:
        """Return what the first screen says of data, recommender and requests."""
        from harness.workloads.unlearning.listing import plan_lines  # noqa: PLC0415

        return plan_lines(config)

    def progress_steps(self, config: UnlearningConfig, spec: UnlearningMethod, seed: int) -> int:  # noqa: ARG002
        """Return the jobs of a cell."""
        extra = {"sisa": 1, "ultrare": 2, "receraser": 3}.get(spec.name, 0)
        return spec.shards + extra + config.batch + config.stream

    def findings(self, run: RunFiles) -> Iterable[Finding]:
        """Return what a run of it cannot be quoted for."""
        from harness.workloads.unlearning.evidence import findings  # noqa: PLC0415

        return findings(run)

    def contradictions(self, run: RunFiles) -> Iterable[tuple[str, str, str]]:
        """Return what its own files contradict."""
        from harness.workloads.unlearning.evidence import contradictions  # noqa: PLC0415

        return contradictions(run)

    def conclusion(self, folder: Path) -> Sequence[str]:
        """Return the table of requests, and what came of them."""
        from harness.workloads.unlearning.listing import conclusion  # noqa: PLC0415

        return conclusion(folder)

    def for_fleet(self, config: UnlearningConfig) -> UnlearningConfig:  # type: ignore[override]
        """Return the configuration of a run over boards; of two if it does not say how many."""
        found = replace(config, boards=config.boards or DEFAULT_BOARDS)
        raise_all(found.problems())
        return found

    @property
    def wire(self) -> BoardWire:  # type: ignore[override]
        """Return what travels in a fleet."""
        from harness.workloads.unlearning.boards import BoardWire  # noqa: PLC0415 - imports torch

        return BoardWire()

    def participant(self, config: UnlearningConfig, target: Target) -> UnlearningStudy:  # type: ignore[override]
        """Open the data on a board of a fleet."""
        from harness.workloads.unlearning.study import draft  # noqa: PLC0415 - imports torch

        return draft(config, target, {}, Silence())

    def draft(  # type: ignore[override]
        self,
        config: UnlearningConfig,
        target: Target,
        manifest: Mapping[str, Any],
        settling: Settling,  # noqa: ARG002 - timing takes a second, in dry runs too
        screen: PlanScreen,
    ) -> UnlearningStudy:
        """Open the data and time the work."""
        from harness.workloads.unlearning.study import draft  # noqa: PLC0415 - imports torch

        return draft(config, target, manifest, screen)


WORKLOAD = Unlearning()
