"""Write a paper of every table and figure of a report, ready to be compiled and cut down."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.core.figures.drawing import Drawing
from analysis.core.tables.formats import MOST_ROWS, caption_name
from analysis.core.tables.table import Table

HEAD = r"""% pdflatex paper                                        one column
% pdflatex '\def\papercolumns{twocolumn}\input{paper}'    two columns
\providecommand{\papercolumns}{onecolumn}
\documentclass[\papercolumns]{article}
\usepackage[margin=2cm]{geometry}
\usepackage{booktabs,graphicx}
\input{tables/macros}    % every number of every table
\input{tables/captions}  % every caption
\setcounter{totalnumber}{20}\setcounter{dbltopnumber}{20}
\renewcommand{\topfraction}{1}\renewcommand{\dbltopfraction}{1}\renewcommand{\textfraction}{0}
\sloppy
\begin{document}
"""

WIDE = 6
"""Columns from which a table goes over both columns of a page."""


def paper_tex(tables: Sequence[Table], drawings: Sequence[Drawing]) -> str:
    """Return the paper; it is compiled in the folder of the report."""
    parts = [_table(table) for table in tables if len(table.rows) <= MOST_ROWS]
    parts += [_figure(drawing) for drawing in drawings]
    long = [_long_table(table) for table in tables if len(table.rows) > MOST_ROWS]
    ending = [r"\clearpage\onecolumn", *long] if long else []
    return HEAD + "\n".join([*parts, *ending, r"\end{document}"]) + "\n"


def _table(table: Table) -> str:
    float_name = "table*" if len(table.headings) >= WIDE else "table"
    return (
        rf"\begin{{{float_name}}}[tp]\centering\caption{{\{caption_name(table.name)}}}"
        rf"\label{{tab:{table.name}}}\input{{tables/{table.name}}}\end{{{float_name}}}\clearpage"
    )


def _figure(drawing: Drawing) -> str:
    return (
        rf"\begin{{figure}}[tp]\centering\includegraphics[width=\columnwidth,"
        rf"height=.8\textheight,keepaspectratio]{{figures/{drawing.stem}}}"
        rf"\caption{{\{caption_name(drawing.stem)}}}\label{{fig:{drawing.stem}}}\end{{figure}}"
        r"\clearpage"
    )


def _long_table(table: Table) -> str:
    """Return a table outside of floats, as pages must break within it."""
    return (
        rf"\refstepcounter{{table}}\label{{tab:{table.name}}}\noindent Table~\thetable: "
        rf"\{caption_name(table.name)}\par\medskip\noindent\input{{tables/{table.name}}}\clearpage"
    )
