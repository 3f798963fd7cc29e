"""Recompute what runs of fine-tuning derive: the objective from metrics.csv, bytes from tensors."""

from __future__ import annotations

from collections.abc import Iterator

from harness.evidence.findings import Finding
from harness.evidence.reading import RunFiles
from harness.evidence.stated import Contradiction, contradiction
from harness.evidence.tables import Row
from harness.workloads.lora.job import UNIT


def contradictions(run: RunFiles) -> Iterator[Contradiction]:
    """Yield objectives that metrics.csv contradicts, and bytes that ranks and rounds contradict."""
    last = _last_losses(run)
    for row in run.done:
        cell = str(row["cell"])
        stated = row["objective_value"]
        if stated is not None and cell in last:
            yield from contradiction(
                cell, ("objective_value", stated, last[cell], "metrics.csv gives")
            )
    yield from _uploads(run)


def _last_losses(run: RunFiles) -> dict[str, float]:
    found: dict[str, tuple[int, float]] = {}
    for row in run.tables["metrics.csv"].rows:
        if row["metric"] != "test_loss" or row["task"] != UNIT or row["value"] is None:
            continue
        cell, done = str(row["cell"]), int(row["round"] or 0)
        if done >= found.get(cell, (0, 0.0))[0]:
            found[cell] = done, float(row["value"])
    return {cell: value for cell, (_, value) in found.items()}


def _uploads(run: RunFiles) -> Iterator[Contradiction]:
    """Yield uploads that the rounds of the clients, by rank, contradict.

    Pruned ranks change from round to round, and a fleet's answers are lost and repeated: those are
    left out.
    """
    if run.section("fleet"):
        return
    base = run.section("base")
    layers, ranks = base.get("layers"), run.section("adapters").get("ranks")
    if not isinstance(layers, dict) or not isinstance(ranks, list):
        return
    trained: dict[str, set[tuple[int, str]]] = {}
    for phase in run.phases:
        if phase["phase"] == "train" and phase["client"] and phase["round"] is not None:
            key = int(phase["round"]), str(phase["client"])
            trained.setdefault(str(phase["cell"]), set()).add(key)
    for row in run.done:
        expected = _expected_upload(row, trained.get(str(row["cell"]), set()), layers, ranks, base)
        if None not in (expected, row["upload_bytes"]) and row["upload_bytes"] != expected:
            text = f"upload_bytes is {row['upload_bytes']} in cells.csv, its rounds make {expected}"
            yield "upload_bytes", str(row["cell"]), text


def _expected_upload(
    row: Row,
    trained: set[tuple[int, str]],
    layers: dict[str, list[int]],
    ranks: list[int],
    base: object,
) -> int | None:
    method = str(row["method"]).partition(":")[0]
    if method in ("local", "central"):
        return 0
    if method == "hetlora" or not trained:
        return None
    if method == "full":
        size = base.get("bytes") if isinstance(base, dict) else None
        return None if size is None else len(trained) * int(size)
    per_rank = sum(m if method == "ffa-lora" else m + n for m, n in layers.values())
    return sum(4 * int(ranks[int(client)]) * per_rank for _, client in trained)


def findings(run: RunFiles) -> Iterator[Finding]:
    """Yield what limits a run's figures: rates that were not tuned, clients that are one device."""
    config = run.section("config")
    if config.get("model") == "letters" and run.done:
        yield Finding(
            "note", "small-model",
            "below a width of about 150 an adapter's step costs more than a full one: the embedded"
            " model compares ways of joining, not adapters with full fine-tuning",
            "Take a folder model for that.",
        )  # fmt: skip
