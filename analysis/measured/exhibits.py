"""List the tables and figures of programs of one's own: they train nothing that the tool knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.core.exhibits import CommonExhibits, Series
from analysis.core.figures import components, power, stability
from analysis.core.tables.components import component_table, witness_table
from analysis.core.tables.cost import cost_table
from analysis.core.tables.fleet import fleet_table
from analysis.core.tables.main import main_table
from analysis.core.tables.pairs import pair_table
from analysis.core.tables.setup import settings_table, setup_table
from analysis.measured import phases

if TYPE_CHECKING:
    from analysis.core.loading import Run
    from analysis.core.tables.table import Table


class MeasuredExhibits(CommonExhibits):
    """Show what commands and sessions cost, and where in them."""

    figures: Sequence[Series] = (phases, components, power, stability)

    def tables(self, runs: Sequence[Run]) -> Sequence[Table | None]:
        """Return costs first, then how commands compare and what their phases took."""
        return [
            main_table(runs),
            pair_table(runs),
            phases.phase_table(runs),
            component_table(runs),
            witness_table(runs),
            fleet_table(runs),
            setup_table(runs),
            settings_table(runs),
            cost_table(runs)
            if any(run.done["energy_net_j"].notna().any() for run in runs)
            else None,
        ]


EXHIBITS = MeasuredExhibits()
