"""Write what the map keeps: the rows of all finished runs, its two tables, its figure."""

from __future__ import annotations

from pathlib import Path

from analysis.core.figures.writing import write_figure
from analysis.core.venues import venue_width_in
from analysis.multitask.splitting.figure import STEM, drawing
from analysis.multitask.splitting.rows import FILE, joined, read_rows, rows_of, write_rows
from analysis.multitask.splitting.runs import runs
from analysis.multitask.splitting.summary import standings
from analysis.multitask.splitting.table import csv_text, markdown
from harness.core.errors import UsageError
from harness.core.guarded_folder import write_below

VENUE = "ieee"
TABLES = ("map.md", "map_all.csv")
BEGIN, END = "<!-- map -->\n", "<!-- end -->"
"""What stands around the table in a page."""


def read_runs(study: Path, out: Path) -> Path:
    """Take the rows of all methods that are done into the table that is kept; return its path.

    Rows whose run is not here stay: the table may be gathered from several computers.

    Raises:
        UsageError: if the table that is there is damaged.
    """
    kept = read_rows(out) if (out / FILE).exists() else []
    found = [
        row
        for run in runs()
        if (folder := run.begun(study)) is not None
        for row in rows_of(run, folder)
    ]
    return write_rows(out, joined(kept, found))


def write_map(out: Path) -> list[Path]:
    """Write tables and figure from the kept rows alone and return their paths.

    Raises:
        UsageError: if there are no rows.
    """
    found = standings(read_rows(out))
    tables = zip(TABLES, (markdown(found), csv_text(found)), strict=True)
    paths = [write_below(out, name, text.encode()) for name, text in tables]
    write_figure(drawing(found, venue_width_in(VENUE)), out, VENUE)
    return [*paths, *(out / f"{STEM}{ending}" for ending in (".pdf", ".png", ".csv"))]


def put_into(page: Path, out: Path) -> Path:
    """Put the table into a page between its two marks and return the page's path.

    Raises:
        UsageError: if the page is not there or lacks a mark.
    """
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {page}: {error.strerror}") from None
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise UsageError(f"{page} has no place for the table", f"Mark it: {BEGIN.strip()} {END}")
    table = (out / TABLES[0]).read_text(encoding="utf-8")
    return write_below(page.parent, page.name, f"{before}{BEGIN}{table}{END}{after}".encode())
