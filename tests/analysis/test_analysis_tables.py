"""One table object gives CSV, Markdown and LaTeX; the expected texts are written by hand."""

from __future__ import annotations

import pytest

from analysis.numbers import Value
from analysis.tables import (
    Heading,
    Table,
    best_row,
    column_decimals,
    latex_escape,
    to_csv,
    to_latex,
    to_markdown,
    value_text,
)

HEADINGS = [
    Heading("method", "Method"),
    Heading("time_s", "Time", "s", "low"),
    Heading("share", "Share_A", "%", "high"),
]


def small_table(**changes) -> Table:
    """Return a table of two methods and a reference with a missing value."""
    facts = {
        "name": "small",
        "caption": "Two | methods.",
        "headings": HEADINGS,
        "rows": [
            ["mas:splits=2", Value(51.96, 1.234, 3), Value(5.0, 3.1, 3)],
            ["a_b & c", Value(104.04, 9.876, 3), Value(4.0, 2.2, 3)],
            ["reference", None, Value(-1.25, None, 3)],
        ],
        "provenance": ["run: x_1", "command: python --quick"],
        "reference_rows": 1,
    }
    return Table(**{**facts, **changes})


LATEX = r"""% run: x_1
% command: python --quick
\begin{tabular}{lrr}
\toprule
Method & Time $\downarrow$ & Share\_A $\uparrow$ \\
 & (s) & (\%) \\
\midrule
mas:splits=2 & \textbf{52.0 $\pm$ 1.2} & 5.0 $\pm$ 3.1 \\
a\_b \& c & 104.0 $\pm$ 9.9 & 4.0 $\pm$ 2.2 \\
\midrule
reference & -- & $-$1.2 \\
\bottomrule
\end{tabular}
"""

MARKDOWN = r"""<!-- run: x_1 -->
<!-- command: python --quick -->
Two \| methods.

| Method | Time ↓ (s) | Share\_A ↑ (%) |
| --- | ---: | ---: |
| mas:splits=2 | 52.0 ± 1.2 | 5.0 ± 3.1 |
| a\_b & c | 104.0 ± 9.9 | 4.0 ± 2.2 |
| reference | – | −1.2 |
"""

CSV = """method,time_s,time_s_half_width_95,time_s_n,share,share_half_width_95,share_n
mas:splits=2,51.96,1.234,3,5.0,3.1,3
a_b & c,104.04,9.876,3,4.0,2.2,3
reference,,,,-1.25,,3
"""


def test_latex_is_the_text_written_by_hand():
    """Booktabs rules only, units in the header, best bold beyond its interval, missing a dash."""
    assert to_latex(small_table()) == LATEX


def test_markdown_is_the_text_written_by_hand():
    """Same numbers as LaTeX; pipes and underscores of the content do not break the table."""
    assert to_markdown(small_table()) == MARKDOWN


def test_csv_has_full_precision_and_n():
    """The CSV keeps every digit and puts half-width and n in columns of their own."""
    assert to_csv(small_table()) == CSV


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-x", "@sum"])
def test_csv_text_is_no_formula(text):
    """A spreadsheet must not run text that begins like a formula."""
    table = small_table(rows=[[text, Value(1.0, None, 1), None]], reference_rows=0)
    assert to_csv(table).splitlines()[1].startswith(f"'{text}")


def test_every_special_character_of_latex_is_escaped():
    """The ten characters with a meaning in LaTeX print as themselves."""
    assert latex_escape(r"\&%$#_{}~^") == (
        r"\textbackslash{}\&\%\$\#\_\{\}\textasciitilde{}\textasciicircum{}"
    )


@pytest.mark.parametrize(
    ("values", "decimals"),
    [
        ([Value(0.57751, 0.00423, 3)], 4),  # two digits of the half-width
        ([Value(123.4, 15.0, 3)], 0),
        ([Value(8.83, None, 1)], 3),  # four digits without half-width
        ([Value(120.0, None, 1), Value(0.0312, None, 1)], 4),  # three digits of the smallest
        ([Value(0.5, 1e-17, 3)], 4),  # rounding noise is no spread
        ([Value(0.5, 1e-8, 2), Value(0.6, 0.02, 2)], 5),  # a lucky pair must not blow it up
        ([Value(0.0, 0.0, 3)], 3),
    ],
)
def test_decimals_of_a_column(values, decimals):
    """Decimals follow the uncertainty and are the same in the whole column."""
    assert column_decimals(values) == decimals


def test_one_seed_prints_no_spread():
    """A single seed prints the value alone, with a real minus sign and no minus zero."""
    assert value_text(Value(-3.14159, None, 1), 2) == "−3.14"
    assert value_text(Value(-0.0001, None, 1), 2) == "0.00"


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ([Value(1.0, 0.1, 3), Value(2.0, 0.1, 3)], 0),
        ([Value(1.0, 0.6, 3), Value(2.0, 0.6, 3)], None),  # intervals touch
        ([Value(1.0, None, 1), Value(2.0, None, 1)], None),  # one seed
        ([Value(1.0, 0.1, 3), None], None),  # nothing to be better than
        ([Value(1.0, 0.1, 3), Value(1.0, 0.0, 3)], None),  # tie
    ],
)
def test_bold_only_beyond_the_interval(values, best):
    """The best is marked only if n >= 2 everywhere and no interval reaches into its own."""
    rows = [[f"m{number}", value, None] for number, value in enumerate(values)]
    assert best_row(small_table(rows=rows, reference_rows=0), 1) == best


def test_a_reference_row_is_never_the_best():
    """The mean predictor is no method, so it is neither bold nor does it prevent bold."""
    rows = [
        ["a", Value(2.0, 0.1, 3), None],
        ["b", Value(3.0, 0.1, 3), None],
        ["reference", Value(1.0, None, 3), None],
    ]
    assert best_row(small_table(rows=rows), 1) == 0
