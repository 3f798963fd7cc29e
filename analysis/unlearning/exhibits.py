"""List the tables and figures of unlearning runs in the order a reader wants them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.core.exhibits import Series, tables_of_any_run
from analysis.core.figures import breakdown, fleet, power, stability
from analysis.core.tables.main import main_table
from analysis.unlearning.figures import pays, request_cost, trace
from analysis.unlearning.reading import data_words, summary
from analysis.unlearning.tables import unlearning_tables
from harness.core.errors import DamagedRunError
from harness.workloads.unlearning.comparison import sentences

if TYPE_CHECKING:
    from analysis.core.loading import Run
    from analysis.core.tables.table import Table


class UnlearningExhibits:
    """Show what unlearning runs have."""

    figures: Sequence[Series] = (request_cost, pays, trace, breakdown, power, stability, fleet)

    def tables(self, runs: Sequence[Run]) -> Sequence[Table | None]:
        """Return costs and quality of forgetting beside what all runs have."""
        return [
            main_table(runs),
            *unlearning_tables(runs),
            *tables_of_any_run(runs),
        ]

    def remarks(self, run: Run) -> Sequence[str]:
        """Return what each request costs and how completely it forgets, and on which data."""
        try:
            found = sentences(summary(run))
        except DamagedRunError as error:
            return [error.message]
        return [*found, f"All of this is on {data_words(run)}."] if found else []


EXHIBITS = UnlearningExhibits()
