"""The cost of each method in work and bytes, with the seconds measured beside those predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from analysis.loading import Run
from analysis.numbers import Value, method_value
from analysis.tables.fields import Column, cell_column, method_rows_table, time_columns
from analysis.tables.table import NOISE, Absent, Content, Heading, Table
from analysis.words import spread_words

KILO = 1e-3
SHARED = ("shared_jobs",)
"""Columns of cells.csv, if a run has them, that say what work methods share and each is charged."""


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
        *time_columns(runs),
        _exact(cell_column(Heading("time_predicted_s", "Time, predicted", "s"))),
        *[_text(name) for name in SHARED if any(name in run.done for run in runs)],
    ]
    return method_rows_table(
        "cost",
        "What each method makes the clients do: rounds, images through forward and backward of "
        f"encoder and decoders, bytes of all clients, and seconds. {spread_words(runs)}",
        runs,
        columns,
    )


def _thousands(heading: Heading, column: str) -> Column:
    def read(run: Run, method: str) -> Content:
        value = method_value(run.done, method, column, KILO) if column in run.done else None
        return value or Absent("Not recorded for this method.")

    return _exact(Column(heading, read))


def _text(column: str) -> Column:
    """Return a column of text: what the cells of a method say, each saying once."""

    def read(run: Run, method: str) -> Content:
        if column not in run.done:
            return Absent("The run does not say.")
        texts = run.done.loc[run.done["method"] == method, column].dropna().astype(str)
        said = [text for text in dict.fromkeys(texts) if text]
        return ", ".join(said) or Absent("Nothing of it is shared.")

    return Column(Heading(column, "Shared jobs, charged to each"), read)


def _exact(column: Column) -> Column:
    """Return a column of counts without half-widths where all seeds agree."""

    def read(run: Run, method: str) -> Content:
        content = column.read(run, method)
        if isinstance(content, Value) and (content.half_width or 0.0) <= NOISE * content.mean:
            return replace(content, half_width=None)
        return content

    return Column(column.heading, read, column.why_empty)
