"""Search the best groups for an affinity matrix or a table of pair losses."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.command_frame import run_command
from harness.core.errors import EXIT_DONE, UsageError, unknown
from harness.core.parser import Parser

if TYPE_CHECKING:
    from harness.workloads.multitask.commands.affinity_history import History
    from harness.workloads.multitask.commands.matrix import Matrix, NamedMatrix

RULES = {
    "mas": "mean affinity over tasks; groups do not overlap",
    "tag": "mean affinity over tasks, each in its best group; groups may overlap",
    "hoa": "sum of predicted losses, each in its best group; groups may overlap",
}
MOST_TASKS = 12

EPILOG = """Rows of the matrix are recipients: row d, column s is the effect of task s on task d.
For --rule hoa it is the loss of d trained with s, and the diagonal the loss alone.
With --history, MATRIX.csv is a file affinity/<cell>_rounds.csv of a run folder."""


@dataclass(frozen=True)
class SplitAnswer:
    """Hold groups of task names, the names each group serves, and the score of the whole."""

    groups: list[list[str]]
    serving: list[list[str]]
    score: float


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = Parser(
        prog="python -m harness.split",
        description="Split tasks into groups by an affinity matrix.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument("matrix", metavar="MATRIX.csv", help="square table with task names")
    parser.add_argument("--splits", metavar="X", required=True, help="groups, at most")
    parser.add_argument("--exact", action="store_true", help="exactly that many groups")
    parser.add_argument("--rule", default="mas", metavar="RULE", help=f"{', '.join(RULES)} [mas]")
    parser.add_argument(
        "--history", action="store_true", help="show how sure the split is: over rounds, clients"
    )
    parser.add_argument(
        "--losses", metavar="PAIRS.csv", help="show its regret by these losses of pairs"
    )
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    return run_command(parser, words, _run)


def _run(parsed: Namespace) -> int:
    if parsed.rule not in RULES:
        raise unknown("rule", parsed.rule, RULES)
    for option in ("history", "losses"):
        if getattr(parsed, option) and parsed.rule != "mas":
            raise UsageError(f"--{option} is for --rule mas", "Leave --rule away.")
    matrix, history = _read(parsed)
    if len(matrix.names) > MOST_TASKS:
        raise UsageError(
            f"{parsed.matrix} has {len(matrix.names)} tasks, the search is exhaustive",
            f"Give at most {MOST_TASKS} tasks.",
        )
    splits = _splits(parsed.splits, len(matrix.names))
    if parsed.rule == "mas":
        answer = _disjoint(matrix.names, matrix.values, splits, exact=parsed.exact)
    else:
        answer = _overlapping(parsed.rule, matrix.names, matrix.values, splits, exact=parsed.exact)
    _print(answer, parsed.rule)
    more: dict[str, Any] = {}
    if history is not None:
        more |= _show_history(history, splits, exact=parsed.exact)
    if parsed.losses:
        more["regret"] = _show_regret(answer, matrix.names, Path(parsed.losses))
    if parsed.json:
        print(json.dumps({"groups": answer.groups, "score": answer.score, **more}))
    return EXIT_DONE


def _read(parsed: Namespace) -> tuple[NamedMatrix, History | None]:
    """Return the matrix to split, and the history it is the mean of if there is one."""
    from harness.workloads.multitask.commands.affinity_history import (  # noqa: PLC0415
        is_told_by_round,
        read_history,
    )
    from harness.workloads.multitask.commands.matrix import NamedMatrix, read_matrix  # noqa: PLC0415 - help needs none

    path = Path(parsed.matrix)
    if not parsed.history:
        if is_told_by_round(path):
            raise UsageError(
                f"{path} holds affinity round by round, not one matrix",
                "Add --history to a file affinity/<cell>_rounds.csv, or give affinity/<cell>.csv.",
            )
        return read_matrix(path, with_diagonal=parsed.rule == "hoa"), None
    history = read_history(path)
    return NamedMatrix(history.names, history.mean), history


def _show_history(history: History, splits: int, *, exact: bool) -> dict[str, Any]:
    from harness.workloads.multitask.commands.affinity_history import findings, lines, plain  # noqa: PLC0415
    from harness.workloads.multitask.methods.split_analysis import Question  # noqa: PLC0415

    found = findings(history, Question(history.names, splits, exact))
    print("\n".join(lines(found)))
    return plain(found)


def _show_regret(answer: SplitAnswer, names: Sequence[str], path: Path) -> dict[str, Any]:
    """Print how the split stands among all of as many groups; return it for JSON."""
    from harness.workloads.multitask.commands.matrix import read_matrix  # noqa: PLC0415
    from harness.workloads.multitask.methods.split_analysis import pair_losses, regret  # noqa: PLC0415

    losses = read_matrix(path, with_diagonal=True)
    if set(losses.names) != set(names):
        raise UsageError(
            f"{path} has the tasks {' '.join(losses.names)}, the split {' '.join(names)}"
        )
    known = pair_losses(losses.values, losses.names)
    found = regret(tuple(tuple(group) for group in answer.groups), known, names)
    print(
        f"loss {found.loss:.6g} as pairs foretell it: rank {found.rank} of {found.of} splits,"
        f" best {found.best:.6g}, worst {found.worst:.6g}"
    )
    return {
        "loss": found.loss, "best": found.best, "worst": found.worst, "rank": found.rank,
        "of": found.of, "best_groups": [list(group) for group in found.best_split],
    }  # fmt: skip


def _splits(text: str, tasks: int) -> int:
    try:
        splits = int(text)
    except ValueError:
        raise UsageError(f"--splits is a whole number, not '{text}'") from None
    if not 1 <= splits <= tasks:
        raise UsageError(
            f"{splits} splits of {tasks} tasks is impossible",
            f"Give --splits between 1 and {tasks}.",
        )
    return splits


def _disjoint(names: Sequence[str], values: Matrix, splits: int, *, exact: bool) -> SplitAnswer:
    from harness.workloads.multitask.methods.split import best_masks, names_of  # noqa: PLC0415

    masks, score = best_masks(values, splits, exact=exact)
    groups = [names_of(mask, names) for mask in masks]
    return SplitAnswer(groups, groups, score)


def _overlapping(
    rule: str, names: Sequence[str], values: Matrix, splits: int, *, exact: bool
) -> SplitAnswer:
    from harness.workloads.multitask.methods.overlapping import best_cover, hoa_scores, tag_scores  # noqa: PLC0415
    from harness.workloads.multitask.methods.split import names_of  # noqa: PLC0415

    scores = hoa_scores(values) if rule == "hoa" else tag_scores(values)
    cover = best_cover(scores, splits, exact=exact)
    score = -cover.total if rule == "hoa" else cover.total / len(names)
    groups = [names_of(mask, names) for mask in cover.groups]
    return SplitAnswer(groups, [names_of(mask, names) for mask in cover.blocks], score)


def _print(answer: SplitAnswer, rule: str) -> None:
    for group, serving in zip(answer.groups, answer.serving, strict=True):
        others = "" if group == serving else f"  (serves {' '.join(serving) or 'none'})"
        print(" ".join(group) + others)
    print(f"score {answer.score:.6g}: {RULES[rule]}")
