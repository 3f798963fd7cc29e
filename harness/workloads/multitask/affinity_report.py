"""Say what a cell measured of affinity, and how well linear look-aheads agree with exact ones."""

from __future__ import annotations

import math

from harness.core.schema import AFFINITY_CHECK, AFFINITY_CLIENTS, AFFINITY_ROUNDS
from harness.records.cells import CellResult
from harness.records.values import Value
from harness.run_folder.results import csv_text
from harness.workloads.multitask.affinity.rule import (
    FEW_SIGNS,
    SIGNS_ALIKE,
    SIGNS_NEEDED,
    SIZE_RATIO,
)
from harness.workloads.multitask.sureness import measured_affinity


def checked_values(result: CellResult) -> list[Value]:
    """Return how well linear look-aheads of one client agree with exact ones, if any were taken."""
    found = next((o for o in result.trained if o.affinity and o.affinity.checked), None)
    if found is None or found.affinity is None or found.affinity.checked is None:
        return []
    _, looks = found.affinity.checked
    figures = {SIGNS_ALIKE: looks.signs_alike, SIZE_RATIO: looks.size_ratio}
    done = found.job.first_round + 1
    return [
        Value(done, found.job.name, "", "affinity", name, figure)
        for name, figure in figures.items()
        if math.isfinite(figure)
    ]


def judged_words(result: CellResult) -> str:
    """Return in words how well linear affinity agrees, "" if it was not used."""
    alike = next((v.value for v in checked_values(result) if v.metric == SIGNS_ALIKE), None)
    if alike is None:
        return ""
    words = f", {100.0 * alike:.0f} % of signs of linear affinity as exact"
    return words if alike >= SIGNS_NEEDED else f"{words}: TOO FEW, {FEW_SIGNS}"


def affinity_files(result: CellResult, counted: int | None = None) -> dict[str, str]:
    """Return the files of the measured affinity: the mean, every round's and every client's.

    The mean is that of the first `counted` rounds (all with None), which the method decides by.
    The matrix has recipients in rows and the task letters as header and first column.
    """
    measured = measured_affinity(result)
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
    both = [
        {
            "round": measured.rounds[0].round, "client": client,
            "recipient": recipient, "source": source,
            "exact": float(looks.exact[j, i]), "linear": float(looks.linear[j, i]),
        }
        for client, looks in ([] if measured.checked is None else [measured.checked])
        for j, recipient in enumerate(tasks)
        for i, source in enumerate(tasks)
    ]  # fmt: skip
    checked = {f"{name}_check.csv": csv_text(AFFINITY_CHECK, both)} if both else {}
    return checked | {
        f"{name}.csv": "\n".join(lines) + "\n",
        f"{name}_rounds.csv": csv_text(AFFINITY_ROUNDS, entries),
        f"{name}_clients.csv": csv_text(AFFINITY_CLIENTS, of_clients),
    }
