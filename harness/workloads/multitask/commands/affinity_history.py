"""Read what a run wrote about affinity round by round and client by client, and show its history.

The files are `affinity/<cell>_rounds.csv` and, beside it, `affinity/<cell>_clients.csv`.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from devices.plain_numbers import plain_float, plain_int
from harness.core.errors import UsageError
from harness.workloads.multitask.methods.split_analysis import (
    Agreement,
    ClientMatrix,
    Matrix,
    Question,
    Split,
    Stage,
    agreement,
    bootstrap,
    splits_over_rounds,
    stable_from,
)

ROUNDS = "_rounds.csv"
CLIENTS = "_clients.csv"
DRAWS = 200
SEED = 0
REMEDY = "Give a file affinity/<cell>_rounds.csv of a run folder."


@dataclass(frozen=True)
class History:
    """Hold measured matrices by round, and by round and client if the run kept those."""

    names: tuple[str, ...]
    rounds: dict[int, Matrix]
    clients: tuple[ClientMatrix, ...]

    @property
    def mean(self) -> Matrix:
        """Return the mean over rounds, each counting alike."""
        mean: Matrix = np.mean(list(self.rounds.values()), axis=0)
        return mean


@dataclass(frozen=True)
class Findings:
    """Hold what a history says about a split."""

    stages: Sequence[Stage]
    stable_from: int
    agreement: Agreement | None
    bootstrap: Sequence[tuple[Split, float]]


def is_told_by_round(path: Path) -> bool:
    """Say whether a file holds a line per round and pair of tasks, which is no matrix."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header = next(csv.reader(stream), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
    return {"round", "recipient", "source"} <= set(header)


def read_history(path: Path) -> History:
    """Read the rounds of a cell and, if the file is there, its clients.

    Raises:
        UsageError: naming the file and line of the first thing that is wrong.
    """
    if not path.name.endswith(ROUNDS):
        raise UsageError(f"--history reads no file of the name {path.name}", REMEDY)
    entries = _all_entries(path, ("round",))
    if not entries:
        raise UsageError(f"{path} holds no round", REMEDY)
    names = tuple(dict.fromkeys(entry.recipient for entry in entries))
    rounds = {key[0]: matrix for key, matrix in _matrices(path, entries, names).items()}
    beside = path.with_name(path.name.removesuffix(ROUNDS) + CLIENTS)
    clients: tuple[ClientMatrix, ...] = ()
    if beside.is_file():
        matrices = _matrices(beside, _all_entries(beside, ("round", "client")), names)
        clients = tuple(ClientMatrix(key[0], key[1], m) for key, m in matrices.items())
    return History(names, rounds, clients)


@dataclass(frozen=True)
class _Entry:
    key: tuple[int, ...]
    recipient: str
    source: str
    value: float
    where: str


def _all_entries(path: Path, keys: Sequence[str]) -> list[_Entry]:
    try:
        return list(_entries(path, keys))
    except (csv.Error, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no table: {error}", REMEDY) from None


def _entries(path: Path, keys: Sequence[str]) -> Iterator[_Entry]:
    try:
        stream = path.open(encoding="utf-8", newline="")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    with stream:
        reader = csv.DictReader(stream, strict=True)
        missing = {*keys, "recipient", "source", "mean"} - set(reader.fieldnames or ())
        if missing:
            raise UsageError(f"{path} lacks the columns {', '.join(sorted(missing))}", REMEDY)
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            yield _Entry(
                tuple(_whole(row[key], key, where) for key in keys),
                row["recipient"],
                row["source"],
                _number(row["mean"], where),
                where,
            )


def _whole(text: str | None, column: str, where: str) -> int:
    try:
        return plain_int(text or "")
    except ValueError:
        raise UsageError(f"{where}: {column} is a whole number, not '{text}'") from None


def _number(text: str | None, where: str) -> float:
    try:
        value = plain_float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{where}: mean is a finite number, not '{text}'")
    return value


def _matrices(
    path: Path, entries: Sequence[_Entry], names: Sequence[str]
) -> dict[tuple[int, ...], Matrix]:
    """Return the matrices by key; every entry of every matrix must be there once."""
    found: dict[tuple[int, ...], Matrix] = {}
    for entry in entries:
        for name in (entry.recipient, entry.source):
            if name not in names:
                raise UsageError(f"{entry.where}: task '{name}' is none of {', '.join(names)}")
        matrix = found.setdefault(entry.key, np.full((len(names),) * 2, np.nan))
        place = names.index(entry.recipient), names.index(entry.source)
        if not math.isnan(matrix[place]):
            raise UsageError(f"{entry.where}: this entry is there twice")
        matrix[place] = entry.value
    for key, matrix in found.items():
        if np.isnan(matrix).any():
            raise UsageError(f"{path}: round {key[0]} is not complete", REMEDY)
    return found


def findings(history: History, question: Question) -> Findings:
    """Return the split over rounds, and what clients say if they are known."""
    stages = splits_over_rounds(history.rounds, question)
    agreed, drawn = None, []
    if history.clients:
        agreed = agreement(history.clients, question)
        if agreed.clients > 1:
            drawn = bootstrap(history.clients, question, DRAWS, np.random.default_rng(SEED))
    return Findings(stages, stable_from(stages), agreed, drawn)


def lines(found: Findings) -> list[str]:
    """Return what people read: a line for every change of the split, then what clients say."""
    shown = ["after round  groups"]
    before: Split = ()
    for stage in found.stages:
        if stage.split != before:
            shown.append(f"{stage.round:>11}  {_text(stage.split)}")
        before = stage.split
    last = found.stages[-1].round
    if len(found.stages) == 1:
        shown.append("Only one round was measured.")
    else:
        shown.append(f"The split is the same from round {found.stable_from} to the last, {last}.")
    if found.agreement is None:
        shown.append("No file of clients is there, so nothing is known of their agreement.")
        return shown
    agreed = found.agreement
    if agreed.clients == 1:
        shown.append("One client alone was measured, which cannot tell whether clients agree.")
        return shown
    shown.append(
        f"{agreed.clients} clients: {agreed.same_split:.0%} give this split by themselves;"
        " rank correlation of"
    )
    shown.append(
        f"their affinities with the mean {_shown(agreed.with_whole)},"
        f" with each other {_shown(agreed.with_others)}"
    )
    shown.append(f"{DRAWS} samples of these clients, with replacement:")
    shown += [f"{share:>11.0%}  {_text(split)}" for split, share in found.bootstrap[:5]]
    return shown


def plain(found: Findings) -> dict[str, Any]:
    """Return what JSON shows; what is not known is null."""
    agreed = found.agreement
    return {
        "rounds": [{"round": s.round, "groups": _lists(s.split)} for s in found.stages],
        "stable_from": found.stable_from,
        "clients": None
        if agreed is None
        else {
            "number": agreed.clients,
            "same_split": agreed.same_split,
            "correlation_with_mean": _known(agreed.with_whole),
            "correlation_with_others": _known(agreed.with_others),
        },
        "bootstrap": [{"groups": _lists(s), "share": share} for s, share in found.bootstrap],
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _shown(value: float) -> str:
    return "not known" if math.isnan(value) else f"{value:.2f}"


def _lists(split: Split) -> list[list[str]]:
    return [list(group) for group in split]


def _text(split: Split) -> str:
    return " | ".join(" ".join(group) for group in split)
