"""List the tables and figures of multi-task runs in the order a reader wants them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.core.exhibits import Series, tables_of_any_run
from analysis.core.figures import (
    breakdown,
    components,
    fleet,
    loss_curves,
    loss_over_cost,
    pareto,
    power,
    stability,
)
from analysis.core.tables.groups import groups_table
from analysis.core.tables.main import main_table
from analysis.multitask.figures import (
    affinity,
    affinity_rounds,
    inference_cost,
    life_cycle,
    published,
    schedule,
    task_changes,
)
from analysis.multitask.tables.inference import inference_tables
from analysis.multitask.tables.tasks import all_measures_table, measure_table, task_loss_table
from models.multitask.tasks import TASKS

if TYPE_CHECKING:
    from analysis.core.loading import Run
    from analysis.core.tables.table import Table


class MultitaskExhibits:
    """Show what multi-task runs have."""

    figures: Sequence[Series] = (
        pareto, loss_over_cost, loss_curves, task_changes, breakdown, components, power, affinity,
        affinity_rounds, schedule, stability, fleet, published, inference_cost, life_cycle,
    )  # fmt: skip

    def tables(self, runs: Sequence[Run]) -> Sequence[Table | None]:
        """Return losses and measures of the tasks, and of inference, beside what all runs have."""
        return [
            main_table(runs),
            groups_table(runs),
            task_loss_table(runs),
            measure_table(runs),
            all_measures_table(runs),
            *inference_tables(runs),
            *tables_of_any_run(runs),
        ]

    def remarks(self, run: Run) -> Sequence[str]:  # noqa: ARG002 - the verdict says all there is
        """Return nothing."""
        return ()

    def legend(self, runs: Sequence[Run]) -> Sequence[str]:
        """Return what the letters of the runs' tasks stand for."""
        letters = dict.fromkeys(letter for run in runs for letter in run.tasks)
        known = [f"{x} {TASKS[x].name}" for x in letters if x in TASKS]
        divided = "sd|nkt are two networks, one for s and d, one for n, k and t"
        return [f"Tasks: {', '.join(known)}. A bar divides networks: {divided}."] if known else []


EXHIBITS = MultitaskExhibits()
