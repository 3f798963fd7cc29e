"""Write a table as CSV (full precision), Markdown and booktabs LaTeX (rounded alike)."""

from __future__ import annotations

import csv
import textwrap
from collections.abc import Sequence
from io import StringIO

from analysis.core.numbers import RatioEstimate, SeedMean
from analysis.core.tables.macros import macro_name
from analysis.core.tables.table import Content, Heading, Shown, Table, display_rows, footnote_letter
from analysis.core.tables.text import latex_escape, row_start
from harness.core.clean_text import spreadsheet_safe
from harness.core.markdown import comment_safe, markdown_escape, markdown_line, one_line

LONG = 60
"""Letters from which a column of text is broken into lines in LaTeX."""

HEAD = 13
"""Letters of a line of a column's head in LaTeX."""

PIECE = 12
"""Letters of a word in a column of text after which it may be broken."""

MOST_ROWS = 45
"""Rows of a table in LaTeX that fit on a page; of more there are several tables."""

LONG_WIDTH = 0.6
"""Share of the line that all such columns have together."""


def to_csv(table: Table) -> str:
    """Return the table with full precision: mean, half-width and n in columns of their own."""
    header: list[str] = []
    for index, heading in enumerate(table.headings):
        header.append(heading.key)
        if table.is_numeric(index):
            spread = ("low_95", "high_95") if table.has_bounds(index) else ("half_width_95",)
            header += [f"{heading.key}_{ending}" for ending in (*spread, "n")]
    lines = [header]
    for row in table.rows:
        line: list[str] = []
        for index, content in enumerate(row):
            if table.has_bounds(index):
                line += _ratio_fields(content)
            else:
                line += _csv_fields(content, table.is_numeric(index))
        lines.append(line)
    out = StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    return out.getvalue()


def to_markdown(table: Table) -> str:
    """Return the table for a README: caption, a pipe table with units in the header, footnotes."""
    heads = [markdown_escape(_header_text(heading)) for heading in table.headings]
    rule = ["---:" if table.is_numeric(index) else "---" for index in range(len(heads))]
    lines = [f"<!-- {comment_safe(line)} -->" for line in table.provenance]
    lines += [markdown_line(table.caption), "", _pipe(heads), _pipe(rule)]
    lines += [_pipe([_markdown_field(field) for field in row]) for row in display_rows(table)]
    notes = [
        f"<sup>{footnote_letter(n)}</sup> {markdown_escape(reason)}"
        for n, reason in enumerate(table.footnotes())
    ]
    lines += ["", *"<br>\n".join(notes).splitlines()] if notes else []
    return "\n".join(lines) + "\n"


def to_latex(table: Table) -> str:
    r"""Return the tables alone, so that `\input` works in a column of any width; needs booktabs.

    A column with half-widths is two: means to the right and half-widths to the left, so that
    decimal points stand below each other. What would be wider than the line is set smaller, if the
    package graphicx is loaded. A long table is several, so that pages can break between them.
    Footnotes stand below, in the width of the line.
    """
    fields = display_rows(table)
    parts = [range(n, min(n + MOST_ROWS, len(fields))) for n in range(0, len(fields), MOST_ROWS)]
    lines = [f"% {one_line(line)}" for line in table.provenance]
    lines += [r"\begingroup\footnotesize\setlength{\tabcolsep}{3.5pt}%"]
    for number, part in enumerate(parts):
        lines += [r"\par\medskip"] if number else []
        lines += _fitted(_tabular(table, fields, part))
    for n, reason in enumerate(table.footnotes()):
        note = rf"\textsuperscript{{{footnote_letter(n)}}}~{latex_escape(reason)}"
        lines.append(rf"\par\smallskip\parbox{{\linewidth}}{{\raggedright {note}}}%")
    return "\n".join([*lines, r"\endgroup"]) + "\n"


def _fitted(lines: Sequence[str]) -> list[str]:
    """Return a tabular in a box that is no wider than the line."""
    return [
        r"\setbox0=\hbox{%", *lines[:-1], lines[-1] + "}%",
        r"\ifdim\wd0>\linewidth\ifdefined\resizebox\resizebox{\linewidth}{!}{\box0}%",
        r"\else\box0 \fi\else\box0 \fi",
    ]  # fmt: skip


def _tabular(table: Table, fields: Sequence[Sequence[Shown]], part: range) -> list[str]:
    """Return some rows of a table with its heads."""
    columns = range(len(table.headings))
    wide = [any(row[index].spread for row in fields) for index in columns]
    long = [any(len(row[index].text) > LONG for row in fields) for index in columns]
    layout = "".join(
        _layout(table.is_numeric(index), wide[index], long[index] and sum(long))
        for index in columns
    )
    units = [f"({latex_escape(head.unit)})" if head.unit else "" for head in table.headings]
    lines = [rf"\begin{{tabular}}{{{layout}}}", r"\toprule"]
    lines.append(_latex_heads([_stacked(head.label) for head in table.headings], wide))
    if any(units):
        lines.append(_latex_heads(units, wide))
    lines.append(r"\midrule")
    for number in part:
        if number > part.start and table.begins_group(number):
            lines.append(r"\midrule")
        texts = [_latex_field(fields[number][i], wide[i], breaks=long[i]) for i in columns]
        lines.append(_latex_row(texts))
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _stacked(label: str) -> str:
    """Return a head whose words stand below each other where it is long."""
    parts = textwrap.wrap(label.replace(" ↓", "\u00a0↓").replace(" ↑", "\u00a0↑"), HEAD)
    escaped = [row_start(latex_escape(part)) for part in parts]
    if len(escaped) < 2:
        return "".join(escaped)
    stack = r" \\ ".join(escaped)
    return rf"\begin{{tabular}}[b]{{@{{}}c@{{}}}}{stack}\end{{tabular}}"


def to_caption(table: Table) -> str:
    r"""Return the definition of a macro that holds the caption, for `\caption{\CaptionMain}`."""
    return caption_macro(table.name, table.caption)


def caption_macro(name: str, caption: str) -> str:
    """Return the definition of the macro of a caption, named after its table or figure."""
    return rf"\newcommand{{\{caption_name(name)}}}{{{latex_escape(caption)}}}" + "\n"


def caption_name(name: str) -> str:
    """Return the name of the macro of a caption."""
    return macro_name("caption", name)


def _ratio_fields(content: Content) -> list[str]:
    if not isinstance(content, RatioEstimate):
        return ["", "", "", ""]
    bounds = ["" if bound is None else repr(bound) for bound in (content.lower, content.upper)]
    return [repr(content.mean), *bounds, str(content.n)]


def _csv_fields(content: Content, numeric: bool) -> list[str]:
    if isinstance(content, SeedMean):
        half = "" if content.half_width is None else repr(content.half_width)
        return [repr(content.mean), half, str(content.n)]
    text = spreadsheet_safe(content) if isinstance(content, str) else ""
    return [text, "", ""] if numeric else [text]


def _header_text(heading: Heading) -> str:
    return f"{heading.label} ({heading.unit})" if heading.unit else heading.label


def _markdown_field(field: Shown) -> str:
    text = markdown_escape(field.plain)
    mark = f"<sup>{field.mark}</sup>" if field.mark else ""
    return {0: text, 1: f"**{text}**", 2: f"<u>{text}</u>"}[field.rank] + mark


def _layout(numeric: bool, wide: bool, long_columns: int) -> str:
    if wide:
        return "r@{}l"
    if long_columns:
        return rf"p{{{LONG_WIDTH / long_columns:.2g}\linewidth}}"
    return "r" if numeric else "l"


def _latex_heads(texts: Sequence[str], wide: Sequence[bool]) -> str:
    return _latex_row(
        [rf"\multicolumn{{2}}{{c}}{{{t}}}" if w else t for t, w in zip(texts, wide, strict=True)]
    )


def _latex_field(field: Shown, wide: bool, *, breaks: bool = False) -> str:
    text = _breakable(field.text) if breaks else latex_escape(field.text)
    if field.mark:
        text += rf"\textsuperscript{{{field.mark}}}"
        return rf"\multicolumn{{2}}{{c}}{{{text}}}" if wide else text
    spread = rf"\,$\pm$\,{field.spread}" if field.spread else ""
    spread = rf"~({latex_escape(field.spread)})" if field.bounds else spread
    if field.rank == 1:
        text, spread = rf"\textbf{{{text}}}", rf"\textbf{{{spread}}}" if spread else ""
    if field.rank == 2:
        text = rf"\underline{{{text}}}"
    return f"{text} & {spread}" if wide else text


def _breakable(text: str) -> str:
    """Return a text in which checksums and paths may be broken over lines."""
    words = []
    for word in text.split():
        pieces = [word[n : n + PIECE] for n in range(0, len(word), PIECE)]
        words.append(r"\hspace{0pt}".join(map(latex_escape, pieces)))
    return " ".join(words)


def _latex_row(texts: Sequence[str]) -> str:
    return row_start(" & ".join(text.rstrip() for text in texts)) + r" \\"


def _pipe(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"
