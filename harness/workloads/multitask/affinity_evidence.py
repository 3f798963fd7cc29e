"""Recompute what a run says of its affinity, and say where a split rests on too little."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from harness.core.errors import DamagedRunError
from harness.core.schema import AFFINITY_CHECK, AFFINITY_CLIENTS, SCHEMA_VERSION, Column
from harness.evidence.findings import Finding, named
from harness.evidence.reading import RunFiles
from harness.evidence.stated import AGREE, Contradiction
from harness.evidence.tables import Row, read_table
from harness.workloads.multitask.affinity.rule import (
    FEW_SIGNS,
    SIGNS_ALIKE,
    SIGNS_NEEDED,
    SIZE_RATIO,
)


def affinity_findings(run: RunFiles) -> Iterator[Finding]:
    """Yield cells whose linear look-aheads have too few signs of exact ones."""
    few = {
        str(row["cell"]): row["value"]
        for row in run.tables["metrics.csv"].rows
        if row["metric"] == SIGNS_ALIKE and row["value"] is not None
        and row["value"] < SIGNS_NEEDED
    }  # fmt: skip
    if few:
        text = (
            f"linear affinity has {100.0 * min(few.values()):.0f} % of the signs of exact affinity"
            f" or more, {100.0 * SIGNS_NEEDED:.0f} % are needed, in {named(sorted(few))}: their"
            " groups rest on chance"
        )
        yield Finding("limit", "affinity-signs", text, f"Run again with {FEW_SIGNS}.")


def affinity_contradictions(run: RunFiles) -> Iterator[Contradiction]:
    """Yield agreements that the look-aheads taken in both ways contradict."""
    told = _told(run)
    for row in run.done:
        cell = str(row["cell"])
        both = _rows(run, f"affinity/{cell}_check.csv", AFFINITY_CHECK)
        stated = told.get(cell, {})
        found = _agreement(both)
        for metric, value in stated.items():
            computed = found.get(metric, math.nan)
            if not math.isclose(value, computed, rel_tol=AGREE):
                text = f"{metric} is {value} in metrics.csv, exact and linear entries of affinity/"
                yield metric, cell, f"{text}{cell}_check.csv give {computed}"
        yield from _linear(run, cell, both)
        if row["split_sure"] is not None:
            yield from _sure(run, row)


def _sure(run: RunFiles, row: Row) -> Iterator[Contradiction]:
    """Yield a `split_sure` that the affinity of its clients does not give."""
    from harness.workloads.multitask.sureness_evidence import (  # noqa: PLC0415 - needs NumPy
        sureness_contradictions,
    )

    clients = _rows(run, f"affinity/{row['cell']}_clients.csv", AFFINITY_CLIENTS)
    yield from sureness_contradictions(run, row, clients)


def _told(run: RunFiles) -> Mapping[str, Mapping[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for row in run.tables["metrics.csv"].rows:
        if row["metric"] in (SIGNS_ALIKE, SIZE_RATIO) and row["value"] is not None:
            found.setdefault(str(row["cell"]), {})[str(row["metric"])] = float(row["value"])
    return found


def _rows(run: RunFiles, name: str, columns: Sequence[Column]) -> list[Row]:
    path = run.folder / name
    try:
        return list(read_table(path, columns, SCHEMA_VERSION).rows) if path.is_file() else []
    except DamagedRunError:
        return []  # named by what looks at files


def _agreement(both: Sequence[Row]) -> Mapping[str, float]:
    """Return the share of signs and the ratio of sizes over pairs of unlike tasks."""
    pairs = [
        (float(row["exact"]), float(row["linear"]))
        for row in both
        if row["recipient"] != row["source"] and None not in (row["exact"], row["linear"])
    ]
    if not pairs:
        return {}
    alike = sum((a > 0) - (a < 0) == (b > 0) - (b < 0) for a, b in pairs)
    exact, linear = (math.fsum(abs(pair[way]) for pair in pairs) for way in (0, 1))
    return {SIGNS_ALIKE: alike / len(pairs)} | ({SIZE_RATIO: linear / exact} if exact else {})


def _linear(run: RunFiles, cell: str, both: Sequence[Row]) -> Iterator[Contradiction]:
    """Yield linear entries that are not what the client is said to have measured in that round.

    The published code's sums are no means, so they are left out.
    """
    config = run.section("config")
    if not both or config.get("protocol") != "repaired":
        return
    names = ("round", "client", "recipient", "source")
    clients = _rows(run, f"affinity/{cell}_clients.csv", AFFINITY_CLIENTS)
    means = {tuple(row[name] for name in names): row["mean"] for row in clients}
    for row in both:
        mean = means.get(tuple(row[name] for name in names))
        linear = row["linear"]
        if (
            mean is None
            or linear is None
            or not math.isclose(mean, linear, rel_tol=AGREE, abs_tol=1e-12)
        ):
            where = f"round {row['round']}, client {row['client']}, recipient {row['recipient']},"
            text = f"linear of {where} source {row['source']} is {linear} in affinity/{cell}_check"
            yield "affinity's linear", cell, f"{text}.csv, the client measured {mean}"
