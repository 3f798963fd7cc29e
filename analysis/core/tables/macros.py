r"""Write every content of every table as a LaTeX macro, so that the text of a paper stays right.

A name is the table, the row and the column, in letters only: `\MainMasSplitsTwoTimeS` is the mean
of `time_s` in the row `mas:splits=2` of the table `main`; `…HalfWidth` and `…N` stand beside it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from analysis.core.tables.table import Table, display_rows, footnote_letter
from analysis.core.tables.text import latex_escape
from harness.core.markdown import one_line

DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


def to_macros(tables: Sequence[Table]) -> str:
    r"""Return one `\newcommand` per content; numbers are rounded as in their tables."""
    provenance = list(dict.fromkeys(line for table in tables for line in table.provenance))
    lines = [f"% {one_line(line)}" for line in provenance]
    used: set[str] = set()
    for table in tables:
        names = row_names(table)
        lines.append(f"% table {table.name}")
        for name, row, contents in zip(names, display_rows(table), table.rows, strict=True):
            for index in range(table.key_columns, len(row)):
                field = row[index]
                if field.mark:
                    continue
                stem = macro_name(table.name, name, table.headings[index].key)
                n = getattr(contents[index], "n", None)
                spread = [("HalfWidth", field.spread)]
                if field.bounds:
                    spread = [("Low", field.bounds[0]), ("High", field.bounds[1])]
                for ending, text in [("", field.text), *spread, ("N", n and str(n))]:
                    if text:
                        lines.append(_command(stem + ending, text, used))
    return "\n".join(lines) + "\n"


def row_names(table: Table) -> list[str]:
    """Return what names each row: its key columns that differ between rows, or all of them."""
    columns = range(table.key_columns)
    telling = [i for i in columns if len({str(row[i]) for row in table.rows}) > 1] or list(columns)
    return [" ".join(str(row[i]) for i in telling if row[i]) for row in table.rows]


def macro_name(*parts: str) -> str:
    """Return the parts as one name of letters, digits spelled out, each word capitalised."""
    words = re.findall(r"[A-Za-z]+|[0-9]", " ".join(parts))
    return "".join(DIGITS[int(w)] if w.isdigit() else w[:1].upper() + w[1:] for w in words)


def _command(name: str, text: str, used: set[str]) -> str:
    """Return one definition; a name that is taken gets a letter, in the order of the tables."""
    unique, number = name, 0
    while unique in used:
        number += 1
        unique = name + footnote_letter(number).upper()
    used.add(unique)
    return rf"\newcommand{{\{unique}}}{{{latex_escape(text)}}}"
