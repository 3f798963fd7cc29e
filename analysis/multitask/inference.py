"""Read what `harness.infer` measured of a run, and choose what a figure may call its cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from analysis.core.basis import CostBasis
from analysis.core.loading import Run
from analysis.core.numbers import energy_sources, measured_by, source_origin, source_words
from analysis.core.reading import read_table
from harness.core.errors import DamagedRunError
from harness.core.guarded_folder import read_object
from harness.core.schema import INFERENCE, INFERENCE_METRICS
from harness.evidence.disturbed import disturbed_words

TABLE = "inference.csv"
METRICS = Path("inference") / "metrics.csv"
MANIFEST = Path("inference") / "manifest.json"

ONNX = "onnxruntime"
SINGLE_STREAM = "single-stream"
OFFLINE = "offline"
NAMES = {ONNX: "ONNX Runtime", "torch": "torch"}


@dataclass(frozen=True)
class Facts:
    """Hold what inference says of itself: the device it answers for, its host, and limits."""

    device: str
    title: str
    host: str
    matches: bool
    quick: bool
    meter_reason: str
    interval: str = ""


@lru_cache(maxsize=8)
def inference_rows(run: Run) -> pd.DataFrame:
    """Return the finished measurements of a run or of the runs pooled in it; empty without any.

    Raises:
        DamagedRunError: if a table is damaged.
    """
    return _gathered(run, Path(TABLE), INFERENCE).query("status == 'done'")


@lru_cache(maxsize=8)
def inference_metrics(run: Run) -> pd.DataFrame:
    """Return the accuracy of deployed models, with method and seed of their cell.

    Raises:
        DamagedRunError: if a table is damaged.
    """
    rows = _gathered(run, METRICS, INFERENCE_METRICS)
    return rows.merge(run.cells[["cell", "method", "seed"]], on="cell", how="inner")


def _gathered(run: Run, name: Path, columns: tuple[object, ...]) -> pd.DataFrame:
    frames = []
    for folder, names in _folders(run).items():
        if not (folder / name).is_file():
            continue
        frame, _ = read_table(folder / name, columns)  # type: ignore[arg-type]
        frames.append(frame.assign(cell=[names.get(cell, cell) for cell in frame["cell"]]))
    if not frames:
        return pd.DataFrame({c.name: [] for c in columns})  # type: ignore[attr-defined]
    return pd.concat(frames, ignore_index=True)


def _folders(run: Run) -> dict[Path, dict[str, str]]:
    """Return the folders of a run, each with the new name of every cell that has one."""
    found: dict[Path, dict[str, str]] = {}
    for new, (folder, old) in run.origins.items():
        found.setdefault(folder, {})[old] = new
    return found or {run.folder: {}}


def facts(run: Run) -> Facts | None:
    """Return what inference over a run says of itself; None without it, the first of several.

    Raises:
        DamagedRunError: if its manifest cannot be read.
    """
    for folder in _folders(run):
        path = folder / MANIFEST
        if path.is_file():
            raw = read_object(path)
            try:
                return _facts(raw)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise DamagedRunError(
                    f"{path}: cannot be read ({error})", "Restore it from a copy of the run."
                ) from error
    return None


def _facts(raw: Mapping[str, Any]) -> Facts:
    device, host = raw["device"], raw["host"]
    return Facts(
        str(device["name"]), str(device["title"]), str(host["description"]),
        host["matches_device"] is True, raw.get("quick") is True,
        str(raw.get("meter_reason") or ""), str((raw.get("time_model") or {}).get("interval", "")),
    )  # fmt: skip


def origin(run: Run) -> str:
    """Return what limits the figures of inference: another device or host, or a quick try."""
    own = facts(run)
    if own is None:
        return ""
    parts = []
    if own.device != run.manifest.device_name:
        parts.append(f"inference on {own.title}, training on {run.manifest.device_title}")
    if not own.matches:
        interval = f" ({own.interval})" if own.interval else ""
        parts.append(f"inference measured on {own.host}; {own.title} modelled{interval}")
    if run.manifest.quick:
        parts.append("quick run, not for publication")
    elif own.quick:
        parts.append("quick inference, not for publication")
    return "; ".join(parts)


def windows_disturbed(rows: pd.DataFrame) -> str:
    """Return the words that end a caption which rests on disturbed windows; "" for quiet ones.

    Rows of losses have no flags, and no window.
    """
    if "flags" not in rows:
        return ""
    words = disturbed_words(({"flags": flags} for flags in rows["flags"].tolist()), "window")
    return f"DISTURBED: {words}." if words else ""


def answers(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of complete answers."""
    return rows[rows["job"] == ""]


def single_stream(rows: pd.DataFrame) -> pd.DataFrame:
    """Return single-stream rows with the most threads that were measured."""
    own: pd.DataFrame = rows[rows["scenario"] == SINGLE_STREAM]
    most: pd.DataFrame = own[own["threads"] == own["threads"].max()]
    return most


def variants(rows: pd.DataFrame) -> Iterator[tuple[tuple[str, str, str], pd.DataFrame]]:
    """Yield (runtime, precision, provider) and its rows: ONNX Runtime first, fp32 first."""
    keys = rows[["runtime", "precision", "provider"]].drop_duplicates()
    found = [(str(a), str(b), str(c)) for a, b, c in keys.to_numpy().tolist()]
    for key in sorted(found, key=lambda k: (k[0] != ONNX, k[2] != "cpu", k[2], k[1])):
        own = (
            (rows["runtime"] == key[0])
            & (rows["precision"] == key[1])
            & (rows["provider"] == key[2])
        )
        yield key, rows[own]


def variant_words(runtime: str, precision: str, provider: str) -> str:
    """Return a variant for people; the processor is not named."""
    words = [NAMES.get(runtime, runtime), precision, "" if provider == "cpu" else provider]
    return " ".join(word for word in words if word)


@dataclass(frozen=True)
class AnswerBasis:
    """Hold the rows a cost axis may show and what the axis is called.

    Attributes:
        kind: where the numbers come from.
        column: column of inference.csv, per answer.
        quantity: words for the axis, without unit.
        unit: J or s.
        rows: rows that have this number.
        source: meter, scope and kind, of measured energy.
        notes: what the reader of the figure must know.
    """

    kind: Literal["measured", "modelled", "time"]
    column: str
    quantity: str
    unit: str
    rows: pd.DataFrame
    source: tuple[str, str, str] | None
    notes: tuple[str, ...]


def answer_basis(run: Run, rows: pd.DataFrame) -> AnswerBasis:
    """Return the best basis some rows offer: measured energy, else modelled, else latency."""
    words = origin(run)
    start = (words,) if words else ()
    sources = energy_sources(rows)
    if sources:
        known = measured_by(rows, sources[0])
        whose = source_origin(sources[0]).capitalize()
        quantity = f"{whose} energy per answer ({source_words(sources[0])})"
        left = len(rows) - len(known)
        lost = (f"{left} of {len(rows)} points have no such energy",) if left else ()
        return AnswerBasis("measured", "energy_per_image_j", quantity, "J", known, sources[0],
                           (*start, *lost))  # fmt: skip
    known = rows[rows["energy_model_per_image_j"].notna()]
    if len(known):
        note = "energy modelled from the device profile, not measured"
        return AnswerBasis("modelled", "energy_model_per_image_j", "Modelled energy per answer",
                           "J", known, None, (*start, note))  # fmt: skip
    return AnswerBasis("time", "latency_mean_s", "Mean latency per answer", "s", rows, None,
                       (*start, "no energy figure"))  # fmt: skip


def same_kind(training: CostBasis, inference: AnswerBasis) -> str:
    """Return why costs of training and of inference must not be added; empty if they may."""
    if training.kind != inference.kind:
        names = {"measured": "measured energy", "modelled": "modelled energy", "time": "time"}
        return (
            f"training has {names[training.kind]} and inference {names[inference.kind]}, which are"
            " never added"
        )
    if inference.source is not None:
        sources = energy_sources(training.cells)
        if sources[0] != inference.source:
            return (
                f"training was measured by {sources[0][0]} ({source_words(sources[0])}) and"
                f" inference by {inference.source[0]} ({source_words(inference.source)})"
            )
    return ""
