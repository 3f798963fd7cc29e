"""Write what comes of a run's cells: their own files first, the row of cells.csv last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.schema import (
    CELLS,
    COMPONENTS,
    CONDITIONS,
    DEVICES,
    METRICS,
    PHASE_ROWS,
    TRACE,
    WORK,
)
from harness.measurement.idle import IdlePower, net_energy
from harness.measurement.traces import trace_rows
from harness.records.cells import Cell, CellReport, CellResult
from harness.records.cost import SegmentCost, SessionCost
from harness.run_folder.recovery import CellPast, lost_rows
from harness.run_folder.results import RunFolder, csv_text
from harness.run_folder.rows import (
    RunFacts,
    cell_row,
    component_rows,
    condition_rows,
    metric_rows,
    phase_rows,
    work_rows,
)
from harness.run_folder.sessions import RunSession, now_s
from harness.workloads.base import Comparing, Study

Row = dict[str, object]


@dataclass(frozen=True)
class _Cost:
    """Hold what the net energy of a cell is computed from, as idle power may be known later."""

    energy_j: float | None
    energy_error_j: float | None
    times_s: Mapping[int, float]


@dataclass(frozen=True)
class Writing:
    """Hold what a writer is told of its run.

    Attributes:
        facts: what every row says.
        study: what compares cells.
        reference: name of the method that others are compared with.
        between: costs what was measured between cells since it was asked last.
    """

    facts: RunFacts
    study: Study
    reference: str
    between: Callable[[], Sequence[SegmentCost]]


class RunWriter:
    """Own the tables of one run while it goes on."""

    def __init__(
        self,
        folder: RunFolder,
        writing: Writing,
        session: RunSession,
        cells: Sequence[Cell],
    ) -> None:
        """Begin with no rows; `cells` are all of the run, in the order of its tables."""
        self.folder = folder
        self._writing = writing
        self._run_id = writing.facts.run_id
        self._session = session
        self._cells = {cell.name: cell for cell in cells}
        self._rows: dict[str, Row] = {}
        self._standings: dict[str, Mapping[str, Any]] = {}
        self._costs: dict[str, _Cost] = {}

    @property
    def rows(self) -> list[Row]:
        """Return the rows of cells.csv: seed by seed, the reference first, methods as typed."""
        return [self._rows[name] for name in self._cells if name in self._rows]

    def take_up(self, rows: Sequence[Row], events: Sequence[Mapping[str, Any]]) -> None:
        """Take over the cells that earlier sessions finished, and write cells.csv with them."""
        self._rows = {str(row["cell"]): row for row in rows}
        for event in events:
            if event["event"] == "cell done" and event.get("cell") in self._rows:
                self._standings[event["cell"]] = event.get("standing", {})
        self._write_cells()

    def event(self, what: str, **values: object) -> None:
        """Append to the event log."""
        t_s = round(now_s() - self._session.zero_s, 3)
        self.folder.event(t_s=t_s, session=self._session.number, event=what, **values)

    def cell(
        self,
        result: CellResult,
        report: CellReport,
        past: CellPast,
        idle: Mapping[int, IdlePower],
    ) -> None:
        """Write all of a cell; a row in cells.csv means that everything is there."""
        name, writing = result.cell.name, self._writing
        for path, content in report.binaries.items():
            self.folder.binary(path, content)
        self._write_trace(result)
        conditions = condition_rows(result.conditions)
        if conditions:
            self.folder.text(f"conditions/{name}.csv", csv_text(CONDITIONS, conditions))
        for path, text in report.texts.items():
            self.folder.text(path, text)
        self.run_phases()
        self._write_phases(result, past)
        self.folder.append("work", WORK, work_rows(self._run_id, result))
        self.folder.append("metrics", METRICS, metric_rows(self._run_id, result, report))
        self._write_components(result)
        self.event(
            "cell done", cell=name, status=result.status, reason=result.reason,
            marked_to_s=_marked_to_s(result), standing=report.standing,
        )  # fmt: skip
        self._standings[name] = report.standing
        self._costs[name] = _cost(result)
        self._rows[name] = cell_row(writing.facts, result, report) | {
            "flags": "+".join(result.flags), "interruptions": past.interruptions,
        }  # fmt: skip
        if result.remote is not None:
            self._rows[name] |= result.remote.columns
        self.settle(idle)

    def _write_phases(self, result: CellResult, past: CellPast) -> None:
        phases = [
            row
            for part in result.session_costs
            for row in phase_rows(self._run_id, part.figures, part.zero_s)
        ]
        phases += self._devices(result)
        phases += lost_rows(self._run_id, result.cell.name, past.lost)
        self.folder.append("phases", PHASE_ROWS, phases)

    def settle(self, idle: Mapping[int, IdlePower]) -> None:
        """Fill in what depends on other cells and on idle power, and write cells.csv anew."""
        for name, cost in self._costs.items():
            if self._rows[name]["status"] == "done":
                net, error = net_energy(cost.energy_j, cost.energy_error_j, cost.times_s, idle)
                self._rows[name] |= {"energy_net_j": net, "energy_net_error_j": error}
        self._write_cells()

    def _write_cells(self) -> None:
        """Write cells.csv as a whole: Δ may come with a reference that ran later."""
        references = {
            (cell.seed, cell.repeat): self._standings[name]
            for name, cell in self._cells.items()
            if cell.spec.name == self._writing.reference and name in self._standings
        }
        for name, row in list(self._rows.items()):
            cell = self._cells[name]
            reference = references.get((cell.seed, cell.repeat))
            if row["status"] == "done" and reference is not None and name in self._standings:
                gains = self._writing.study.gains(self._standings[name], reference)
                self._rows[name] = {**row, **gains}
        self._write_comparisons()
        self.folder.text("cells.csv", csv_text(CELLS, self.rows))

    def _write_comparisons(self) -> None:
        """Write the workload's files about several cells; the rows of the cells come after them."""
        study = self._writing.study
        if isinstance(study, Comparing):
            found = [
                (cell, self._standings[name])
                for name, cell in self._cells.items()
                if name in self._standings and self._rows[name]["status"] == "done"
            ]
            for path, text in study.comparisons(found).items() if found else ():
                self.folder.text(path, text)

    def _write_trace(self, result: CellResult) -> None:
        samples = [row for part in result.session_costs for row in _trace(part)]
        if result.remote is not None:
            samples = [dict(row) for row in result.remote.trace]
        if samples:
            file = f"traces/{result.cell.name}.csv.gz"
            self.folder.compressed(file, csv_text(TRACE, samples))

    def _write_components(self, result: CellResult) -> None:
        meter = self._writing.facts.meter()
        if meter is None or result.remote is not None:
            return
        rows = component_rows(self._run_id, result, str(meter["name"]).partition(":")[0])
        if not rows:
            return
        if not (self.folder.path / "components.csv").exists():
            self.folder.text("components.csv", csv_text(COMPONENTS, []))
        self.folder.append("components", COMPONENTS, rows)

    def _devices(self, result: CellResult) -> list[Row]:
        """Write what devices reported of a cell; return its rows of phases.csv."""
        remote = result.remote
        if remote is None:
            return []
        if not (self.folder.path / "devices.csv").exists():
            self.folder.text("devices.csv", csv_text(DEVICES, []))
        rows = [{"run_id": self._run_id, **row} for row in remote.rows]
        self.folder.append("devices", DEVICES, rows)
        return phase_rows(self._run_id, remote.figures, 0.0)

    def run_phases(self) -> None:
        """Write phases that belong to no cell and are not written yet."""
        fresh = self._writing.between()
        if fresh:
            rows = phase_rows(self._run_id, fresh, self._session.zero_s)
            self.folder.append("phases", PHASE_ROWS, rows)


def _trace(part: SessionCost) -> list[Row]:
    if part.streams is None or not part.figures:
        return []
    start_s, end_s = part.figures[0].segment.start_s, part.figures[-1].segment.end_s
    return trace_rows(part.streams, start_s, end_s, part.zero_s)


def _marked_to_s(result: CellResult) -> float | None:
    """Return the run's time up to which marks of the cell are known; None if there are none."""
    if not result.session_costs:
        return None
    last = result.session_costs[-1]
    return last.figures[-1].segment.end_s - last.zero_s


def _cost(result: CellResult) -> _Cost:
    times: dict[int, float] = {}
    for part in result.session_costs:
        times[part.session] = times.get(part.session, 0.0) + part.cost("").time_s
    return _Cost(result.cost.energy_j, result.cost.energy_error_j, times)
