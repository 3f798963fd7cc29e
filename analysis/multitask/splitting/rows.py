"""Read the runs of the map into one small table, and that table from its file."""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from analysis.multitask.splitting.runs import StudyRun
from harness.core.errors import UsageError
from harness.core.guarded_folder import write_below
from harness.core.schema import COST_PHASES
from harness.evidence.reading import RunFiles, read_run
from harness.workloads.multitask.commands.affinity_history import CLIENTS, ROUNDS, read_history
from harness.workloads.multitask.methods.split_analysis import Question, sureness

FILE = "runs.csv"
MAS = {"mas:splits=2": 2, "mas:splits=3": 3}


@dataclass(frozen=True)
class StudyRow:
    """Hold one method of one run.

    `cpu_s` are the processor seconds of what the method is charged for, jobs lent by another method
    included; wall time says nothing on a host that does other work. `split_sure` is the share of
    bootstrap samples of rounds and clients that give the split used, empty where none was measured.
    """

    point: str
    seed: int
    method: str
    groups: str
    total_loss: float
    unseen_total_loss: float | None
    cpu_s: float
    split_sure: float | None
    step: str
    torch: str
    source: str
    task_losses: Mapping[str, float] = field(default_factory=dict)


def rows_of(run: StudyRun, folder: Path) -> list[StudyRow]:
    """Return the rows of a run: one for each method that is done, though others may not be.

    Raises:
        HarnessError: if its files cannot be read; one that has only begun has no tables yet.
    """
    files = read_run(folder)
    seconds, losses = _charged_s(files), _task_losses(files)
    versions = str(files.section("software").get("torch", ""))
    commit = str(files.section("source").get("commit", ""))
    return [
        StudyRow(
            run.point.name, run.seed, str(row["method"]), str(row["groups"]),
            float(row["total_loss"]), row["unseen_total_loss"], seconds[str(row["cell"])],
            _sure(folder, str(row["cell"]), str(row["method"])), str(row["step"]), versions, commit,
            losses[str(row["cell"])],
        )
        for row in files.done
    ]  # fmt: skip


def _charged_s(files: RunFiles) -> dict[str, float]:
    seconds: dict[str, list[float]] = defaultdict(list)
    for phase in files.phases:
        if phase["phase"] in COST_PHASES and phase["cpu_s"] is not None:
            seconds[str(phase["cell"])].append(phase["cpu_s"])
    return defaultdict(float, {cell: math.fsum(own) for cell, own in seconds.items()})


def _task_losses(files: RunFiles) -> dict[str, dict[str, float]]:
    """Return each cell's last test losses by task."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for row in files.tables["metrics.csv"].rows:
        if row["metric"] == "test_loss" and row["phase"] == "evaluate":
            found[str(row["cell"])][str(row["task"])] = row["value"]
    return found


def _sure(folder: Path, cell: str, method: str) -> float | None:
    """Return how sure a split by affinity is, from every client's own measurements."""
    path = folder / "affinity" / f"{cell}{ROUNDS}"
    clients = path.with_name(f"{cell}{CLIENTS}")
    if method not in MAS or not (path.is_file() and clients.is_file()):
        return None
    history = read_history(path)
    return sureness(history.clients, Question(history.names, MAS[method]).answer)


def text_of(rows: Sequence[StudyRow]) -> str:
    """Return the rows as CSV in full precision, sorted by point, seed and method."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = [column.name for column in fields(StudyRow)]
    writer.writerow(names)
    for row in sorted(rows, key=lambda row: (row.point, row.seed, row.method)):
        writer.writerow([_text(getattr(row, name)) for name in names])
    return stream.getvalue()


def _text(value: object) -> object:
    if isinstance(value, Mapping):
        return " ".join(f"{task}={loss!r}" for task, loss in value.items())
    return "" if value is None else value


def write_rows(folder: Path, rows: Sequence[StudyRow]) -> Path:
    """Write the table below a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return write_below(folder, FILE, text_of(rows).encode())


def read_rows(folder: Path) -> list[StudyRow]:
    """Read the table that `write_rows` wrote.

    Raises:
        UsageError: if it is not there, or a line is no row.
    """
    path = folder / FILE
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            lines = list(csv.DictReader(stream))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "make study writes it.") from None
    except (UnicodeDecodeError, csv.Error):
        raise UsageError(f"{path} is no table of the map", "make study writes it anew.") from None
    return [_row(line, f"{path}, line {number}") for number, line in enumerate(lines, 2)]


def _row(line: dict[str, str], where: str) -> StudyRow:
    try:
        return StudyRow(
            line["point"], int(line["seed"]), line["method"], line["groups"],
            float(line["total_loss"]), _known(line["unseen_total_loss"]), float(line["cpu_s"]),
            _known(line["split_sure"]), line["step"], line["torch"], line["source"],
            {t: float(v) for t, _, v in (w.partition("=") for w in line["task_losses"].split())},
        )  # fmt: skip
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"{where} is no row of the map", "make study writes it anew.") from None


def _known(text: str) -> float | None:
    return float(text) if text else None


def joined(kept: Sequence[StudyRow], found: Sequence[StudyRow]) -> list[StudyRow]:
    """Return all rows; of the same point, seed and method the newly read one counts."""
    every = {(row.point, row.seed, row.method): row for row in [*kept, *found]}
    return list(every.values())
