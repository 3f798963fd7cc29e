"""Turn what came of cells into rows of the result files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.config import RunConfig
from harness.core.schema import AFFINITY_CLIENTS, AFFINITY_ROUNDS, SHARED, TASK_MEASURES, UNSEEN
from harness.federated.work import ENCODER, Work
from harness.measurement.conditions import ConditionSample
from harness.measurement.cost import SegmentCost
from harness.run_folder.results import csv_text
from harness.running.cell import CellResult, RunContext
from harness.running.recorder import Value
from harness.running.sharing import shared_jobs
from models.multitask.measures import BY_NAME


def cell_row(context: RunContext, run_id: str, result: CellResult) -> dict[str, object]:
    """Return the cell's row of cells.csv, but for what other cells and idle power decide."""
    config, cost, done = context.config, result.cost, result.status == "done"
    meter = context.instruments.describe()
    sent, received = _traffic(config, result)
    unseen = result.unseen_losses
    row: dict[str, object] = {
        "run_id": run_id, "cell": result.cell.name, "device": context.target.profile.name,
        "host_matches_device": context.target.matches, "method": result.cell.spec.text,
        "tasks": config.tasks, "seed": result.cell.seed, "repeat": result.cell.repeat,
        "rounds": config.rounds, "clients": config.clients,
        "clients_per_round": config.clients_per_round,
        "status": result.status, "reason": result.reason,
        "energy_reason": cost.energy_reason,
    }  # fmt: skip
    if not done:  # what a broken-off cell cost says nothing about the method
        return row
    return row | {
        "groups": "|".join(result.groups),
        "total_loss": math.fsum(result.losses.values()),
        "unseen_total_loss": math.fsum(unseen.values()) if unseen else None,
        "time_s": cost.time_s, "time_model_s": cost.time_model_s,
        "energy_j": cost.energy_j, "energy_error_j": cost.energy_error_j,
        "energy_model_j": cost.energy_model_j,
        "energy_meter": meter["name"] if meter else None,
        "energy_scope": meter["scope"] if meter else None,
        "energy_kind": meter["kind"] if meter else None,
        "peak_memory_bytes": result.peak_memory_bytes,
        "upload_bytes": sent, "download_bytes": received,
        "encoder_passes": cost.work.encoder_passes, "decoder_passes": cost.work.decoder_passes,
        **_looks(result),
        "time_predicted_s": context.timing.calibration.time_s(cost.work),
        "batch_size": context.config.batch_size, "step": context.step.execution.text,
        "shared_jobs": shared_jobs(result.session_costs),
    }  # fmt: skip


def _looks(result: CellResult) -> dict[str, float]:
    """Return what look-aheads cost beside the training steps, in forward passes."""
    figures = [figure for part in result.session_costs for figure in part.figures]
    figures += result.remote.figures if result.remote else ()
    segments = (figure.segment for figure in figures)
    looks = sum((s.work for s in segments if s.label.phase == "affinity"), Work()).forwards
    return {
        "look_ahead_encoder_forwards": looks.get(ENCODER, 0.0),
        "look_ahead_decoder_forwards": math.fsum(n for p, n in looks.items() if p != ENCODER),
    }


def _traffic(config: RunConfig, result: CellResult) -> tuple[int, int]:
    """Return bytes up and down: every chosen client gets the model and sends it back each round."""
    shares = sum(
        o.job.rounds * o.job.per_round(config.clients_per_round) * o.weights.bytes
        for o in result.trained
        if o.job.travels
    )
    return shares, shares


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


def metric_rows(
    run_id: str, result: CellResult, constants: Mapping[str, Mapping[str, float]]
) -> list[dict[str, object]]:
    """Return rows of metrics.csv, first the losses of constant predictors by name and task."""
    values = [
        Value(0, "", task, "evaluate", name, loss)
        for name, losses in constants.items()
        for task, loss in losses.items()
    ]
    values += [*result.recorder.values, *_means_of_groups(result), *_serving(result)]
    return [
        {
            "run_id": run_id, "cell": result.cell.name, "round": v.rounds_done, "job": v.job,
            "task": v.task, "phase": v.phase, "metric": v.metric, "value": v.value,
            "unit": _unit(v.metric),
        }
        for v in values
    ]  # fmt: skip


def _unit(metric: str) -> str:
    measure = BY_NAME.get(metric.removeprefix(UNSEEN))
    return measure.unit if measure else ""


def _serving(result: CellResult) -> list[Value]:
    """Return one value per task and model that serves it, so that overlapping groups are clear."""
    return [
        Value(served.outcome.job.last_round, served.outcome.job.name, task, "evaluate", "serves", 1)
        for served in result.served
        for task in served.tasks
    ]


def _means_of_groups(result: CellResult) -> list[Value]:
    """Return losses and measures averaged over the models of a group, where there are several."""
    jobs = [served.outcome.job for served in result.served]
    groups = {job.tasks for job in jobs if job.name != job.tasks}
    measured = task_measures(result)
    found = []
    for group in sorted(groups):
        for task in group:
            means = {"test_loss": result.losses[task], **measured.get(task, {})}
            if task in result.unseen_losses:
                means["test_unseen_loss"] = result.unseen_losses[task]
            found += [
                Value(jobs[0].last_round, group, task, "evaluate", name, mean)
                for name, mean in means.items()
            ]
    return found


def task_measures(result: CellResult) -> dict[str, dict[str, float]]:
    """Return every task's last measures by name, averaged over the models that serve it."""
    last = {(served.outcome.job.name, served.outcome.job.last_round): served.tasks
            for served in result.served}  # fmt: skip
    found: dict[str, dict[str, list[float]]] = {}
    for v in result.recorder.values:
        serves = v.task and v.task in last.get((v.job, v.rounds_done), "")
        if serves and v.metric.removeprefix(UNSEEN) in BY_NAME:
            found.setdefault(v.task, {}).setdefault(v.metric, []).append(v.value)
    return {
        task: {name: math.fsum(those) / len(those) for name, those in values.items()}
        for task, values in found.items()
    }


def affinity_files(result: CellResult, counted: int | None = None) -> dict[str, str]:
    """Return the files of the measured affinity: the mean, every round's and every client's.

    The mean is that of the first `counted` rounds (all with None), which the method decides by.
    The matrix has recipients in rows and the task letters as header and first column.
    """
    measured = next((o.affinity for o in result.trained if o.affinity is not None), None)
    if measured is None:
        return {}
    name, tasks = result.cell.name, measured.tasks
    lines = ["# mean look-ahead affinity Z[i→j]: recipient j in the row, source i in the column"]
    lines.append(",".join(["task", *tasks]))
    for task, row in zip(tasks, measured.first(counted).mean, strict=True):
        lines.append(",".join([task, *(repr(float(value)) for value in row)]))
    entries = [
        {
            "round": r.round, "recipient": recipient, "source": source,
            "mean": float(r.mean[j, i]), "std": float(r.std[j, i]), "count": r.count,
        }
        for r in measured.rounds
        for j, recipient in enumerate(tasks)
        for i, source in enumerate(tasks)
    ]  # fmt: skip
    of_clients = [
        {
            "round": r.round, "client": c.client, "recipient": recipient, "source": source,
            "mean": float(c.mean[j, i]), "count": c.count,
        }
        for r in measured.rounds
        for c in r.clients
        for j, recipient in enumerate(tasks)
        for i, source in enumerate(tasks)
    ]  # fmt: skip
    return {
        f"{name}.csv": "\n".join(lines) + "\n",
        f"{name}_rounds.csv": csv_text(AFFINITY_ROUNDS, entries),
        f"{name}_clients.csv": csv_text(AFFINITY_CLIENTS, of_clients),
    }


def condition_rows(looks: Sequence[ConditionSample]) -> list[dict[str, object]]:
    """Return a row per look at the board; none if no look showed anything."""
    if not any(look.flags or look.temperature_c is not None for look in looks):
        return []
    return [
        {"t_s": x.t_s, "temperature_c": x.temperature_c, "flags": "+".join(x.flags)} for x in looks
    ]


@dataclass(frozen=True)
class Standing:
    """Hold what two methods are compared by: every task's last test loss and measures."""

    losses: Mapping[str, float] = field(default_factory=dict)
    measures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def standing(result: CellResult) -> Standing:
    """Return where a cell stands; empty if it is not done."""
    return Standing(result.losses, task_measures(result))


def gains(own: Standing, reference: Standing) -> dict[str, float | None]:
    """Return the columns of cells.csv that compare a cell with the reference of its seed."""
    return {
        "delta_mtl": delta_mtl(own.losses, reference.losses),
        "delta_metric": delta_metric(own.measures, reference.measures),
    }


def delta_mtl(losses: Mapping[str, float], reference: Mapping[str, float]) -> float | None:
    """Return Δ_MTL in percent: the mean relative loss reduction over tasks, positive is better."""
    if not losses or losses.keys() != reference.keys():
        return None
    changes = [(reference[task] - loss) / reference[task] for task, loss in losses.items()]
    return 100.0 * math.fsum(changes) / len(changes)


def delta_metric(
    measures: Mapping[str, Mapping[str, float]], reference: Mapping[str, Mapping[str, float]]
) -> float | None:
    """Return Δ of the measures in percent, positive is better.

    As LibMTL (Lin and Zhang, JMLR 2023): the relative gains of a task's measures, each signed by
    its better direction, are averaged first, then the tasks. Measures on unseen buildings are not
    in it. None if the reference lacks a measure or one of its measures is 0.
    """
    if not measures or measures.keys() != reference.keys():
        return None
    tasks: list[float] = []
    for task, values in measures.items():
        those = [m for m in TASK_MEASURES[task] if m.name in values]
        if not those or not all(reference[task].get(m.name) for m in those):
            return None
        relative = [
            (values[m.name] / reference[task][m.name] - 1.0) * (1 if m.better == "higher" else -1)
            for m in those
        ]
        tasks.append(math.fsum(relative) / len(relative))
    return 100.0 * math.fsum(tasks) / len(tasks)
