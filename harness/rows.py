"""Turn what came of cells into rows of the result files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from harness.accounting import Figures
from harness.cell import Bench, CellResult
from harness.config import RunConfig
from harness.results import csv_text
from harness.schema import AFFINITY_ROUNDS


def cell_row(
    bench: Bench, run_id: str, result: CellResult, idle_w: float | None, delta: float | None
) -> dict[str, object]:
    """Return the cell's row of cells.csv."""
    config, cost, done = bench.config, result.bill, result.status == "done"
    meter = bench.instruments.describe()
    net = None if cost.energy_j is None or idle_w is None else cost.energy_j - idle_w * cost.time_s
    sent, received = _traffic(config, result)
    row: dict[str, object] = {
        "run_id": run_id, "cell": result.cell.name, "device": bench.target.profile.name,
        "host_matches_device": bench.target.matches, "method": result.cell.spec.text,
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
        "unseen_total_loss": math.fsum(result.unseen_losses.values()),
        "delta_mtl": delta,
        "time_s": cost.time_s, "time_model_s": cost.time_model_s,
        "energy_j": cost.energy_j, "energy_net_j": net, "energy_error_j": cost.energy_error_j,
        "energy_model_j": cost.energy_model_j,
        "energy_meter": meter["name"] if meter else None,
        "energy_scope": meter["scope"] if meter else None,
        "energy_kind": meter["kind"] if meter else None,
        "peak_memory_bytes": result.peak_memory_bytes,
        "upload_bytes": sent, "download_bytes": received,
        "encoder_passes": cost.work.encoder_passes, "decoder_passes": cost.work.decoder_passes,
    }  # fmt: skip


def _traffic(config: RunConfig, result: CellResult) -> tuple[int, int]:
    """Return bytes up and down: every chosen client gets the model and sends it back each round."""
    shares = sum(
        o.job.rounds * o.job.per_round(config.clients_per_round) * o.weights.bytes
        for o in result.trained
        if o.job.travels
    )
    return shares, shares


def phase_rows(run_id: str, figures: Sequence[Figures], zero_s: float) -> list[dict[str, object]]:
    """Return rows of phases.csv."""
    rows: list[dict[str, object]] = []
    for figure in figures:
        segment, label, reading = figure.segment, figure.segment.label, figure.reading
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
                "flags": "+".join(reading.flags) if reading else "",
            }
        )  # fmt: skip
    return rows


def metric_rows(
    run_id: str, result: CellResult, mean_predictor: Mapping[str, float]
) -> list[dict[str, object]]:
    """Return rows of metrics.csv, the mean predictor's losses first."""
    name = result.cell.name
    rows: list[dict[str, object]] = [
        {
            "run_id": run_id, "cell": name, "round": 0, "job": "", "task": task,
            "phase": "evaluate", "metric": "mean_predictor_loss", "value": loss, "unit": "",
        }
        for task, loss in mean_predictor.items()
    ]  # fmt: skip
    rows += [
        {
            "run_id": run_id, "cell": name, "round": v.rounds_done, "job": v.job,
            "task": v.task, "phase": v.phase, "metric": v.metric, "value": v.value, "unit": "",
        }
        for v in result.recorder.values
    ]  # fmt: skip
    return rows + _mean_rows(run_id, result) + _serving_rows(run_id, result)


def _serving_rows(run_id: str, result: CellResult) -> list[dict[str, object]]:
    """Return one row per task and model that serves it, so that overlapping groups are clear."""
    return [
        {
            "run_id": run_id, "cell": result.cell.name, "round": served.outcome.job.last_round,
            "job": served.outcome.job.name, "task": task, "phase": "evaluate",
            "metric": "serves", "value": 1, "unit": "",
        }
        for served in result.served
        for task in served.tasks
    ]  # fmt: skip


def _mean_rows(run_id: str, result: CellResult) -> list[dict[str, object]]:
    """Return the losses averaged over the models of a group, where there are several."""
    jobs = [served.outcome.job for served in result.served]
    groups = {job.tasks for job in jobs if job.name != job.tasks}
    means = {"test_loss": result.losses, "test_unseen_loss": result.unseen_losses}
    return [
        {
            "run_id": run_id, "cell": result.cell.name, "round": jobs[0].last_round, "job": group,
            "task": task, "phase": "evaluate", "metric": metric, "value": losses[task], "unit": "",
        }
        for group in sorted(groups)
        for metric, losses in means.items()
        for task in group
    ]  # fmt: skip


def affinity_files(result: CellResult) -> dict[str, str]:
    """Return the files of the measured affinity: the mean matrix and every round's entries.

    The matrix has recipients in rows and the task letters as header and first column.
    """
    measured = next((o.affinity for o in result.trained if o.affinity is not None), None)
    if measured is None:
        return {}
    name, tasks = result.cell.name, measured.tasks
    lines = ["# mean look-ahead affinity Z[i→j]: recipient j in the row, source i in the column"]
    lines.append(",".join(["task", *tasks]))
    for task, row in zip(tasks, measured.mean, strict=True):
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
    return {
        f"{name}.csv": "\n".join(lines) + "\n",
        f"{name}_rounds.csv": csv_text(AFFINITY_ROUNDS, entries),
    }


def delta_mtl(losses: Mapping[str, float], reference: Mapping[str, float]) -> float | None:
    """Return Δ_MTL in percent: the mean relative loss reduction over tasks, positive is better."""
    if not losses or losses.keys() != reference.keys():
        return None
    changes = [(reference[task] - loss) / reference[task] for task, loss in losses.items()]
    return 100.0 * math.fsum(changes) / len(changes)
