"""Recompute what unlearning runs derive, and say what they cannot be quoted for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from harness.core.errors import DamagedRunError
from harness.core.schema import COST_PHASES
from harness.evidence.findings import Finding, named
from harness.evidence.own_files import own_rows
from harness.evidence.reading import RunFiles
from harness.evidence.stated import Claim, Contradiction, contradiction
from harness.evidence.tables import Row
from harness.workloads.unlearning.comparison import compared
from harness.workloads.unlearning.costs import IN_WINDOW
from harness.workloads.unlearning.judging.rules import forgotten
from harness.workloads.unlearning.listing import read_summary
from harness.workloads.unlearning.tables import REQUESTS_FILE

FEW_USERS = 20
"""Users below which an attack's interval is so wide that it says little."""


def findings(run: RunFiles) -> Iterator[Finding]:
    """Yield wide intervals, requests without joules, and requests that were refused."""
    rows = _summary(run)
    few = sorted({str(r["scenario"]) for r in rows if (r["users_forgotten"] or 0) < FEW_USERS})
    if few:
        text = f"{named(few)}: fewer than {FEW_USERS} users left, so attacks say little of them"
        yield Finding("note", "few-users", text)
    unmeasured = sorted({str(r["method"]) for r in rows if r["request_energy_j"] is None})
    if unmeasured and len(unmeasured) < len({r["method"] for r in rows}):
        text = f"requests of {named(unmeasured)} have no measured joules"
        yield Finding("limit", "requests-unmeasured", text, "Raise --window-s.")
    refused = sum(int(r["refused"] or 0) for r in rows)
    if refused:
        yield Finding("note", "refused", f"{refused} requests were refused and not charged")


def _summary(run: RunFiles) -> list[Row]:
    try:
        return read_summary(run.folder) if run.done else []
    except DamagedRunError:
        return []  # named by what looks at files


def contradictions(run: RunFiles) -> Iterator[Contradiction]:
    """Yield costs, ratios and verdicts that the run's other files contradict."""
    rows = _summary(run)
    again = {(str(r["cell"]), str(r["scenario"]), r["board"]): r for r in compared(rows)}
    for row in rows:
        cell = str(row["cell"])
        other = again[cell, str(row["scenario"]), row["board"]]
        for claim in _compared(row, other):
            yield from contradiction(cell, claim)
        yield from _completeness(row)
    for row in run.done:
        cell = str(row["cell"])
        own = [r for r in rows if r["cell"] == cell]
        for claim in (*_objective(row, own), *_costs(run, cell, own)):
            yield from contradiction(cell, claim)


def _compared(row: Row, other: Mapping[str, Any]) -> Iterator[Claim]:
    for name in ("ratio_to_retrain", "break_even_requests"):
        stated, computed = row[name], other.get(name)
        if stated is None or computed is None or stated == computed:
            continue
        yield name, stated, computed, "the costs of both methods give"


def _completeness(row: Row) -> Iterator[Contradiction]:
    words = forgotten(
        str(row["guarantee"]),
        (row["mia_user_low"], row["mia_user_high"]),
        (row["mia_item_low"], row["mia_item_high"]),
    )
    if row["completeness"] != words:
        text = f"unlearning.csv says '{row['completeness']}', its own intervals '{words}'"
        yield "completeness", str(row["cell"]), text


def _objective(row: Row, own: list[Row]) -> Iterator[Claim]:
    if own and row["objective_value"] is not None and own[0]["board"] is None:
        yield "objective_value", row["objective_value"], own[0]["ndcg_20"], "unlearning.csv has"


def _costs(run: RunFiles, cell: str, own: list[Row]) -> Iterator[Claim]:
    """Yield windows of requests against phases.csv, and means against the requests."""
    try:
        requests = own_rows(run, REQUESTS_FILE, cell)
    except DamagedRunError:
        return  # named by what looks at files
    done = [r for r in requests if r["status"] == "done" and r["board"] is None]
    for request in done:
        job = f"{request['scenario']}-{request['request']}"
        window = [
            phase
            for phase in run.phases
            if phase["cell"] == cell and phase["job"] == job and phase["phase"] in IN_WINDOW
        ]
        spent = math.fsum(phase["time_s"] for phase in window)
        yield "window_s", request["window_s"], spent, f"the phases of {job} add up to"
        yield from _modelled(request, window, job)
    for row in own:
        times = [r["time_s"] for r in done if r["scenario"] == row["scenario"]]
        if times and row["board"] is None:
            mean = math.fsum(times) / len(times)
            yield "request_time_s", row["request_time_s"], mean, "the mean of its requests is"
            joules = [r["energy_model_j"] for r in done if r["scenario"] == row["scenario"]]
            mean = math.fsum(joules) / len(joules)
            yield (
                "request_energy_model_j", row["request_energy_model_j"], mean,
                "the mean of its requests is",
            )  # fmt: skip


def _modelled(request: Row, window: list[Row], job: str) -> Iterator[Claim]:
    """Yield modelled joules against the phases of the window.

    Runs were written in which they are those of the first time alone; that is no damage.
    """
    stated = request["energy_model_j"]
    first = math.fsum(p["energy_model_j"] or 0.0 for p in window if p["phase"] in COST_PHASES)
    if any(contradiction(job, ("energy_model_j", stated, first, ""))):
        whole = math.fsum(phase["energy_model_j"] or 0.0 for phase in window)
        share = whole / (1 + request["repeats"])
        yield "energy_model_j", stated, share, f"the phases of {job} give"
