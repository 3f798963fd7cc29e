"""List the tables and figures of fine-tuning runs in the order a reader wants them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.core.exhibits import Series, tables_of_any_run
from analysis.core.figures import breakdown, fleet, pareto, power, stability
from analysis.core.tables.main import main_table
from analysis.lora.figures import loss_over_spending, rank_cost, update_error
from analysis.lora.tables.tuning import learning_table, spending_table

if TYPE_CHECKING:
    from analysis.core.loading import Run
    from analysis.core.tables.table import Table

BRACKETS = ("local", "central")


class LoraExhibits:
    """Show what fine-tuning runs have."""

    figures: Sequence[Series] = (
        loss_over_spending, update_error, rank_cost, pareto, breakdown, power, stability, fleet,
    )  # fmt: skip

    def tables(self, runs: Sequence[Run]) -> Sequence[Table | None]:
        """Return what was learnt and spent, beside what all runs have."""
        return [
            main_table(runs),
            learning_table(runs),
            spending_table(runs),
            *tables_of_any_run(runs),
        ]

    def remarks(self, run: Run) -> Sequence[str]:
        """Say what the brackets are, and of what the default model is no measure."""
        found = []
        if set(BRACKETS) & set(run.methods):
            found.append(
                "local (each client alone) and central (all rows in one place) are brackets, not"
                " rivals: nothing is sent there."
            )
        if run.manifest.section("config").get("model") == "letters":
            found.append(
                "The embedded model compares ways of joining adapters; below a width of about 150"
                " an adapter's step costs more than a full one, so it is no measure of what"
                " adapters save."
            )
        return found


EXHIBITS = LoraExhibits()
