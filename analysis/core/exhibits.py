"""Find which tables and figures the runs of a workload show, and in which order.

A package beside this one offers its own under the entry point group `edge_harness.exhibits`, by
the name of its workload; a workload that offers none is shown by what all runs have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

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
from analysis.core.tables.components import component_table, witness_table
from analysis.core.tables.cost import cost_table
from analysis.core.tables.fleet import fleet_table
from analysis.core.tables.groups import groups_table
from analysis.core.tables.main import main_table
from analysis.core.tables.pairs import pair_table
from analysis.core.tables.phases import phase_tables
from analysis.core.tables.setup import settings_table, setup_table
from analysis.core.tables.variants import variant_table
from devices import extensions

if TYPE_CHECKING:
    from analysis.core.figures.drawing import Outcome
    from analysis.core.loading import Run
    from analysis.core.tables.table import Table

GROUP = "edge_harness.exhibits"
OWN: Mapping[str, str] = {
    "measure": "analysis.measured.exhibits:EXHIBITS",
    "multitask": "analysis.multitask.exhibits:EXHIBITS",
    "unlearning": "analysis.unlearning.exhibits:EXHIBITS",
    "lora": "analysis.lora.exhibits:EXHIBITS",
    "personalized": "analysis.personalized.exhibits:EXHIBITS",
}


class Series(Protocol):
    """Draw figures of one run."""

    TITLE: str

    def drawings(self, run: Run, /) -> list[Outcome]:
        """Return the figures, or why there are none."""
        ...


class Exhibits(Protocol):
    """Be what the runs of one workload show."""

    figures: Sequence[Series]
    """Modules that draw one series each, in the order of the page."""

    def tables(self, runs: Sequence[Run]) -> Sequence[Table | None]:
        """Return the tables in the order a reader wants them; None for one without a value."""
        ...

    def remarks(self, run: Run) -> Sequence[str]:
        """Return sentences that stand beside the verdict of a run."""
        ...


@runtime_checkable
class Legendary(Protocol):
    """Be exhibits that say what their names stand for."""

    def legend(self, runs: Sequence[Run]) -> Sequence[str]:
        """Return sentences."""
        ...


def tables_of_any_run(runs: Sequence[Run]) -> list[Table | None]:
    """Return what stands behind the tables of a workload: costs, devices, pairs, settings."""
    return [
        *phase_tables(runs),
        component_table(runs),
        witness_table(runs),
        fleet_table(runs),
        setup_table(runs),
        pair_table(runs),
        variant_table(runs),
        settings_table(runs),
        cost_table(runs),
    ]


class CommonExhibits:
    """Show what all runs have."""

    figures: Sequence[Series] = (
        pareto, loss_over_cost, loss_curves, breakdown, components, power, stability, fleet,
    )  # fmt: skip

    def tables(self, runs: Sequence[Run]) -> Sequence[Table | None]:
        """Return the main table, what the run cost and on what, pairs and settings."""
        return [
            main_table(runs),
            groups_table(runs),
            *tables_of_any_run(runs),
        ]

    def remarks(self, run: Run) -> Sequence[str]:  # noqa: ARG002 - others have something to say
        """Return nothing."""
        return ()


def find_exhibits(workload: str) -> Exhibits:
    """Return what the runs of a workload show, and behind it the figures from outside."""
    own, added = _of_workload(workload), _figures_outside()
    return _Added(own, added) if added else own


def _of_workload(workload: str) -> Exhibits:
    place = OWN.get(workload) or _installed().get(workload)
    if place is None:
        return CommonExhibits()
    module, _, attribute = place.partition(":")
    exhibits: Exhibits = getattr(import_module(module), attribute)
    return exhibits


class _Added:
    """Show what a workload shows, and behind it the figures from outside."""

    def __init__(self, own: Exhibits, added: Sequence[Series]) -> None:
        self._own = own
        self.figures: Sequence[Series] = (*own.figures, *added)

    def tables(self, runs: Sequence[Run]) -> Sequence[Table | None]:
        """Return the workload's own tables."""
        return self._own.tables(runs)

    def remarks(self, run: Run) -> Sequence[str]:
        """Return the workload's own sentences."""
        return self._own.remarks(run)

    def legend(self, runs: Sequence[Run]) -> Sequence[str]:
        """Return what the workload's own names stand for."""
        return self._own.legend(runs) if isinstance(self._own, Legendary) else ()


class _Guarded:
    """Let a figure from outside cost itself alone, whatever it does."""

    def __init__(self, series: Series) -> None:
        self._series = series
        self.TITLE = series.TITLE

    def drawings(self, run: Run, /) -> list[Outcome]:
        """Return its figures; those it cannot make with the reason."""
        from analysis.core.figures.drawing import NotDrawn  # noqa: PLC0415 - imports matplotlib

        try:
            return list(self._series.drawings(run))
        except Exception as error:
            return [NotDrawn(self.TITLE, extensions.fault(error))]


def _figures_outside() -> list[Series]:
    found = extensions.sound("figures", _faults)
    return [_Guarded(cast("Series", thing)) for thing, _ in found.values()]


def _faults(thing: object, _: extensions.Offered) -> list[str]:
    """Return everything that is wrong with a figure from outside."""
    faults = [] if isinstance(getattr(thing, "TITLE", None), str) else ["it lacks a TITLE"]
    if not callable(getattr(thing, "drawings", None)):
        faults.append("it lacks drawings(run)")
    return faults


def _installed() -> Mapping[str, str]:
    from importlib import metadata  # noqa: PLC0415 - takes longer than all the rest

    return {entry.name: entry.value for entry in metadata.entry_points(group=GROUP)}
