"""Say what a cell over boards came to: each board's requests, and each board's standing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from harness.records.cells import CellReport, CellResult
from harness.run_folder.results import csv_text
from harness.workloads.unlearning.choice import Scenario
from harness.workloads.unlearning.costs import IN_WINDOW, Stretch, charge, of_round, stretches
from harness.workloads.unlearning.report import (
    NDCG,
    Row,
    asked_row,
    setup_costs,
    standing_row,
    summary_words,
    window_costs,
)
from harness.workloads.unlearning.tables import REQUESTS, REQUESTS_FILE

if TYPE_CHECKING:
    from harness.federated.keeping import JobState
    from harness.workloads.unlearning.boards import BoardAnswer
    from harness.workloads.unlearning.study import UnlearningStudy

Answers = Mapping[int, "BoardAnswer"]
"""A board's answers by round."""

ABSENT = "the board did not answer in time"


def board_report(study: UnlearningStudy, result: CellResult) -> CellReport:
    """Return columns, requests and standings of a cell that is done; no weights travel."""
    if result.status != "done":
        return CellReport()
    state: JobState = result.served
    answers: dict[int, dict[int, BoardAnswer]] = {b: {} for b in range(study.config.boards)}
    for found in state.measured:
        for answer in found.answers:
            answers[answer.board][answer.round] = answer
    measured = stretches(result)
    rows: list[Row] = []
    standings: list[Row] = []
    for board, own in answers.items():
        found_rows, found_standings = _of_board(study, result, measured, board, own)
        rows += [{"cell": result.cell.name, "board": board, **row} for row in found_rows]
        standings += [{"board": board, **row} for row in found_standings]
    file = REQUESTS_FILE.replace("<cell>", result.cell.name)
    first = [s[NDCG] for s in standings if s["scenario"] == standings[0]["scenario"]]
    return CellReport(
        math.fsum(first) / len(first) if first else None,
        {"rounds": len(state.measured), "clients": study.config.boards,
         "clients_per_round": study.config.boards, "batch_size": study.config.batch_size,
         **asdict(state.traffic)},
        texts={file: csv_text(REQUESTS, rows)},
        standing={"rows": standings},
        summary=summary_words(standings[:2]),
    )  # fmt: skip


def _of_board(
    study: UnlearningStudy,
    result: CellResult,
    measured: Sequence[Stretch],
    board: int,
    own: Answers,
) -> tuple[list[Row], list[Row]]:
    """Return the rows of a board's requests, and its standings."""
    names = study.interactions(result.cell.seed).names
    setup = setup_costs(charge(measured, of_round(board, 0)))
    rows: list[Row] = []
    standings: list[Row] = []
    number = 0
    for scenario in study.scenarios(result.cell.seed, board):
        first = len(rows)
        for request in scenario.requests:
            number += 1
            row = asked_row(request, names)
            rows.append(row | _answered(measured, board, number, own, study.window_s))
        standing = _standing(study, result, scenario, rows[first:], own, number)
        standings += [] if standing is None else [{**setup, **standing}]
    return rows, standings


def _answered(
    measured: Sequence[Stretch], board: int, number: int, own: Answers, needed_s: float
) -> Row:
    answer = own.get(number)
    if answer is None:
        return {"status": "missing", "reason": ABSENT}
    window = charge(measured, of_round(board, number, IN_WINDOW))
    (judged,) = answer.judged.values()
    return {
        "shards_touched": answer.shards_touched,
        **window_costs(window, answer.copies, needed_s),
        "begun_before": 0, NDCG: judged.get(NDCG),
    }  # fmt: skip


def _standing(
    study: UnlearningStudy,
    result: CellResult,
    scenario: Scenario,
    rows: Sequence[Row],
    own: Answers,
    last: int,
) -> Row | None:
    """Return a scenario's standing; None if the board was not there at its end or beginning."""
    if 0 not in own or last not in own:
        return None
    spec = result.cell.spec
    judged = own[last].judged[scenario.name]
    return standing_row(study, spec, scenario, rows, own[0].judged, judged)  # type: ignore[arg-type]
