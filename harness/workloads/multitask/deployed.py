"""Find what is wrong with the figures of inference beside a run, where there are some."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.core.clean_text import clean
from harness.core.errors import DamagedRunError
from harness.core.guarded_folder import read_object
from harness.core.schema import INFERENCE, INFERENCE_METRICS, PHASE_ROWS, SCHEMA_VERSION, Column
from harness.core.shell_words import shell_word
from harness.evidence.findings import Finding, named
from harness.evidence.intact import check_file
from harness.evidence.reading import RunFiles
from harness.evidence.tables import Row, read_table
from harness.workloads.multitask.inference.exports import changed_exports, read_list

TABLE = "inference.csv"
TABLES: dict[str, tuple[Column, ...]] = {
    TABLE: INFERENCE,
    "inference/metrics.csv": INFERENCE_METRICS,
    "inference/phases.csv": PHASE_ROWS,
}


def deployed(run: RunFiles) -> Iterator[Finding]:
    """Yield damage of the files of inference, and what was not measured; nothing without any."""
    if not (run.folder / TABLE).is_file() and not (run.folder / "inference").is_dir():
        return
    again = f"Measure again: python -m harness.infer {shell_word(run.folder)} --fresh"
    found: dict[str, list[Row]] = {}
    for name, columns in TABLES.items():
        rows = _read(run.folder / name, columns)
        if isinstance(rows, DamagedRunError):
            yield Finding("damaged", "inference", rows.message, again)
        else:
            found[name] = rows
    yield from _files(run, again)
    yield from _status(run, again)
    yield from _elsewhere(run, again)
    yield from _rows(found.get(TABLE, []), {str(row["cell"]) for row in run.cells}, again)


def _read(path: Path, columns: tuple[Column, ...]) -> list[Row] | DamagedRunError:
    try:
        return list(read_table(path, columns, SCHEMA_VERSION).rows)
    except DamagedRunError as error:
        return error


def _files(run: RunFiles, again: str) -> Iterator[Finding]:
    try:
        wrong = changed_exports(run.folder)
    except DamagedRunError as error:
        wrong = [error.message]
    for path in sorted((run.folder / "inference" / "traces").glob("*.csv.gz")):
        name = path.relative_to(run.folder)
        if text := check_file(path, name, SCHEMA_VERSION):
            wrong.append(f"{name.as_posix()}: {text}")
    for text in wrong:
        yield Finding("damaged", "inference", text, again)


def _elsewhere(run: RunFiles, again: str) -> Iterator[Finding]:
    """Name what of a graph another provider runs than the one its figures are named after."""
    try:
        entries = read_list(run.folder).values()
    except DamagedRunError:
        return  # told as damage
    for entry in entries:
        try:
            told = {str(name): dict(one) for name, one in (entry.get("placement") or {}).items()}
            texts = [text for name, one in told.items() if (text := _placed(name, one))]
        except (AttributeError, KeyError, TypeError, ValueError):
            text = f"{entry['file']}: where its nodes run cannot be read"
            yield Finding("damaged", "inference", text, again)
            continue
        for text in texts:
            yield Finding("note", "inference-elsewhere", f"{entry['file']} with {text}")


def _placed(provider: str, told: Mapping[str, Any]) -> str:
    """Say what of a graph another provider runs; empty if nothing.

    Raises:
        KeyError, TypeError, ValueError: if it is not as it was written.
    """
    if not told["told_by"]:
        return f"{provider}: ONNX Runtime did not tell where its nodes run"
    nodes = [clean(f"{kind} {name}".strip()) for _, kind, name in told["elsewhere"]]
    if not nodes:
        return ""
    total = sum(told["nodes"].values())
    return f"{provider}: {len(nodes)} of {total} nodes run elsewhere: {named(nodes)}"


def _status(run: RunFiles, again: str) -> Iterator[Finding]:
    path = run.folder / "inference" / "manifest.json"
    status = _said(path)
    if status is None:
        yield Finding("damaged", "inference", f"{path}: missing or no JSON object", again)
    elif status != "done":
        words = "was broken off" if status == "running" else f"ended as {status or 'unknown'}"
        text = f"inference {words}"
        remedy = f"To go on: python -m harness.infer {shell_word(run.folder)}"
        yield Finding("incomplete", "inference", text, remedy)


def _said(path: Path) -> str | None:
    try:
        return str(read_object(path).get("status") or "")
    except DamagedRunError:
        return None


def _rows(rows: list[Row], cells: set[str], again: str) -> Iterator[Finding]:
    strange = sorted({str(row["cell"]) for row in rows} - cells)
    if strange:
        text = f"{TABLE} holds cells that the run lacks: {named(strange)}"
        yield Finding("damaged", "inference", text, "Restore the file from a copy of the run.")
    failed = [row for row in rows if row["status"] != "done"]
    if failed:
        first = failed[0]
        text = (
            f"{len(failed)} measurements of inference failed, the first of {first['cell']}:"
            f" {first['reason']}"
        )
        yield Finding("note", "inference-failed", text)
    spoilt = sorted({f for row in rows for f in str(row["flags"] or "").split("+")} - {""})
    if spoilt:
        text = f"windows of inference were measured under other conditions: {', '.join(spoilt)}"
        yield Finding("limit", "inference-conditions", text, again)
    energies = [row for row in rows if row["status"] == "done" and row["energy_j"] is None]
    if energies:
        reason = next((str(r["energy_reason"]) for r in energies if r["energy_reason"]), "unknown")
        text = (
            f"{len(energies)} of {len(rows) - len(failed)} windows of inference have no measured"
            f" energy: {reason}"
        )
        yield Finding("limit", "inference-energy", text, "python -m harness.doctor says why.")
