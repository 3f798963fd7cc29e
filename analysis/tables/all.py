"""List the tables of a report in the order a reader wants them."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.loading import Run
from analysis.tables.cost import cost_table
from analysis.tables.fleet import fleet_table
from analysis.tables.inference import inference_tables
from analysis.tables.main import main_table
from analysis.tables.pairs import pair_table
from analysis.tables.phases import phase_tables
from analysis.tables.setup import settings_table, setup_table
from analysis.tables.table import Table
from analysis.tables.tasks import all_measures_table, measure_table, task_loss_table
from analysis.tables.variants import variant_table


def all_tables(runs: Sequence[Run]) -> list[Table]:
    """Return every table that has a value."""
    tables = [
        main_table(runs),
        task_loss_table(runs),
        measure_table(runs),
        all_measures_table(runs),
        *inference_tables(runs),
        *phase_tables(runs),
        fleet_table(runs),
        setup_table(runs),
        pair_table(runs),
        variant_table(runs),
        settings_table(runs),
        cost_table(runs),
    ]
    return [table for table in tables if table is not None and table.rows]
