"""Recompute what inference.csv derives: figures of an image, net joules, losses and sizes."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.core.errors import DamagedRunError
from harness.core.guarded_folder import read_object
from harness.core.schema import INFERENCE, INFERENCE_METRICS, PHASE_ROWS, SCHEMA_VERSION, Column
from harness.evidence.reading import RunFiles
from harness.evidence.stated import Contradiction
from harness.evidence.tables import Row, read_table

AGREE = 1e-6
PERCENTILES = ("latency_p50_s", "latency_p90_s", "latency_p95_s", "latency_p99_s")
SHARES = (0.5, 0.9, 0.95, 0.99)
SUBJECT = ("cell", "runtime", "precision", "provider")
OF_PHASE = ("time_s", "energy_j")
"""What a window and its phase both say."""

OF_COUNTERS = (("energy_error_j", "energy_error_j"), ("energy_flags", "flags"))
"""What they say alike of a counter: of sampled power readings that came in between count too."""


def inference_contradictions(run: RunFiles) -> Iterator[Contradiction]:
    """Yield figures of inference that do not follow from the others, nothing without any."""
    rows = [row for row in _rows(run, "inference.csv", INFERENCE) if row["status"] == "done"]
    if not rows:
        return
    metrics = _rows(run, "inference/metrics.csv", INFERENCE_METRICS)
    phases = _rows(run, "inference/phases.csv", PHASE_ROWS)
    told = _manifest(run.folder / "inference" / "manifest.json")
    cells = {str(row["cell"]): row for row in run.cells}
    losses = _losses(metrics)
    yield from _foreign(run, (rows, metrics, phases))
    for row in rows:
        cell = str(row["cell"])
        for column, stated, computed in (
            *_of_cell(row, cells.get(cell, {})),
            *_quotients(row),
            *_net(row, told),
            *_of_phase(row, phases),
            *_total_loss(row, losses),
            *_size(run, row),
        ):
            if not _alike(stated, computed):
                text = f"{column} is {stated} in inference.csv, its other figures give {computed}"
                yield f"inference's {column}", cell, text
        yield from _order(row)


Stated = tuple[str, Any, Any]
"""Column, what stands there, and what follows."""


def _alike(stated: object, computed: object) -> bool:
    numbers = (int, float)
    if isinstance(stated, int) and isinstance(computed, int):
        return stated == computed
    if isinstance(stated, numbers) and isinstance(computed, numbers):
        return math.isclose(stated, computed, rel_tol=AGREE, abs_tol=1e-9)
    return (stated in (None, "")) == (computed in (None, "")) and (
        stated in (None, "") or stated == computed
    )


def _rows(run: RunFiles, name: str, columns: Sequence[Column]) -> list[Row]:
    path = run.folder / name
    try:
        return list(read_table(path, columns, SCHEMA_VERSION).rows) if path.is_file() else []
    except DamagedRunError:
        return []  # named by what looks at files


def _manifest(path: Path) -> Mapping[str, Any]:
    try:
        return read_object(path)
    except DamagedRunError:
        return {}


def _foreign(run: RunFiles, tables: Sequence[Sequence[Row]]) -> Iterator[Contradiction]:
    names = ("inference.csv", "inference/metrics.csv", "inference/phases.csv")
    cells = {str(row["cell"]) for row in run.cells}
    for name, rows in zip(names, tables, strict=True):
        for column, known in (("run_id", {run.run_id}), ("cell", cells | {""})):
            wrong = [str(row[column]) for row in rows if row[column] not in known]
            if wrong:
                yield f"{name} {column}", name, f"{column} is {wrong[0]} in {name}, not of this run"


def _of_cell(row: Row, cell: Row) -> Iterator[Stated]:
    """Yield what the cell of training says of a row too."""
    for column in ("method", "seed", "repeat", "device", "host_matches_device"):
        if cell:
            yield column, row[column], cell[column]
    if cell:
        whole = str(row["job"]).partition("@")[0] if row["job"] else str(cell["tasks"])
        stated = "".join(sorted(str(row["tasks"])))
        known = "".join(sorted(set(stated) & set(whole))) if row["job"] else "".join(sorted(whole))
        yield "tasks", stated, known


def _quotients(row: Row) -> Iterator[Stated]:
    images, time_s = row["images"], row["time_s"]
    if not images or not time_s:
        return
    if None not in (row["queries"], row["batch_size"]):
        yield "images", images, row["queries"] * row["batch_size"]
    if row["scenario"] == "single-stream":
        yield "batch_size", row["batch_size"], 1
    yield "throughput_images_per_s", row["throughput_images_per_s"], images / time_s
    for column, whole in (
        ("energy_per_image_j", row["energy_j"]),
        ("energy_net_per_image_j", row["energy_net_j"]),
        ("energy_model_per_image_j", row["energy_model_j"]),
    ):
        yield column, row[column], None if whole is None else whole / images
    if row["energy_j"] is not None:
        yield "energy_reason", row["energy_reason"], ""


def _net(row: Row, told: Mapping[str, Any]) -> Iterator[Stated]:
    """Yield joules above idle of a run that was measured in one go: then idle power is known."""
    idle = told.get("idle")
    if not isinstance(idle, dict) or told.get("starts") not in (None, 1):
        return
    names = ("before_w", "after_w", "before_error_w", "after_error_w")
    before, after, *bounds = (idle.get(name) for name in names)
    known = [float(w) for w in (before, after) if isinstance(w, (int, float))]
    if row["energy_j"] is None or not known or row["time_s"] is None:
        return
    net_j = row["energy_j"] - row["time_s"] * math.fsum(known) / len(known)
    yield "energy_net_j", row["energy_net_j"], net_j
    if len(known) == 2 and row["energy_error_j"] is not None:
        own = math.fsum(float(b) for b in bounds if isinstance(b, (int, float)))
        error_w = 0.5 * (abs(known[1] - known[0]) + own)
        error_j = row["energy_error_j"] + row["time_s"] * error_w
        yield "energy_net_error_j", row["energy_net_error_j"], error_j


def _of_phase(row: Row, phases: Sequence[Row]) -> Iterator[Stated]:
    """Yield what the window's phase says of it; times from zero are rounded by neither."""
    if not phases or row["start_s"] is None:
        return
    own = [p for p in phases if p["phase"] == "infer" and p["cell"] == row["cell"]]
    near = min(own, key=lambda p: abs((p["start_s"] or 0.0) - row["start_s"]), default=None)
    yield "start_s", row["start_s"], near["start_s"] if near else None
    if near is None:
        return
    yield "job", row["job"] or "", near["job"] or ""
    for column in OF_PHASE:
        yield column, row[column], near[column]
    modelled_s = near["time_model_s"]
    if row["time_model_per_image_s"] is not None and row["images"]:
        each = None if modelled_s is None else modelled_s / row["images"]
        yield "time_model_per_image_s", row["time_model_per_image_s"], each
    if row["energy_model_j"] is not None:
        yield "energy_model_j", row["energy_model_j"], near["energy_model_j"]
    for column, told in OF_COUNTERS if row["energy_kind"] == "counter" else ():
        yield column, row[column], near[told]


def _losses(metrics: Sequence[Row]) -> Mapping[tuple[str, ...], Mapping[str, Mapping[str, float]]]:
    """Return by subject, task and job the test loss of what answers."""
    found: dict[tuple[str, ...], dict[str, dict[str, float]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for row in metrics:
        if row["metric"] == "test_loss" and row["value"] is not None:
            subject = tuple(str(row[name]) for name in SUBJECT)
            found[subject][str(row["task"])][str(row["job"])] = float(row["value"])
    return found


def _total_loss(
    row: Row, losses: Mapping[tuple[str, ...], Mapping[str, Mapping[str, float]]]
) -> Iterator[Stated]:
    of_tasks = losses.get(tuple(str(row[name]) for name in SUBJECT))
    if row["total_loss"] is None or not of_tasks:
        return
    parts = []
    for task in str(row["tasks"]):
        jobs = of_tasks.get(task, {})
        own = [loss for job, loss in jobs.items() if job == row["job"] or not row["job"]]
        if not own:
            return
        parts.append(math.fsum(own) / len(own))
    yield "total_loss", row["total_loss"], math.fsum(parts)


def _size(run: RunFiles, row: Row) -> Iterator[Stated]:
    """Yield the size of the files that answer, where they are here."""
    torch = row["runtime"] == "torch"
    top = run.folder / ("checkpoints" if torch else "inference/models") / str(row["cell"])
    ending = ".safetensors" if torch else f".{row['precision']}.onnx"
    files = [p for p in sorted(top.glob(f"*{ending}")) if p.is_file() and not p.is_symlink()]
    if row["job"]:
        files = [path for path in files if path.name == f"{row['job']}{ending}"]
    if files and len(files) == row["models"]:
        yield "model_bytes", row["model_bytes"], sum(path.stat().st_size for path in files)


def _order(row: Row) -> Iterator[Contradiction]:
    """Yield percentiles that fall, and latencies that do not fit into the window."""
    cell = str(row["cell"])
    known = [(name, row[name]) for name in PERCENTILES if row[name] is not None]
    for (_, lower), (name, upper) in itertools.pairwise(known):
        if upper < lower:
            yield f"inference's {name}", cell, f"{name} is {upper} in inference.csv, below {lower}"
    mean, queries, time_s = row["latency_mean_s"], row["queries"], row["time_s"]
    if None in (mean, queries, time_s):
        return
    spent_s = mean * queries
    if spent_s > time_s * (1.0 + AGREE):
        text = f"latency_mean_s is {mean} in inference.csv, longer than its window allows"
        yield "inference's latency_mean_s", cell, text
    for (name, value), share in zip(known, SHARES, strict=False):
        slower = queries - math.ceil(share * queries) + 1  # itself among them
        if value * slower > spent_s * (1.0 + AGREE):
            text = f"{name} is {value} in inference.csv, more than its mean latency allows"
            yield f"inference's {name}", cell, text
