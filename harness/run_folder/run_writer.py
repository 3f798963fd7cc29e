"""Write what comes of a run's cells: their own files first, the row of cells.csv last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import safetensors.torch

from harness.core.schema import CELLS, CONDITIONS, DEVICES, METRICS, PHASE_ROWS, REFERENCE, TRACE
from harness.measurement.idle import IdlePower, net_energy
from harness.measurement.instruments import trace_rows
from harness.measurement.session_costs import SessionCost
from harness.run_folder.recovery import CellPast, lost_rows
from harness.run_folder.results import RunFolder, csv_text
from harness.run_folder.rows import (
    Standing,
    affinity_files,
    cell_row,
    condition_rows,
    gains,
    metric_rows,
    phase_rows,
    standing,
)
from harness.run_folder.sessions import RunSession, now_s
from harness.running.cell import Cell, CellResult, RunContext

Row = dict[str, object]


@dataclass(frozen=True)
class _Cost:
    """Hold what the net energy of a cell is computed from, as idle power may be known later."""

    energy_j: float | None
    energy_error_j: float | None
    times_s: Mapping[int, float]


class RunWriter:
    """Own the tables of one run while it goes on."""

    def __init__(
        self,
        folder: RunFolder,
        run_id: str,
        context: RunContext,
        session: RunSession,
        cells: Sequence[Cell],
    ) -> None:
        """Begin with no rows; `cells` are all of the run, in the order of its tables."""
        self.folder = folder
        self._run_id = run_id
        self._context = context
        self._session = session
        self._cells = {cell.name: cell for cell in cells}
        self._rows: dict[str, Row] = {}
        self._standings: dict[str, Standing] = {}
        self._costs: dict[str, _Cost] = {}
        self._segments = 0

    @property
    def rows(self) -> list[Row]:
        """Return the rows of cells.csv: seed by seed, the reference first, methods as typed."""
        return [self._rows[name] for name in self._cells if name in self._rows]

    def take_up(self, rows: Sequence[Row], events: Sequence[Mapping[str, Any]]) -> None:
        """Take over the cells that earlier sessions finished, and write cells.csv with them."""
        self._rows = {str(row["cell"]): row for row in rows}
        for event in events:
            if event["event"] == "cell done" and event.get("cell") in self._rows:
                own = event.get("standing", {})
                self._standings[event["cell"]] = Standing(
                    own.get("losses", {}), own.get("measures", {})
                )
        self._write_cells()

    def event(self, what: str, **values: object) -> None:
        """Append to the event log."""
        t_s = round(now_s() - self._session.zero_s, 3)
        self.folder.event(t_s=t_s, session=self._session.number, event=what, **values)

    def cell(self, result: CellResult, past: CellPast, idle: Mapping[int, IdlePower]) -> None:
        """Write all of a cell; a row in cells.csv means that everything is there."""
        name = result.cell.name
        self._write_weights(result)
        self._write_trace(result)
        conditions = condition_rows(result.looks)
        if conditions:
            self.folder.text(f"conditions/{name}.csv", csv_text(CONDITIONS, conditions))
        parameters = result.cell.spec.parameters(self._context.config.setting)
        counted = parameters.get("affinity_rounds")
        for file, text in affinity_files(result, None if counted is None else int(counted)).items():
            self.folder.text(f"affinity/{file}", text)
        self.run_phases()
        phases = [
            row
            for part in result.session_costs
            for row in phase_rows(self._run_id, part.figures, part.zero_s)
        ]
        phases += self._devices(result)
        phases += lost_rows(self._run_id, name, past.lost)
        self.folder.append("phases", PHASE_ROWS, phases)
        rows = metric_rows(self._run_id, result, self._context.constants)
        self.folder.append("metrics", METRICS, rows)
        own = standing(result) if result.status == "done" else Standing()
        self.event(
            "cell done", cell=name, status=result.status, reason=result.reason,
            marked_to_s=_marked_to_s(result), standing=asdict(own),
        )  # fmt: skip
        self._standings[name] = own
        self._costs[name] = _cost(result)
        self._rows[name] = cell_row(self._context, self._run_id, result) | {
            "flags": "+".join(result.flags), "interruptions": past.interruptions,
        }  # fmt: skip
        if result.remote is not None:
            self._rows[name] |= result.remote.columns
        self.settle(idle)

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
            if cell.spec.name == REFERENCE and name in self._standings
        }
        for name, row in list(self._rows.items()):
            cell = self._cells[name]
            reference = references.get((cell.seed, cell.repeat))
            if row["status"] == "done" and reference is not None and name in self._standings:
                self._rows[name] = row | gains(self._standings[name], reference)
        self.folder.text("cells.csv", csv_text(CELLS, self.rows))

    def _write_trace(self, result: CellResult) -> None:
        samples = [row for part in result.session_costs for row in _trace(part)]
        if result.remote is not None:
            samples = [dict(row) for row in result.remote.trace]
        if samples:
            file = f"traces/{result.cell.name}.csv.gz"
            self.folder.compressed(file, csv_text(TRACE, samples))

    def _write_weights(self, result: CellResult) -> None:
        for outcome in result.outcomes:
            tensors = {k: v.contiguous() for k, v in outcome.weights.tensors.items()}
            file = f"checkpoints/{result.cell.name}/{outcome.job.name}.safetensors"
            self.folder.binary(file, safetensors.torch.save(tensors))

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
        context = self._context
        fresh = [s for s in context.log.segments[self._segments :] if not s.label.cell]
        self._segments = len(context.log.segments)
        if fresh:
            streams = context.instruments.streams(fresh[-1].end_s)
            figures = [context.accountant.figures(segment, streams) for segment in fresh]
            rows = phase_rows(self._run_id, figures, context.zero_s)
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
