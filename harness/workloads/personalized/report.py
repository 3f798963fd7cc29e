"""Say what a cell of personalised models came to: accuracies, clients, teachers, costs, weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import safetensors.torch

from harness.core.schema import COST_PHASES
from harness.federated.prefixed import under
from harness.records.cells import CellReport, CellResult
from harness.records.cost import SegmentCost
from harness.records.values import Value
from harness.records.work import Work
from harness.run_folder.results import csv_text
from harness.workloads.personalized.federation import bytes_of, of_client
from harness.workloads.personalized.job import ClubOutcome, TeacherRecord
from harness.workloads.personalized.methods.registry import ClubMethod
from harness.workloads.personalized.planning import PROGRAM_BYTES, client_bytes, host_seconds
from harness.workloads.personalized.tables import (
    CLIENTS,
    CLIENTS_FILE,
    COSTS,
    COSTS_FILE,
    MEASURES,
    TEACHERS,
    TEACHERS_FILE,
)

if TYPE_CHECKING:
    from harness.workloads.personalized.study import ClubStudy

Row = dict[str, object]


def cell_report(study: ClubStudy, result: CellResult) -> CellReport:
    """Return columns, values and files of a cell."""
    config = study.config
    columns: Row = {
        "rounds": config.rounds, "clients": config.clients,
        "clients_per_round": config.clients_per_round, "batch_size": config.batch_size,
    }  # fmt: skip
    units = {name: unit for name, (unit, _) in MEASURES.items()}
    if result.status != "done":
        return CellReport(columns=columns, units=units)
    outcome: ClubOutcome = result.served
    accuracies = list(outcome.accuracy.values())
    mean = math.fsum(accuracies) / len(accuracies)
    columns |= asdict(outcome.traffic)
    columns["time_predicted_s"] = host_seconds(study.timing, result.cost.work)
    name, job = result.cell.name, outcome.job.name
    values = measures(study, result, outcome)
    return CellReport(
        mean,
        columns,
        values=[
            Value(outcome.job.last_round, job, "", "evaluate", metric, value)
            for metric, value in values.items()
        ],
        units=units,
        texts={
            CLIENTS_FILE.replace("<cell>", name): csv_text(CLIENTS, client_rows(study, result)),
            TEACHERS_FILE.replace("<cell>", name): csv_text(TEACHERS, teacher_rows(outcome)),
            COSTS_FILE.replace("<cell>", name): csv_text(COSTS, cost_rows(result)),
        },
        binaries={f"checkpoints/{name}/{job}.safetensors": networks(outcome)},
        standing={"accuracy": {str(c): value for c, value in outcome.accuracy.items()}},
        summary=f"accuracy {mean:.3f}, worst {min(accuracies):.3f}",
    )


def networks(outcome: ClubOutcome) -> bytes:
    """Return every client's network as safetensors."""
    own = {n: t.contiguous() for n, t in outcome.weights.tensors.items() if ".model." in n}
    return safetensors.torch.save({n: t for n, t in own.items() if n.startswith("client.")})


def measures(study: ClubStudy, result: CellResult, outcome: ClubOutcome) -> dict[str, float]:
    """Return what a cell came to beside the objective."""
    accuracies = list(outcome.accuracy.values())
    server = [f for f in charged(result) if is_server(f)]
    found = {
        "accuracy_worst": min(accuracies),
        "accuracy_sd_clients": float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else 0.0,
        "server_time_s": math.fsum(f.segment.time_s for f in server),
        "server_energy_model_j": math.fsum(f.energy_model_j for f in server),
        "server_memory_model_bytes": float(server_bytes(outcome)),
        "clients_left_out": float(sum(len(r.left_out) for r in outcome.rounds)),
        "clients_not_counted": float(study.config.clients - len(accuracies)),
    }
    joules = joules_of(server)
    if joules is not None:
        found["server_energy_j"] = joules
    teachers = [t for r in outcome.rounds for t in r.teachers]
    return found | (_of_teachers(teachers, limit_of(result)) if teachers else {})


def limit_of(result: CellResult) -> float | None:
    """Return the limit of a teacher's growth; None if there is none."""
    assert isinstance(result.cell.spec, ClubMethod)
    limit = result.cell.spec.parameters().get("limit")
    return None if limit is None else float(limit)


def _of_teachers(teachers: Sequence[TeacherRecord], limit: float | None) -> dict[str, float]:
    ratios = [ratio for ratio in map(ratio_of, teachers) if ratio is not None]
    right = [t.teacher_accuracy for t in teachers if t.teacher_accuracy is not None]
    found = {
        "candidates_searched": float(sum(t.searched for t in teachers)),
        "candidates_tried": float(sum(t.tried for t in teachers)),
        "rounds_without_teacher": float(sum(bool(t.reason) for t in teachers)),
    }
    if ratios:
        found |= {"teacher_ratio_mean": math.fsum(ratios) / len(ratios),
                  "teacher_ratio_max": max(ratios)}  # fmt: skip
    if right:
        found["teacher_accuracy_mean"] = math.fsum(right) / len(right)
    if limit is not None:
        found["limit_violations"] = float(sum(ratio > 1.0 + limit for ratio in ratios))
    return found


def ratio_of(teacher: TeacherRecord) -> float | None:
    """Return a teacher's by its client's parameters; None without a teacher."""
    if teacher.teacher_parameters is None or not teacher.parameters:
        return None
    return teacher.teacher_parameters / teacher.parameters


def server_bytes(outcome: ClubOutcome) -> int:
    """Return what the server holds: all of the state, and two candidates of the largest size."""
    sizes = [t.teacher_parameters or 0 for r in outcome.rounds for t in r.teachers]
    return PROGRAM_BYTES + bytes_of(outcome.weights.tensors) + 2 * 4 * max(sizes, default=0)


def charged(result: CellResult) -> list[SegmentCost]:
    """Return the charged stretches of a cell."""
    return [f for f in result.segment_costs if f.segment.label.phase in COST_PHASES]


def is_server(figure: SegmentCost) -> bool:
    """Say whether a stretch is the server's: it is of no client."""
    return figure.segment.label.client is None


def joules_of(figures: Iterable[SegmentCost]) -> float | None:
    """Return measured joules; None unless all of it was measured."""
    found = [f.reading.energy_j if f.reading else None for f in figures]
    known = [joules for joules in found if joules is not None]
    return math.fsum(known) if found and len(known) == len(found) else None


def teacher_rows(outcome: ClubOutcome) -> list[Row]:
    """Return a row per round and client for whom a teacher was searched."""
    return [
        {"round": r.round, **asdict(teacher), "ratio": ratio_of(teacher)}
        for r in outcome.rounds
        for teacher in r.teachers
    ]


def cost_rows(result: CellResult) -> list[Row]:
    """Return a row per party and phase."""
    found: dict[tuple[str, str], list[SegmentCost]] = {}
    for figure in charged(result):
        party = "server" if is_server(figure) else "clients"
        found.setdefault((party, figure.segment.label.phase), []).append(figure)
    return [
        {
            "party": party, "phase": phase,
            "time_s": math.fsum(f.segment.time_s for f in figures),
            "cpu_s": math.fsum(f.segment.cpu_s for f in figures),
            "energy_j": joules_of(figures),
            "energy_model_j": math.fsum(f.energy_model_j for f in figures),
        }
        for (party, phase), figures in sorted(found.items())
    ]  # fmt: skip


def client_rows(study: ClubStudy, result: CellResult) -> list[Row]:
    """Return a row per client."""
    outcome: ClubOutcome = result.served
    by_client: dict[int, list[SegmentCost]] = {}
    for figure in charged(result):
        client = figure.segment.label.client
        if client is not None:
            by_client.setdefault(client, []).append(figure)
    remote = _devices(result)
    return [
        {**_standing(study, result.cell.seed, client, outcome),
         **_bill(study, client, by_client.get(client, [])),
         **remote.get(client, {})}
        for client in range(study.config.clients)
    ]  # fmt: skip


def _standing(study: ClubStudy, seed: int, client: int, outcome: ClubOutcome) -> Row:
    own = study.club(seed).clients[client]
    model = under(outcome.weights.tensors, f"{of_client(client)}model.")
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    sizes = [r.sent.get(client, (0, 0)) for r in outcome.rounds]
    profile = study.config.client_profiles()[client]
    family = study.config.client_families()[client]
    return {
        "client": client, "family": family, "device": profile.name if profile else "",
        "parameters": sum(t.numel() for n, t in model.items() if not n.endswith(statistics)),
        "train_images": len(own.train_labels), "test_images": len(own.test_labels),
        "rounds_trained": int(outcome.weights.tensors[f"{of_client(client)}rounds"]),
        "accuracy": outcome.accuracy.get(client),
        "start_accuracy": outcome.start_accuracy.get(client),
        "not_counted": own.why_not_counted,
        "download_bytes": sum(down for down, _ in sizes),
        "upload_bytes": sum(up for _, up in sizes),
        "memory_model_bytes": client_bytes(family, study.club(seed), study.config.batch_size),
    }  # fmt: skip


def _bill(study: ClubStudy, client: int, figures: Sequence[SegmentCost]) -> Row:
    bill = study.bill(client)
    work = sum((f.segment.work for f in figures), Work())
    seconds, joules = None, math.fsum(f.energy_model_j for f in figures)
    if bill is not None:
        seconds, joules = bill.of_work(work)
    return {
        "time_s": math.fsum(f.segment.time_s for f in figures),
        "cpu_s": math.fsum(f.segment.cpu_s for f in figures),
        "energy_j": joules_of(figures), "time_model_s": seconds, "energy_model_j": joules,
    }  # fmt: skip


def _devices(result: CellResult) -> Mapping[int, Row]:
    """Return device and peak memory by client, of a fleet."""
    found: dict[int, Row] = {}
    for row in result.remote.rows if result.remote else ():
        client = row.get("client")
        if isinstance(client, int) and row.get("phase") in COST_PHASES:
            before = found.get(client, {}).get("peak_memory_bytes")
            peaks = [p for p in (before, row.get("peak_memory_bytes")) if isinstance(p, int)]
            found[client] = {"device": row.get("device"),
                             "peak_memory_bytes": max(peaks, default=None)}  # fmt: skip
    return found
