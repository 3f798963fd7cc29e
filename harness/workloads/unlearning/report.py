"""Say what a cell came to: a row per request, a standing per scenario, and the models left."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import safetensors.torch

from harness.records.cells import CellReport, CellResult
from harness.run_folder.results import csv_text
from harness.workloads.unlearning.choice import KINDS, Request, Scenario
from harness.workloads.unlearning.costs import (
    Charge,
    Stretch,
    charge,
    in_window,
    of_setup,
    stretches,
)
from harness.workloads.unlearning.judging.ranking import CUT
from harness.workloads.unlearning.judging.rules import forgotten, nearest_rank
from harness.workloads.unlearning.methods.base import Judged
from harness.workloads.unlearning.schedule import Answer, Served
from harness.workloads.unlearning.tables import REQUESTS, REQUESTS_FILE

if TYPE_CHECKING:
    from harness.workloads.unlearning.methods.registry import UnlearningMethod
    from harness.workloads.unlearning.study import UnlearningStudy

Row = dict[str, Any]

NDCG = f"ndcg_{CUT}"
WHOLE = ("stored_bytes", "orphan_items", "users_without_test")


def cell_report(study: UnlearningStudy, result: CellResult) -> CellReport:
    """Return columns, rows of requests, standing and weights of a cell that is done."""
    if result.status != "done":
        return CellReport()
    served: Served = result.served
    names = study.interactions(result.cell.seed).names
    found = stretches(result)
    rows = [request_row(found, answer, names, study.window_s) for answer in served.answers]
    rows = [{"cell": result.cell.name, **row} for row in rows]
    setup = setup_costs(charge(found, of_setup))
    standings = [
        {**setup, **_standing(result, scenario, rows, study)} for scenario in served.scenarios
    ]
    cell = result.cell.name
    return CellReport(
        standings[0][NDCG],
        {"rounds": len(rows), "clients": 1, "clients_per_round": 1,
         "batch_size": study.config.batch_size},
        units={"stored_bytes": "B"},
        texts={REQUESTS_FILE.replace("<cell>", cell): csv_text(REQUESTS, rows)},
        binaries=_weights(cell, served),
        standing={"rows": standings},
        summary=summary_words(standings),
    )  # fmt: skip


def request_row(
    found: Sequence[Stretch], answer: Answer, names: Sequence[str], needed_s: float
) -> Row:
    """Return the row of a request; `needed_s` is the shortest window that a meter can judge."""
    request, outcome = answer.request, answer.outcome
    row = asked_row(request, names)
    if outcome is None:
        return row | {"status": "refused", "reason": request.refusal}
    window = charge(found, in_window(request.job))
    return row | {
        "shards_touched": answer.shards_touched,
        **window_costs(window, outcome.copies, needed_s),
        "begun_before": outcome.begun_before,
        NDCG: outcome.judged[request.scenario].get(NDCG),
    }  # fmt: skip


def asked_row(request: Request, names: Sequence[str]) -> Row:
    """Return what is known of a request before it is answered."""
    return {
        "scenario": request.scenario, "request": request.number + 1,
        "users": " ".join(names[user] for user in request.users),
        "user_count": len(request.users),
    }  # fmt: skip


def window_costs(window: Charge, copies: int, needed_s: float) -> Row:
    """Return what a request took that was answered once and `copies` times more in its window.

    Seconds, measured and modelled joules are all of that window, so that they are of one work.
    """
    times = 1 + copies
    alone = window.energy_j is not None and window.time_s >= needed_s
    too_short = f"its window of {window.time_s:.3g} s is shorter than {needed_s:g} s"
    return {
        "status": "done",
        "time_s": window.time_s / times,
        "energy_j": _share(window.energy_j, times) if alone else None,
        "energy_error_j": _share(window.energy_error_j, times) if alone else None,
        "energy_reason": "" if alone else window.reason or too_short,
        "energy_model_j": window.energy_model_j / times,
        "window_s": window.time_s, "window_energy_j": window.energy_j,
        "window_energy_error_j": window.energy_error_j, "repeats": copies,
    }  # fmt: skip


def _share(joules: float | None, times: int) -> float | None:
    return None if joules is None else joules / times


def setup_costs(found: Charge) -> Row:
    """Return what being ready took."""
    return {
        "setup_time_s": found.time_s, "setup_energy_j": found.energy_j,
        "setup_energy_error_j": found.energy_error_j, "setup_energy_model_j": found.energy_model_j,
    }  # fmt: skip


def _standing(
    result: CellResult, scenario: Scenario, rows: Sequence[Row], study: UnlearningStudy
) -> Row:
    """Return what a scenario came to, but for what other cells decide."""
    served: Served = result.served
    own = [row for row in rows if row["scenario"] == scenario.name]
    spec: UnlearningMethod = result.cell.spec  # type: ignore[assignment]
    last = [a for a in served.answers if a.request.scenario == scenario.name and a.outcome][-1]
    assert last.outcome is not None  # as it was chosen so
    return standing_row(
        study, spec, scenario, own, served.prepared.judged, last.outcome.judged[scenario.name]
    )


def standing_row(
    study: UnlearningStudy,
    spec: UnlearningMethod,
    scenario: Scenario,
    own: Sequence[Row],
    before: Judged,
    judged: Mapping[str, float],
) -> Row:
    """Return the standing of a scenario from its requests and what was judged at the end."""
    done = [row for row in own if row["status"] == "done"]
    who = study.config.who
    return {
        "scenario": scenario.name,
        "who": who if who in KINDS else "file",
        "guarantee": spec.known.guarantee,
        "completeness": completeness(spec.known.guarantee, judged),
        "requests": len(done), "refused": len(own) - len(done),
        "users_forgotten": len(scenario.users),
        "batch_size": len(scenario.users) / len(done),
        "shards_touched": math.fsum(row["shards_touched"] for row in done) / len(done),
        **request_costs(done, study.window_s),
        f"{NDCG}_before": before[""].get(NDCG),
        **{k: v for k, v in before[scenario.name].items() if k.endswith("_before")},
        **{k: int(v) if k in WHOLE else v for k, v in judged.items()},
    }  # fmt: skip


def completeness(guarantee: str, judged: Mapping[str, float]) -> str:
    """Return in words what may be said of how completely users were forgotten."""
    user = judged.get("mia_user_low"), judged.get("mia_user_high")
    item = judged.get("mia_item_low"), judged.get("mia_item_high")
    return forgotten(guarantee, user, item)


def request_costs(done: Sequence[Mapping[str, Any]], needed_s: float) -> Row:
    """Return mean and percentile of the requests' seconds and joules.

    The mean is measured if all windows together are long enough; the percentile needs each alone.
    """
    times = [float(row["time_s"]) for row in done]
    windows = [row["window_energy_j"] for row in done]
    whole = None not in windows and math.fsum(row["window_s"] for row in done) >= needed_s * (
        1.0 - 1e-9
    )
    shares = [(row, 1 + row["repeats"]) for row in done]
    alone = [row["energy_j"] for row in done]
    reasons = dict.fromkeys(str(row["energy_reason"]) for row in done if row["energy_reason"])
    count = len(done)
    return {
        "request_time_s": math.fsum(times) / count,
        "request_time_p95_s": nearest_rank(times, 95.0),
        "longest_wait_s": math.fsum(times),
        "request_energy_j": math.fsum(row["window_energy_j"] / n for row, n in shares) / count
        if whole else None,
        "request_energy_error_j":
            math.fsum((row["window_energy_error_j"] or 0.0) / n for row, n in shares) / count
        if whole else None,
        "request_energy_p95_j": None if None in alone else nearest_rank(alone, 95.0),
        "request_energy_reason": "" if whole else "; ".join(reasons),
        "request_energy_model_j": math.fsum(row["energy_model_j"] for row in done) / count,
    }  # fmt: skip


def _weights(cell: str, served: Served) -> dict[str, bytes]:
    """Return the models that answer after each scenario, as safetensors by path."""
    last = {a.request.scenario: a.outcome for a in served.answers if a.outcome is not None}
    return {
        f"checkpoints/{cell}/{name}.safetensors": safetensors.torch.save(
            {k: v.contiguous() for k, v in outcome.state.items()}
        )
        for name, outcome in last.items()
    }


def summary_words(standings: Sequence[Row]) -> str:
    """Return what a cell came to in a few words for the screen."""
    return "; ".join(
        f"{row['scenario']}: NDCG {row[NDCG]:.3f}, {row['request_time_s']:.3g} s a request"
        for row in standings
    )
