"""Say how a method that needs affinity measures it; what MAS and TAG share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.core.errors import UsageError
from harness.workloads.multitask.affinity.rule import STEPLESS, AffinityRule
from harness.workloads.multitask.job import Job
from harness.workloads.multitask.methods.parameters import Parameter, Value
from harness.workloads.multitask.methods.schedule import Setting

if TYPE_CHECKING:
    from harness.workloads.multitask.affinity.matrix import Affinity, Matrix


@dataclass(frozen=True)
class MomentumParameter(Parameter):
    """Describe whether look-ahead steps have momentum, which only those have that are steps."""

    def problem(
        self, value: Value, values: Mapping[str, Value], setting: Setting, where: str
    ) -> UsageError | None:
        """Return that an affinity without steps has no momentum."""
        mode = values.get("affinity")
        if value and mode in STEPLESS:
            return UsageError(
                f"{where}: affinity={mode} tries no step that could have momentum",
                "Leave momentum out, or give affinity=exact or linear.",
            )
        return super().problem(value, values, setting, where)


@dataclass(frozen=True)
class Measuring:
    """Fix in which rounds, how and how often a job measures affinity; None asks the setting.

    With `sure` it is measured until that share of bootstrap samples gives the same split.
    """

    affinity_rounds: int | None = None
    affinity: str = "exact"
    affinity_every: int | None = None
    momentum: bool = False
    sure: float | None = None

    def measured(self, job: Job) -> Job:
        """Return the job with affinity measured in its first rounds."""
        rounds = self.affinity_rounds
        return replace(
            job,
            measure_affinity=True,
            affinity_rounds=None if rounds is None else min(rounds, job.rounds),
            affinity=AffinityRule(self.affinity, self.affinity_every, self.momentum),
        )

    def mean(self, affinity: Affinity) -> Matrix:
        """Return the mean over the rounds that count, even if more were measured."""
        return affinity.first(self.affinity_rounds).mean
