"""Turn what came of cells into rows of the result files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.schema import COST_PHASES, SHARED
from harness.measurement.meters import Joules, added, rail_joules
from harness.records.cells import CellReport, CellResult
from harness.records.conditions import ConditionSample
from harness.records.cost import SegmentCost, SessionCost, charged_stretches
from harness.records.work import Work
from harness.workloads.base import Objective


@dataclass(frozen=True)
class RunFacts:
    """Hold what every row of a run says of it; `meter` is asked anew for each row."""

    run_id: str
    device: str
    host_matches_device: bool
    workload: str
    objective: Objective
    meter: Callable[[], Mapping[str, Any] | None]


def cell_row(facts: RunFacts, result: CellResult, report: CellReport) -> dict[str, object]:
    """Return the cell's row of cells.csv, but for what other cells and idle power decide."""
    cost, meter = result.cost, facts.meter()
    row: dict[str, object] = {
        "run_id": facts.run_id, "cell": result.cell.name, "device": facts.device,
        "host_matches_device": facts.host_matches_device, "method": result.cell.spec.text,
        "seed": result.cell.seed, "repeat": result.cell.repeat,
        "status": result.status, "reason": result.reason,
        "energy_reason": cost.energy_reason, "workload": facts.workload,
        "objective": facts.objective.name, "objective_better": facts.objective.better,
        **report.columns,
    }  # fmt: skip
    if result.status != "done":  # what a broken-off cell cost says nothing about the method
        return row
    return row | {
        "objective_value": report.objective,
        "time_s": cost.time_s, "time_model_s": cost.time_model_s,
        "energy_j": cost.energy_j, "energy_error_j": cost.energy_error_j,
        "energy_model_j": cost.energy_model_j,
        "energy_meter": meter["name"] if meter else None,
        "energy_scope": meter["scope"] if meter else None,
        "energy_kind": meter["kind"] if meter else None,
        "peak_memory_bytes": result.peak_memory_bytes,
        "peak_gpu_memory_bytes": result.peak_gpu_memory_bytes,
        "energy_delay_js": None if cost.energy_j is None else cost.energy_j * cost.time_s,
        "cpu_utilisation": result.use.cpu_utilisation,
        "gpu_utilisation": result.use.gpu_utilisation,
        "network_received_bytes": result.use.received_bytes,
        "network_sent_bytes": result.use.sent_bytes,
        "shared_jobs": shared_jobs(result.session_costs),
    }  # fmt: skip


def work_rows(run_id: str, result: CellResult) -> list[dict[str, object]]:
    """Return rows of work.csv: what each job of the cell was charged for, by kind."""
    found: dict[str, Work] = {}
    for figure in result.segment_costs:
        label = figure.segment.label
        if label.phase in COST_PHASES:
            found[label.job] = found.get(label.job, Work()) + figure.segment.work
    return [
        {"run_id": run_id, "cell": result.cell.name, "job": job, "kind": kind, "amount": amount,
         "unit": unit}
        for job, work in found.items()
        for kind, amount, unit in work.amounts()
    ]  # fmt: skip


def metric_rows(run_id: str, result: CellResult, report: CellReport) -> list[dict[str, object]]:
    """Return rows of metrics.csv: what the engine reported between the workload's own values."""
    return [
        {
            "run_id": run_id, "cell": result.cell.name, "round": v.rounds_done, "job": v.job,
            "task": v.task, "phase": v.phase, "metric": v.metric, "value": v.value,
            "unit": report.units.get(v.metric, ""),
        }
        for v in (*report.before, *result.values, *report.values)
    ]  # fmt: skip


def component_rows(run_id: str, result: CellResult, meter: str) -> list[dict[str, object]]:
    """Return rows of components.csv: each rail over what the cell is charged for, and by phase.

    A meter of one rail has no rows: what it measured stands in cells.csv and phases.csv. A rail
    without figures in one session has none for the cell.
    """
    found: dict[tuple[str, str], dict[tuple[str, str, str], list[Joules]]] = {}
    for part in result.session_costs:
        if part.streams is None or len(part.streams.streams) < 2:
            return []
        for key, covered in _windows(part.figures).items():
            rails = found.setdefault(key, {})
            for rail in rail_joules(part.streams, covered, meter):
                rails.setdefault((rail.component, rail.rail, rail.role), []).append(rail.joules)
    return [
        _component_row(run_id, result.cell.name, key, (component, meter, rail, role), added(parts))
        for key, rails in found.items()
        for (component, rail, role), parts in rails.items()
    ]


def _component_row(
    run_id: str, cell: str, key: tuple[str, str], rail: tuple[str, str, str, str], joules: Joules
) -> dict[str, object]:
    return {
        "run_id": run_id, "cell": cell, "job": key[0], "phase": key[1], "component": rail[0],
        "meter": rail[1], "rail": rail[2], "role": rail[3], "energy_j": joules.energy_j,
        "energy_error_j": joules.error_j, "reason": joules.reason,
    }  # fmt: skip


def _windows(figures: Sequence[SegmentCost]) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Return the stretches of the whole, and of each job's phases that it is charged for."""
    found = {("", ""): charged_stretches(figures)}
    for figure in figures:
        segment = figure.segment
        if segment.label.phase in COST_PHASES:
            key = segment.label.job, segment.label.phase
            found.setdefault(key, []).append((segment.start_s, segment.end_s))
    return found


def shared_jobs(session_costs: Sequence[SessionCost]) -> str:
    """Return which rounds of which jobs were measured in another cell, as `sdnkt:0-3<CELL`."""
    rounds: dict[tuple[str, str], list[int]] = {}
    for part in session_costs:
        for label in (figures.segment.label for figures in part.figures):
            if label.lent_by and label.round_index is not None:
                rounds.setdefault((label.job, label.lent_by), []).append(label.round_index)
    return "+".join(
        f"{job}:{min(found)}-{max(found)}<{cell}" for (job, cell), found in rounds.items()
    )


def phase_rows(
    run_id: str, figures: Sequence[SegmentCost], zero_s: float
) -> list[dict[str, object]]:
    """Return rows of phases.csv."""
    rows: list[dict[str, object]] = []
    for figure in figures:
        segment, label, reading = figure.segment, figure.segment.label, figure.reading
        lent = [SHARED] if label.lent_by else []
        rows.append(
            {
                "run_id": run_id, "cell": label.cell, "job": label.job,
                "round": label.round_index, "client": label.client, "phase": label.phase,
                "start_s": segment.start_s - zero_s, "end_s": segment.end_s - zero_s,
                "time_s": segment.time_s, "cpu_s": segment.cpu_s,
                "time_model_s": figure.time_model_s,
                "energy_j": reading.energy_j if reading else None,
                "energy_error_j": reading.error_j if reading else None,
                "energy_model_j": figure.energy_model_j,
                "flags": "+".join([*(reading.flags if reading else ()), *lent]),
            }
        )  # fmt: skip
    return rows


def condition_rows(looks: Sequence[ConditionSample]) -> list[dict[str, object]]:
    """Return a row per look at the board; none if no look showed anything."""
    if not any(
        look.flags or look.temperature_c is not None or look.gpu_temperature_c is not None
        for look in looks
    ):
        return []
    return [
        {
            "t_s": x.t_s,
            "temperature_c": x.temperature_c,
            "flags": "+".join(x.flags),
            "gpu_temperature_c": x.gpu_temperature_c,
        }
        for x in looks
    ]
