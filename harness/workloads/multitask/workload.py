"""Be the workload `multitask` for the rest of the harness; torch is imported only to train."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import UsageError
from harness.records.listing import Item
from harness.workloads.base import Objective, PlanScreen, Settling
from harness.workloads.multitask.config import AUTO, MultitaskConfig
from harness.workloads.multitask.data.catalogue import is_cache
from harness.workloads.multitask.listing import COST_LEGEND, LISTS, TASKS_LEGEND, measures_page
from harness.workloads.multitask.methods import registry
from harness.workloads.multitask.methods.registry import MultitaskMethod

if TYPE_CHECKING:
    from harness.core.schema import Column
    from harness.evidence.findings import Finding
    from harness.evidence.reading import RunFiles
    from harness.running.target import Target
    from harness.workloads.multitask.draft import MultitaskDraft
    from harness.workloads.multitask.participant import MultitaskParticipant
    from harness.workloads.multitask.wire import MultitaskWire


class Multitask:
    """Implement `harness.workloads.base.Workload`."""

    name = "multitask"
    title = "federated multi-task vision: merge tasks, split them by affinity"
    objective = Objective("total_loss", "lower", "sum over tasks of the last global test loss")
    reference = "independent"
    files: Mapping[str, Sequence[Column]] = {}
    infer = "harness.workloads.multitask.commands.infer:main"

    def config_class(self) -> type[MultitaskConfig]:
        """Return the class of its configurations."""
        return MultitaskConfig

    def listing(self, kind: str, cache: str) -> Iterable[Item]:
        """Return its methods, networks, data sets or tasks."""
        return LISTS[kind](cache)

    def legend(self, kind: str) -> str:
        """Return what costs of methods, and letters of tasks, are written in."""
        return {"methods": COST_LEGEND, "tasks": TASKS_LEGEND}.get(kind, "")

    def parse(self, text: str) -> MultitaskMethod:
        """Read one method as typed."""
        return registry.parse(text)

    def plan_lines(self, config: MultitaskConfig) -> Sequence[tuple[str, str]]:
        """Return what the first screen says of data and training."""
        unseen = config.unseen_buildings
        return [
            (
                "Data",
                f"{config.data}: {config.clients} buildings × {config.images} images,"
                f" {config.size}×{config.size};"
                f" {unseen} unseen building{'' if unseen == 1 else 's'}",
            ),
            (
                "Train",
                f"tasks {config.tasks}, model {config.model}, {config.rounds} rounds of"
                f" {config.clients_per_round} clients",
            ),
        ]

    def progress_steps(self, config: MultitaskConfig, spec: MultitaskMethod, seed: int) -> int:
        """Return the task-rounds of a cell."""
        from harness.workloads.multitask.planning.plan import (  # noqa: PLC0415 - imports numpy
            cell_setting,
            planned_jobs,
        )

        jobs = planned_jobs(spec, cell_setting(config, seed))
        return sum(len(job.tasks) * job.rounds for job in jobs)

    def columns_page(self) -> str:
        """Return the measures of the tasks."""
        return measures_page()

    def findings(self, run: RunFiles) -> Iterable[Finding]:
        """Return damage of inference files, what was not measured there, and weak affinity."""
        from harness.workloads.multitask.affinity_evidence import (  # noqa: PLC0415 - seldom asked
            affinity_findings,
        )
        from harness.workloads.multitask.deployed import deployed  # noqa: PLC0415 - seldom asked

        return [*affinity_findings(run), *deployed(run)]

    def contradictions(self, run: RunFiles) -> Iterable[tuple[str, str, str]]:
        """Return losses, gains and bytes that the other files of the run contradict."""
        from harness.workloads.multitask.evidence import contradictions  # noqa: PLC0415

        return contradictions(run)

    def owns_cache(self, folder: Path) -> bool:
        """Say whether a folder is the usual cache, or holds finished data sets."""
        return is_cache(folder)

    def for_fleet(self, config: MultitaskConfig) -> MultitaskConfig:
        """Return a configuration whose steps are plain: what is fastest differs by board."""
        if config.share_jobs:
            raise UsageError(
                "--share-jobs: devices' measurements are not shared between methods yet",
                "Leave it out.",
            )
        return replace(config, step="plain") if config.step == AUTO else config

    @property
    def wire(self) -> MultitaskWire:
        """Return what travels in a fleet."""
        from harness.workloads.multitask.wire import MultitaskWire  # noqa: PLC0415 - numpy

        return MultitaskWire()

    def participant(self, config: MultitaskConfig, target: Target) -> MultitaskParticipant:
        """Open the data of a run on a device of a fleet."""
        from harness.workloads.multitask.participant import (  # noqa: PLC0415 - imports torch
            participant,
        )

        return participant(config, target)

    def draft(
        self,
        config: MultitaskConfig,
        target: Target,
        manifest: Mapping[str, Any],
        settling: Settling,
        screen: PlanScreen,
    ) -> MultitaskDraft:
        """Settle how steps are executed on a host, and time them."""
        from harness.workloads.multitask.draft import draft  # noqa: PLC0415 - imports torch

        return draft(config, target, manifest, settling, screen)


WORKLOAD = Multitask()
