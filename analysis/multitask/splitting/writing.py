"""Write what the map keeps: the rows of all finished runs, its two tables, its figure."""

from __future__ import annotations

import sys
from pathlib import Path

from analysis.core.figures.writing import write_figure
from analysis.core.venues import venue_width_in
from analysis.multitask.splitting.claims import claim_table
from analysis.multitask.splitting.figure import STEM, drawing
from analysis.multitask.splitting.points import CLAIMS
from analysis.multitask.splitting.rows import (
    FILE,
    StudyRow,
    joined,
    read_rows,
    rows_of,
    write_rows,
)
from analysis.multitask.splitting.rules import baselines, paper_rows
from analysis.multitask.splitting.runs import runs
from analysis.multitask.splitting.summary import standings
from analysis.multitask.splitting.table import csv_text, markdown
from harness.core.clean_text import say
from harness.core.errors import HarnessError, UsageError
from harness.core.guarded_folder import write_below

VENUE = "ieee"
TABLES = {
    name: f"{name}.md" for name in ("map", "baselines", "paper", *(point.name for point in CLAIMS))
}
"""Mark of a page → file of the table that goes between it and the next `END`."""
END = "<!-- end -->"
ALL = "map_all.csv"


def read_runs(study: Path, out: Path, *, warn: bool = False) -> Path:
    """Take the rows of all methods that are done into the table that is kept; return its path.

    Rows whose run is not here, or cannot be read, stay: the table may be gathered from several
    computers. With `warn` it is said which runs that are done cannot be read, or that there is
    none.

    Raises:
        UsageError: if the table that is there is damaged.
    """
    kept = read_rows(out) if (out / FILE).exists() else []
    found: list[StudyRow] = []
    for run in runs():
        folder = run.begun(study)
        if folder is None:
            continue
        try:
            found += rows_of(run, folder)
        except HarnessError as error:
            if warn and run.finished(study):
                say(f"left out: {error.message}", sys.stderr)
    if warn and not found:
        say(f"{study} has no run of the study with a method that is done", sys.stderr)
    return write_rows(out, joined(kept, found))


def write_map(out: Path) -> list[Path]:
    """Write tables and figure from the kept rows alone and return their paths.

    Raises:
        UsageError: if the rows are not there, or damaged.
    """
    rows = read_rows(out)
    found = standings(rows)
    claims = [claim_table(rows, point) for point in CLAIMS]
    texts = (markdown(found), baselines(rows), paper_rows(rows), *claims, csv_text(found))
    names = (*TABLES.values(), ALL)
    paths = [write_below(out, name, text.encode()) for name, text in zip(names, texts, strict=True)]
    write_figure(drawing(found, venue_width_in(VENUE)), out, VENUE)
    return [*paths, *(out / f"{STEM}{ending}" for ending in (".pdf", ".png", ".csv"))]


def put_into(page: Path, out: Path) -> Path:
    """Put each table into a page between its two marks and return the page's path.

    Raises:
        UsageError: if the page is not there or no text, or has no mark, or one without its end.
    """
    try:
        text = page.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise UsageError(f"cannot read {page}: {reason}") from None
    marked = [name for name in TABLES if begin(name) in text]
    if not marked:
        wanted = " or ".join(begin(name).strip() for name in TABLES)
        raise UsageError(f"{page} has no place for a table", f"Mark it: {wanted} … {END}")
    for name in marked:  # all are looked at before one is filled: a page is written whole or not
        inside, end, _ = text.partition(begin(name))[2].partition(END)
        if not end or any(begin(other) in inside for other in TABLES):
            raise UsageError(f"{page}: {begin(name).strip()} has no {END}", f"Add {END}.")
    for name in marked:
        before, _, rest = text.partition(begin(name))
        table = (out / TABLES[name]).read_text(encoding="utf-8")
        text = f"{before}{begin(name)}{table}{END}{rest.partition(END)[2]}"
    return write_below(page.parent, page.name, text.encode())


def begin(name: str) -> str:
    """Return the line before a table of a page."""
    return f"<!-- {name} -->\n"
