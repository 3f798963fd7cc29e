"""Tables of unlearning runs: what a request costs, what is left, and the published figures."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import analysis.unlearning.published
from analysis.core.loading import Run
from analysis.core.numbers import joules_origin, summarise
from analysis.core.tables.table import Absent, Content, Heading, Table
from analysis.core.words import provenance, spread_words
from analysis.unlearning.reading import BATCH, by_seed, data_words, summary
from harness.workloads.unlearning.comparison import (
    ENERGY,
    completeness_words,
    grouped,
    pays_words,
)

Row = Mapping[str, Any]

FILE = "cure4rec.csv"
ML_100K_USERS = 943

COSTS = (
    (Heading("request_time_s", "Request", "s", "low"), "request_time_s", 1.0),
    (Heading("request_time_p95_s", "p95", "s", "low"), "request_time_p95_s", 1.0),
    (Heading("request_energy_j", "Request, {origin}", "J", "low"), "request_energy_j", 1.0),
    (Heading("request_energy_model_j", "modelled", "J", "low"), "request_energy_model_j", 1.0),
    (Heading("ratio_to_retrain", "÷ retrain", "", "low"), "ratio_to_retrain", 1.0),
    (Heading("setup_time_s", "Set-up", "s", "low"), "setup_time_s", 1.0),
    (Heading("shards_touched", "Models touched"), "shards_touched", 1.0),
    (Heading("stored_mb", "Stored", "MB", "low"), "stored_bytes", 1e-6),
)
QUALITY = (
    (Heading("ndcg_20", "NDCG@20", "", "high"), "ndcg_20", 1.0),
    (Heading("recall_20", "Recall@20", "", "high"), "recall_20", 1.0),
    (Heading("hit_20", "Hit@20", "", "high"), "hit_20", 1.0),
    (Heading("mia_user", "mia_user"), "mia_user", 1.0),
    (Heading("mia_item", "mia_item"), "mia_item", 1.0),
    (Heading("mia_item_before", "mia_item before"), "mia_item_before", 1.0),
    (Heading("agreement", "Agreement", "", "high"), "agreement", 1.0),
    (Heading("a_igf", "A-IGF"), "a_igf", 1.0),
    (Heading("shard_gf_thousandths", "ShardGF ·10³"), "shard_gf", 1e3),
)


def unlearning_tables(runs: Sequence[Run]) -> list[Table | None]:
    """Return the tables; None for one that has nothing to show."""
    return [cost_table(runs), quality_table(runs), published_table(runs)]


def cost_table(runs: Sequence[Run]) -> Table:
    """Return what a request costs, scenario by scenario."""
    origin = joules_origin(runs)
    headings = [replace(h, title=h.title.format(origin=origin)) for h, _, _ in COSTS]
    rows = [
        [*key, *_values(own, COSTS), _pays(own)]
        for run in runs
        for key, own in _groups(run)
    ]  # fmt: skip
    return Table(
        "unlearning_costs",
        f"What one request to forget costs ({_data(runs)}). A batch is many users in one request, a"
        " stream one user after another; each begins with the model as prepared. Ratio and first"
        " request that pays are against training anew with the same seed, of measured joules where"
        f" both methods have them, else of seconds{_basis(runs)}. {spread_words(runs)}",
        [Heading("scenario", "Scenario"), Heading("method", "Method"), *headings,
         Heading("pays_from_request", "Pays from request")],
        rows, provenance(runs), key_columns=2, ranked_within="scenario",
    )  # fmt: skip


def quality_table(runs: Sequence[Run]) -> Table:
    """Return what those who stay get, and what is known of those who left."""
    rows = [
        [*key, *_values(own, QUALITY), completeness_words(own)]
        for run in runs
        for key, own in _groups(run)
    ]  # fmt: skip
    floors = [row["agreement_floor"] for run in runs for row in summary(run)
              if row["agreement_floor"] is not None]  # fmt: skip
    floor = f" Two trainings anew agree by {sum(floors) / len(floors):.2f}." if floors else ""
    return Table(
        "unlearning_quality",
        f"Utility, completeness and fairness after the last request ({_data(runs)}). mia_user and"
        " mia_item are membership attacks, 0.5: nothing can be told; they are not the MIO of"
        " CURE4Rec. Exact methods never saw the users, whatever an attack's interval."
        f"{floor} {spread_words(runs)}",
        [Heading("scenario", "Scenario"), Heading("method", "Method"),
         *(heading for heading, _, _ in QUALITY), Heading("completeness", "Forgotten")],
        rows, provenance(runs), key_columns=2, ranked_within="scenario",
    )  # fmt: skip


def published_table(runs: Sequence[Run]) -> Table | None:
    """Return the published figures beside ours, where data and setting are the same."""
    rows: list[list[Content]] = []
    for run in runs:
        facts, config = run.manifest.section("data"), run.manifest.section("config")
        same = facts.get("users") == ML_100K_USERS and facts.get("origin") == "real"
        usual = config.get("who") == "random" and config.get("share") == 0.05
        if not (same and usual):
            continue
        theirs = published(str(config.get("model")))
        for (scenario, method), own in _groups(run):
            paper = theirs.get(method.partition(":")[0])
            if scenario == BATCH and paper is not None:
                ours = [summarise(by_seed(own, name)) for name in ("ndcg_20", "recall_20",
                                                                  "request_time_s")]  # fmt: skip
                rows.append([method, *ours, *paper])
    if not rows:
        return None
    return Table(
        "unlearning_published",
        "ML-100K, 5 % random users in one batch: ours beside CURE4Rec (NeurIPS 2024, 5 % random)."
        " Theirs: NDCG with an ideal that is not cut at 20, early stop on the test set, seconds of"
        " another machine that are mostly those of loading data, for shards the mean of one shard;"
        " the released code deletes users before it trains.",
        [Heading("method", "Method"), Heading("ndcg_20", "NDCG@20"),
         Heading("recall_20", "Recall@20"), Heading("request_time_s", "Request", "s"),
         Heading("paper_ndcg_20", "Paper NDCG@20"), Heading("paper_recall_20", "Paper HR@20"),
         Heading("paper_time_s", "Paper time", "s")],
        rows, provenance(runs),
    )  # fmt: skip


def published(model: str) -> dict[str, list[Content]]:
    """Return the published NDCG, recall and seconds of each method, of one recommender."""
    path = Path(analysis.unlearning.published.__file__).parent / FILE
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    return {
        row["method"]: [
            summarise([float(row[name])]) if row[name] else Absent("Not published.")
            for name in ("ndcg", "recall", "time_s")
        ]
        for row in csv.DictReader(lines)
        if row["model"] == model
    }


def _groups(run: Run) -> list[tuple[tuple[str, str], list[Any]]]:
    """Return the rows of each scenario and method, scenario by scenario."""
    return [
        ((str(scenario), str(method)), own)
        for (scenario,), rows in grouped(summary(run), "scenario").items()
        for (method,), own in grouped(rows, "method").items()
    ]


def _values(rows: Sequence[Row], columns: Sequence[tuple[Heading, str, float]]) -> list[Content]:
    found: list[Content] = []
    for _, name, scale in columns:
        value = summarise(by_seed(rows, name), scale)
        reasons = [str(row["request_energy_reason"]) for row in rows]
        why = reasons[0] if name == "request_energy_j" and reasons[0] else "No value was recorded."
        found.append(value if value is not None else Absent(why))
    return found


def _pays(rows: Sequence[Row]) -> Content:
    said = {pays_words(row.get("break_even_requests")) for row in rows}
    return " to ".join(sorted(said, key=lambda t: (not t.isdigit(), t.zfill(9))))


def _data(runs: Sequence[Run]) -> str:
    return "; ".join(dict.fromkeys(data_words(run) for run in runs))


def _basis(runs: Sequence[Run]) -> str:
    found = {row.get("cost_basis") for run in runs for row in summary(run)} - {None, ""}
    if found == {ENERGY}:
        return f" (here: {joules_origin(runs)} joules)"
    return " (here: seconds)" if ENERGY not in found else ""
