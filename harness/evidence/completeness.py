"""Find what is missing: cells of the matrix, files of cells, lines of tables."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from harness.core.errors import DamagedRunError
from harness.core.guarded_folder import RESTORE
from harness.core.schema import sessions_of
from harness.evidence.derived import derived
from harness.evidence.findings import Finding, named
from harness.evidence.going_on import go_on_words
from harness.evidence.intact import check_file
from harness.evidence.reading import RunFiles
from harness.evidence.sealed import altered, unsealed
from harness.run_folder.lock import is_running

MOST_CELLS = 1_000_000
WAIT = "Wait until it is done."
MEND = "Mend the cause, run again."


def completeness(run: RunFiles) -> Iterator[Finding]:
    """Yield what the run lacks of what its manifest says, and files that are not intact."""
    yield from _status(run)
    yield from _matrix(run)
    yield from _tables(run)
    yield from _files(run)
    yield from derived(run)
    yield from altered(run)
    yield from unsealed(run)


def go_on(run: RunFiles) -> str:
    """Return what to type to finish a run."""
    workload, command = (str(run.manifest.get(key) or "") for key in ("workload", "command"))
    return go_on_words(run.folder, workload, command)


def finish(run: RunFiles) -> str:
    """Return what helps where no cell is finished: of a run that goes on, or failed, too."""
    if is_running(run.folder):
        return WAIT
    return MEND if run.manifest.get("status") == "done" else go_on(run)


def _status(run: RunFiles) -> Iterator[Finding]:
    status = str(run.manifest.get("status"))
    if status == "done":
        return
    if is_running(run.folder):
        text = "the run is still going on"
        yield Finding("incomplete", "running", text, WAIT)
        return
    reason = str(run.manifest.get("reason") or "")
    because = f": {reason}" if reason else ""
    words = "was broken off" if status == "running" else f"ended as {status}{because}"
    yield Finding("incomplete", "not-done", f"the run {words}", go_on(run))


def _matrix(run: RunFiles) -> Iterator[Finding]:
    wanted = _wanted(run)
    there = Counter((r["method"], r["seed"], r["repeat"]) for r in run.cells)
    twice = [key for key, count in there.items() if count > 1]
    foreign = [key for key in there if key not in wanted]
    other = sorted({str(r["run_id"]) for r in run.cells if r["run_id"] != run.run_id})
    for keys, words in ((twice, "is there more than once"), (foreign, "is not in the config")):
        if keys:
            text = f"cells.csv: {named([_cell(key) for key in keys])} {words}"
            yield Finding("damaged", "matrix", text, RESTORE)
    if other:
        text = f"cells.csv holds rows of another run: {named(other)}"
        yield Finding("damaged", "matrix", text, RESTORE)
    missing = [key for key in wanted if key not in there]
    if missing:
        text = (
            f"{len(missing)} of {len(wanted)} cells are missing:"
            f" {named([_cell(key) for key in missing])}"
        )
        yield Finding("incomplete", "cells-missing", text, go_on(run))
    for row in run.cells:
        if row["status"] != "done":
            text = f"{row['cell']} is {row['status'] or 'without status'}: {row['reason'] or '?'}"
            remedy = go_on(run) if row["status"] == "interrupted" else MEND
            yield Finding("incomplete", "cell-not-done", text, remedy)


def _wanted(run: RunFiles) -> list[tuple[Any, ...]]:
    """Return method, seed and repeat of every cell that the configuration asks for."""
    config = run.section("config")
    methods, seeds, repeats = (config.get(key) for key in ("methods", "seeds", "repeats"))
    whole = _all_are(methods, str) and _all_are(seeds, int) and type(repeats) is int
    size = len(methods) * len(seeds) * repeats if whole else 0  # type: ignore[arg-type, operator]
    if not 0 < size <= MOST_CELLS:
        raise DamagedRunError(
            f"{run.folder / 'manifest.json'}: config lacks methods, seeds or repeats", RESTORE
        )
    return list(itertools.product(methods, seeds, range(repeats)))  # type: ignore[arg-type]


def _all_are(values: object, kind: type) -> bool:
    return isinstance(values, list) and all(type(value) is kind for value in values)


def _cell(key: tuple[Any, ...]) -> str:
    method, seed, repeat = key
    return f"{method} seed {seed} repeat {repeat}"


def _tables(run: RunFiles) -> Iterator[Finding]:
    done = run.manifest.get("status") == "done"
    for name, table in run.tables.items():
        if table.torn:
            text = f"{name}: the last line is torn"
            remedy = RESTORE if done else go_on(run)
            yield Finding("damaged" if done else "incomplete", "torn-line", text, remedy)
        if table.unknown:
            text = f"{name}: unknown column {', '.join(table.unknown)} is not used"
            yield Finding("note", "unknown-column", text)
    if sessions_of(run.manifest) and not (run.folder / "events.jsonl").is_file():
        yield Finding("damaged", "file-missing", "events.jsonl is missing", RESTORE)
    for row in run.cells:
        wrong = [k for k, v in row.items() if isinstance(v, float) and not math.isfinite(v)]
        if wrong:
            text = f"{row['cell']}: {', '.join(wrong)} is no finite number"
            yield Finding("damaged", "not-finite", text, RESTORE)
    for number, phase in enumerate(run.phases, 2):
        if not all(math.isfinite(phase[name] or 0.0) for name in ("start_s", "end_s", "time_s")):
            text = f"phases.csv, record {number}: its times are no finite numbers"
            yield Finding("damaged", "not-finite", text, RESTORE)
            break


def _files(run: RunFiles) -> Iterator[Finding]:
    """Yield files that cells need and that are not there, and files that are not as written."""
    missing = [name for name in needed_files(run) if not (run.folder / name).is_file()]
    if missing:
        text = f"{named(missing)}: missing"
        yield Finding("damaged", "file-missing", text, RESTORE)
    version = int(run.manifest["schema_version"])
    for kind in ("traces", "conditions", "affinity", "checkpoints", "events.jsonl"):
        top = run.folder / kind
        paths = [top] if top.is_file() else sorted(p for p in top.rglob("*") if p.is_file())
        for path in paths:
            wrong = check_file(path, path.relative_to(run.folder), version)
            if wrong:
                text = f"{path.relative_to(run.folder).as_posix()}: {wrong}"
                yield Finding("damaged", "file-damaged", text, RESTORE)
    trained = run.done and not run.is_measured
    if trained and not (run.folder / "checkpoints").is_dir():
        yield Finding("note", "no-weights", "the trained weights are not in this folder")


def needed_files(run: RunFiles) -> list[str]:
    """Return the files that the cells of a run speak of: traces of measured, affinity of MAS."""
    merged = run.section("merge")
    measured = [] if run.is_of_clients else [r for r in run.done if r["energy_j"] is not None]
    traces = [f"traces/{row['cell']}.csv.gz" for row in measured]
    affinity = [f"affinity/{r['cell']}.csv" for r in run.done if r["method"] in merged]
    return traces + affinity
