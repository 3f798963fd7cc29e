"""One table object, written as CSV (full precision), Markdown and booktabs LaTeX (rounded)."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Literal

from analysis.numbers import Value

Content = str | Value | None
MISSING = "–"
NOISE = 1e-9

LATEX_CHARACTERS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "Δ": r"$\Delta$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "→": r"$\rightarrow$",
}


@dataclass(frozen=True)
class Heading:
    """Describe one column of a table.

    Attributes:
        key: name of the column in the CSV file, with its unit.
        title: name for people, without unit.
        unit: unit for people; empty for text and pure numbers.
        better: which direction is better, if any.
    """

    key: str
    title: str
    unit: str = ""
    better: Literal["low", "high", ""] = ""

    @property
    def label(self) -> str:
        """Return the title with the arrow of the better direction."""
        arrow = {"low": " ↓", "high": " ↑", "": ""}[self.better]
        return f"{self.title}{arrow}"


@dataclass(frozen=True)
class Table:
    """Hold rows of text and values; every output format is made from it.

    Attributes:
        name: stem of its files.
        caption: one paragraph, with n and the kind of interval.
        headings: one per column.
        rows: one entry per column; None is a missing value.
        provenance: lines that say where the numbers come from.
        reference_rows: how many of the last rows are references set off from the methods.
    """

    name: str
    caption: str
    headings: Sequence[Heading]
    rows: Sequence[Sequence[Content]]
    provenance: Sequence[str] = ()
    reference_rows: int = 0

    def decimals(self, index: int) -> int:
        """Return the decimals of a column."""
        return column_decimals([row[index] for row in self.rows])

    def is_numeric(self, index: int) -> bool:
        """Tell whether a column holds values."""
        return any(isinstance(row[index], Value) for row in self.rows)


def column_decimals(contents: Sequence[Content]) -> int:
    """Return how many decimals a column is written with, alike for mean and half-width.

    Two digits of the smallest half-width are kept, but not more than five digits of the smallest
    mean, so that one lucky pair of seeds does not blow up the column; a half-width of mere
    rounding noise does not count. Without half-widths, four digits of the largest mean or three
    of the smallest are kept.
    """
    values = [content for content in contents if isinstance(content, Value)]
    sizes = [abs(value.mean) for value in values if value.mean] or [1.0]
    halves = [(value.half_width or 0.0, value) for value in values]
    widths = [half for half, value in halves if half > NOISE * abs(value.mean)]
    if widths:
        return max(0, min(_decimals(min(widths), 2), _decimals(min(sizes), 5)))
    return max(0, _decimals(max(sizes), 4), _decimals(min(sizes), 3))


def value_text(value: Value, decimals: int) -> str:
    """Return "mean ± half-width", or the mean alone for one seed."""
    mean = _plain(value.mean, decimals)
    return mean if value.half_width is None else f"{mean} ± {_plain(value.half_width, decimals)}"


def best_row(table: Table, index: int) -> int | None:
    """Return the row whose value is best beyond its interval, or None.

    None if the column has no better direction, if a value rests on fewer than two seeds, or if
    the best interval touches another one.
    """
    better = table.headings[index].better
    rows = table.rows[: len(table.rows) - table.reference_rows]
    values = [(number, row[index]) for number, row in enumerate(rows)]
    known = [(number, value) for number, value in values if isinstance(value, Value)]
    if not better or len(known) < 2 or any(value.half_width is None for _, value in known):
        return None
    sign = 1.0 if better == "low" else -1.0
    number, best = min(known, key=lambda item: sign * item[1].mean)
    for other, value in known:
        apart = best.high < value.low if better == "low" else best.low > value.high
        if other != number and not apart:
            return None
    return number


def to_csv(table: Table) -> str:
    """Return the table with full precision: mean, half-width and n in columns of their own."""
    header: list[str] = []
    for index, heading in enumerate(table.headings):
        header.append(heading.key)
        if table.is_numeric(index):
            header += [f"{heading.key}_half_width_95", f"{heading.key}_n"]
    lines = [header]
    for row in table.rows:
        line: list[str] = []
        for index, content in enumerate(row):
            line += _csv_fields(content, table.is_numeric(index))
        lines.append(line)
    out = StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    return out.getvalue()


def to_markdown(table: Table) -> str:
    """Return the table for a README: caption, then a pipe table with units in the header."""
    heads = [_markdown_escape(_header_text(heading)) for heading in table.headings]
    rule = ["---:" if table.is_numeric(index) else "---" for index in range(len(heads))]
    lines = [f"<!-- {_comment_safe(line)} -->" for line in table.provenance]
    lines += [_markdown_escape(table.caption), "", _pipe(heads), _pipe(rule)]
    for row in display_rows(table):
        lines.append(_pipe([_markdown_escape(text) for text in row]))
    return "\n".join(lines) + "\n"


def to_latex(table: Table) -> str:
    r"""Return the tabular alone, so that `\input` works; it needs the package booktabs."""
    columns = range(len(table.headings))
    layout = "".join("r" if table.is_numeric(index) else "l" for index in columns)
    units = [f"({latex_escape(head.unit)})" if head.unit else "" for head in table.headings]
    lines = [f"% {_one_line(line)}" for line in table.provenance]
    lines += [rf"\begin{{tabular}}{{{layout}}}", r"\toprule"]
    lines.append(_latex_row([latex_escape(head.label) for head in table.headings]))
    if any(units):
        lines.append(_latex_row(units))
    lines.append(r"\midrule")
    best = [best_row(table, index) for index in columns]
    for number, row in enumerate(display_rows(table)):
        if table.reference_rows and number == len(table.rows) - table.reference_rows:
            lines.append(r"\midrule")
        texts = [latex_escape(text) for text in row]
        lines.append(
            _latex_row([_bold(texts[i]) if best[i] == number else texts[i] for i in columns])
        )
    lines += [r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def display_rows(table: Table) -> list[list[str]]:
    """Return the rows as rounded text, an en dash for a missing value."""
    decimals = [table.decimals(index) for index in range(len(table.headings))]
    return [
        [_display(content, decimals[index]) for index, content in enumerate(row)]
        for row in table.rows
    ]


def latex_escape(text: str) -> str:
    """Return text that LaTeX prints as it stands."""
    return "".join(LATEX_CHARACTERS.get(character, character) for character in _one_line(text))


def spreadsheet_safe(text: str) -> str:
    """Return text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def _display(content: Content, decimals: int) -> str:
    if isinstance(content, Value):
        return value_text(content, decimals)
    return content or MISSING


def _csv_fields(content: Content, numeric: bool) -> list[str]:
    if isinstance(content, Value):
        half = "" if content.half_width is None else repr(content.half_width)
        return [repr(content.mean), half, str(content.n)]
    text = spreadsheet_safe(content or "")
    return [text, "", ""] if numeric else [text]


def _header_text(heading: Heading) -> str:
    return f"{heading.label} ({heading.unit})" if heading.unit else heading.label


def _latex_row(texts: Sequence[str]) -> str:
    return " & ".join(texts) + r" \\"


def _bold(text: str) -> str:
    return rf"\textbf{{{text}}}"


def _pipe(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _markdown_escape(text: str) -> str:
    escaped = _one_line(text).replace("\\", "\\\\").replace("|", r"\|")
    return escaped.replace("<", "&lt;").replace("_", r"\_").replace("*", r"\*")


def _comment_safe(text: str) -> str:
    return _one_line(text).replace("-->", "- ->")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _decimals(size: float, digits: int) -> int:
    """Return the decimals that show `digits` leading digits of a positive number."""
    return digits - 1 - math.floor(math.log10(size))


def _plain(number: float, decimals: int) -> str:
    text = f"{number:.{decimals}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")
