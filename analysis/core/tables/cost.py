"""The cost of each method in work and bytes, with the seconds measured beside those predicted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from analysis.core.loading import Run
from analysis.core.numbers import SeedMean, method_value
from analysis.core.tables.fields import (
    MethodColumn,
    cell_column,
    measured_columns,
    method_rows_table,
    time_columns,
)
from analysis.core.tables.table import NOISE, Absent, Content, Heading, Table
from analysis.core.words import spread_words

KILO = 1e-3
SHARED = re.compile(r"(.+):(\d+-\d+)<(.+)")
"""How cells.csv says that rounds of a job were trained in another cell."""


def cost_table(runs: Sequence[Run]) -> Table | None:
    """Return rounds, passes, bytes, measured and predicted seconds per method.

    Columns that the runs lack, such as `time_predicted_s`, are left out.
    """
    columns = [
        _exact(cell_column(Heading("rounds", "Rounds"))),
        _thousands(Heading("encoder_kilopasses", "Encoder", "10³ images"), "encoder_passes"),
        _thousands(Heading("decoder_kilopasses", "Decoders", "10³ images"), "decoder_passes"),
        _exact(cell_column(Heading("upload_mb", "Up", "MB", "low"), "upload_bytes")),
        _exact(cell_column(Heading("download_mb", "Down", "MB", "low"), "download_bytes")),
        *measured_columns(runs, "energy_net_j", "Energy above idle"),
        *time_columns(runs),
        _exact(_predicted_time()),
        _shared_jobs(),
    ]
    clients = (
        "What each method makes the clients do: rounds, images through forward and backward of "
        "encoder and decoders, bytes of all clients, and seconds."
    )
    judged = runs[0].manifest.yardstick
    what = clients if judged.objective else f"What each {judged.noun} takes."
    return method_rows_table(
        "cost",
        f"{what} {spread_words(runs)}{_net_words(runs)}",
        runs,
        columns,
    )


def _predicted_time() -> MethodColumn:
    """Return predicted seconds where they rest on one timing of the host: a run takes its own."""
    plain = cell_column(Heading("time_predicted_s", "Time, predicted", "s"))

    def read(run: Run, method: str) -> Content:
        timings = [facts.section("calibration") for facts in run.members]
        if any(timing != timings[0] for timing in timings):
            return Absent("The runs pooled here timed their steps apart: predictions do not mix.")
        return plain.read(run, method)

    return MethodColumn(plain.heading, read)


def _thousands(heading: Heading, column: str) -> MethodColumn:
    def read(run: Run, method: str) -> Content:
        by = run.manifest.yardstick.paired_by
        value = method_value(run.done, method, column, KILO, by) if column in run.done else None
        return value or Absent("Not recorded for this method.")

    return _exact(MethodColumn(heading, read))


def _net_words(runs: Sequence[Run]) -> str:
    known = any(run.done["energy_net_j"].notna().any() for run in runs)
    return " Above idle: measured energy less the idle power over the same time." if known else ""


def _shared_jobs() -> MethodColumn:
    """Return which rounds of which jobs a method shares with others, alike seeds said once."""

    def read(run: Run, method: str) -> Content:
        if "shared_jobs" not in run.done:
            return Absent("The run does not say.")
        texts = run.done.loc[run.done["method"] == method, "shared_jobs"].dropna().astype(str)
        methods = _methods_by_cell(run)
        parts = [_shared_words(part, methods) for text in texts for part in text.split("+") if part]
        return ", ".join(dict.fromkeys(parts)) or Absent("Nothing of it is shared.")

    return MethodColumn(Heading("shared_jobs", "Shared, charged to each"), read)


def _methods_by_cell(run: Run) -> dict[str, str]:
    """Return cell → method by the names that cells had before runs were pooled."""
    rows = run.cells[["run_id", "cell", "method"]].astype(str).to_numpy().tolist()
    return {cell.removeprefix(f"{run_id}."): method for run_id, cell, method in rows}


def _shared_words(part: str, methods: dict[str, str]) -> str:
    """Return "sdnkt 1-4 of mas:splits=2" for "sdnkt:1-4<mas-splits-2-s0-r0"."""
    found = SHARED.fullmatch(part)
    if found is None:
        return part
    job, rounds, cell = found.groups()
    return f"{job} {rounds} of {methods.get(cell, cell)}"


def _exact(column: MethodColumn) -> MethodColumn:
    """Return a column of counts without half-widths where all seeds agree."""

    def read(run: Run, method: str) -> Content:
        content = column.read(run, method)
        if isinstance(content, SeedMean) and (content.half_width or 0.0) <= NOISE * content.mean:
            return replace(content, half_width=None)
        return content

    return MethodColumn(column.heading, read, column.why_empty)
