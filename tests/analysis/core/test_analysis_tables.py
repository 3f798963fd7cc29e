"""One table object gives CSV, Markdown, LaTeX and macros; the expected texts are by hand."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from analysis.core.numbers import SeedMean
from analysis.core.tables.formats import to_csv, to_latex, to_markdown
from analysis.core.tables.macros import macro_name, row_names, to_macros
from analysis.core.tables.table import (
    Absent,
    Heading,
    Table,
    column_decimals,
    column_ranks,
    display_rows,
    footnote_letter,
)
from analysis.core.tables.text import latex_escape

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
            ["mas:splits=2", SeedMean(51.96, 1.234, 3), SeedMean(5.0, 3.1, 3)],
            ["a_b & c", SeedMean(104.04, 9.876, 3), SeedMean(4.0, 2.2, 3)],
            ["reference", Absent("No clock."), SeedMean(-1.25, None, 3)],
        ],
        "provenance": ["run: x_1", "command: python --quick"],
        "reference_rows": 1,
    }
    return Table(**{**facts, **changes})


LATEX = r"""% run: x_1
% command: python --quick
\begingroup\footnotesize\setlength{\tabcolsep}{3.5pt}%
\setbox0=\hbox{%
\begin{tabular}{lr@{}lr@{}l}
\toprule
Method & \multicolumn{2}{c}{Time $\downarrow$} & \multicolumn{2}{c}{Share\_A $\uparrow$} \\
 & \multicolumn{2}{c}{(s)} & \multicolumn{2}{c}{(\%)} \\
\midrule
mas:splits=2 & \textbf{52.0} & \textbf{\,$\pm$\,1.2} & 5.0 & \,$\pm$\,3.1 \\
a\_b \& c & 104.0 & \,$\pm$\,9.9 & 4.0 & \,$\pm$\,2.2 \\
\midrule
reference & \multicolumn{2}{c}{--\textsuperscript{a}} & $-$1.2 & \\
\bottomrule
\end{tabular}}%
\ifdim\wd0>\linewidth\ifdefined\resizebox\resizebox{\linewidth}{!}{\box0}%
\else\box0 \fi\else\box0 \fi
\par\smallskip\parbox{\linewidth}{\raggedright \textsuperscript{a}~No clock.}%
\endgroup
"""

MARKDOWN = r"""<!-- run: x_1 -->
<!-- command: python --quick -->
Two \| methods.

| Method | Time ↓ (s) | Share\_A ↑ (%) |
| --- | ---: | ---: |
| mas:splits=2 | **52.0 ± 1.2** | 5.0 ± 3.1 |
| a\_b & c | 104.0 ± 9.9 | 4.0 ± 2.2 |
| reference | –<sup>a</sup> | −1.2 |

<sup>a</sup> No clock.
"""

MACROS = r"""% run: x_1
% command: python --quick
% table small
\newcommand{\SmallMasSplitsTwoTimeS}{52.0}
\newcommand{\SmallMasSplitsTwoTimeSHalfWidth}{1.2}
\newcommand{\SmallMasSplitsTwoTimeSN}{3}
\newcommand{\SmallMasSplitsTwoShare}{5.0}
\newcommand{\SmallMasSplitsTwoShareHalfWidth}{3.1}
\newcommand{\SmallMasSplitsTwoShareN}{3}
\newcommand{\SmallABCTimeS}{104.0}
\newcommand{\SmallABCTimeSHalfWidth}{9.9}
\newcommand{\SmallABCTimeSN}{3}
\newcommand{\SmallABCShare}{4.0}
\newcommand{\SmallABCShareHalfWidth}{2.2}
\newcommand{\SmallABCShareN}{3}
\newcommand{\SmallReferenceShare}{$-$1.2}
\newcommand{\SmallReferenceShareN}{3}
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


def test_macros_are_the_text_written_by_hand():
    """One macro per number with the digits of the table; a missing value has none."""
    assert to_macros([small_table()]) == MACROS


def test_macro_names_are_letters_only_and_never_defined_twice():
    """LaTeX knows no digits in names, and a second definition of one would end the paper."""
    assert macro_name("main", "mas:splits=13 r0") == "MainMasSplitsOneThreeR" + "Zero"
    rows = [["a b", SeedMean(1.0, None, 1), None], ["a_b", SeedMean(2.0, None, 1), None]]
    text = to_macros([small_table(rows=rows, reference_rows=0), small_table()])
    names = re.findall(r"newcommand{(.*?)}", text)
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"\\[A-Za-z]+", name) for name in names)
    assert r"\newcommand{\SmallABTimeS}{1}" in text
    assert r"\newcommand{\SmallABTimeSB}{2}" in text


def test_row_names_leave_out_what_all_rows_share():
    """A column that is the same in every row tells nothing and would only lengthen the name."""
    rows = [["x", "a", None], ["x", "b", None]]
    assert row_names(small_table(rows=rows, key_columns=2, reference_rows=0)) == ["a", "b"]
    assert row_names(small_table(rows=rows[:1], key_columns=2, reference_rows=0)) == ["x a"]


def test_long_text_is_broken_into_lines_in_latex():
    """A reason of eighty letters would push the table over the margin."""
    rows = [["Meter", "word " * 16], ["Board", "short"]]
    table = small_table(headings=[Heading("a", "Name"), Heading("b", "Value")], rows=rows,
                        reference_rows=0)  # fmt: skip
    assert r"\begin{tabular}{lp{0.6\linewidth}}" in to_latex(table)


def test_every_dash_has_a_footnote_and_equal_reasons_share_it():
    """A reader must learn why a value is missing; None has the general reason."""
    rows = [["a", Absent("No meter."), None], ["b", Absent("No meter."), SeedMean(1.0, None, 1)]]
    table = small_table(rows=rows, reference_rows=0)
    assert table.footnotes() == ["No meter.", "No value was recorded."]
    marks = [[field.mark for field in row] for row in display_rows(table)]
    assert marks == [["", "a", "b"], ["", "a", ""]]
    assert [footnote_letter(n) for n in (0, 25, 26)] == ["a", "z", "aa"]


def test_the_second_best_is_underlined_only_if_clear():
    """Three clear values: bold, underlined, plain; a tie for the second place leaves it plain."""
    values = [SeedMean(3.0, 0.1, 3), SeedMean(1.0, 0.1, 3), SeedMean(2.0, 0.1, 3)]
    rows = [[f"m{n}", value, None] for n, value in enumerate(values)]
    table = small_table(rows=rows, reference_rows=0)
    assert column_ranks(table, 1) == {1: 1, 2: 2}
    assert r"m2 & \underline{2.00} &" in to_latex(table)
    assert "<u>2.00 ± 0.10</u>" in to_markdown(table)
    tied = [["a", values[0], None], ["b", values[1], None], ["c", SeedMean(2.9, 0.1, 3), None]]
    assert column_ranks(small_table(rows=tied, reference_rows=0), 1) == {1: 1}


def test_values_are_ranked_within_their_group_only():
    """With a grouping column each group has a best of its own."""
    rows = [
        ["x", SeedMean(1.0, 0.1, 3), None], ["x", SeedMean(2.0, 0.1, 3), None],
        ["y", SeedMean(8.0, 0.1, 3), None], ["y", SeedMean(9.0, 0.1, 3), None],
    ]  # fmt: skip
    table = small_table(rows=rows, reference_rows=0, ranked_within="method")
    assert column_ranks(table, 1) == {0: 1, 2: 1}


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex on this machine")
def test_latex_compiles(tmp_path):
    """The tabular and the macros compile in a minimal document with booktabs."""
    (tmp_path / "small.tex").write_text(to_latex(small_table()), encoding="utf-8")
    (tmp_path / "macros.tex").write_text(to_macros([small_table()]), encoding="utf-8")
    (tmp_path / "paper.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs}\input{macros}\begin{document}"
        r"\input{small} \SmallMasSplitsTwoTimeS\end{document}",
        encoding="utf-8",
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_csv_has_full_precision_and_n():
    """The CSV keeps every digit and puts half-width and n in columns of their own."""
    assert to_csv(small_table()) == CSV


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-x", "@sum"])
def test_csv_text_is_no_formula(text):
    """A spreadsheet must not run text that begins like a formula."""
    table = small_table(rows=[[text, SeedMean(1.0, None, 1), None]], reference_rows=0)
    assert to_csv(table).splitlines()[1].startswith(f"'{text}")


def test_every_special_character_of_latex_is_escaped():
    """The ten characters with a meaning in LaTeX print as themselves."""
    assert latex_escape(r"\&%$#_{}~^") == (
        r"\textbackslash{}\&\%\$\#\_\{\}\textasciitilde{}\textasciicircum{}"
    )


@pytest.mark.parametrize(
    ("values", "decimals"),
    [
        ([SeedMean(0.57751, 0.00423, 3)], 4),  # two digits of the half-width
        ([SeedMean(123.4, 15.0, 3)], 0),
        ([SeedMean(8.83, None, 1)], 3),  # four digits without half-width
        ([SeedMean(120.0, None, 1), SeedMean(0.0312, None, 1)], 4),  # three digits of the smallest
        ([SeedMean(0.5, 1e-17, 3)], 4),  # rounding noise is no spread
        ([SeedMean(0.5, 1e-8, 2), SeedMean(0.6, 0.02, 2)], 5),  # a lucky pair must not blow it up
        ([SeedMean(0.5, 0.0, 3)], 4),
        ([SeedMean(14.0, None, 1), SeedMean(2240.0, None, 1)], 0),  # counts are whole
    ],
)
def test_decimals_of_a_column(values, decimals):
    """Decimals follow the uncertainty and are the same in the whole column."""
    assert column_decimals(values) == decimals


def test_one_seed_prints_no_spread():
    """A single seed prints the value alone, with a real minus sign and no minus zero."""
    rows = [["a", SeedMean(-3.14159, None, 1), SeedMean(-0.0001, None, 1)],
            ["b", SeedMean(1234.5, None, 1), SeedMean(8.25, None, 1)]]  # fmt: skip
    first = display_rows(small_table(rows=rows, reference_rows=0))[0]
    assert [field.plain for field in first] == ["a", "−3.14", "−0.000100"]
    rows[1][2] = SeedMean(8.0, 2.5, 3)
    first = display_rows(small_table(rows=rows, reference_rows=0))[0]
    assert first[2].plain == "0.0"


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ([SeedMean(1.0, 0.1, 3), SeedMean(2.0, 0.1, 3)], 0),
        ([SeedMean(1.0, 0.6, 3), SeedMean(2.0, 0.6, 3)], None),  # intervals touch
        ([SeedMean(1.0, None, 1), SeedMean(2.0, None, 1)], None),  # one seed
        ([SeedMean(1.0, 0.1, 3), None], None),  # nothing to be better than
        ([SeedMean(1.0, 0.1, 3), SeedMean(1.0, 0.0, 3)], None),  # tie
        ([SeedMean(0.5, 0.0, 2), SeedMean(0.6, 0.0, 2)], None),  # two seeds alike are no proof
        ([SeedMean(0.5, 0.0, 6), SeedMean(0.6, 0.0, 6)], 0),
    ],
)
def test_bold_only_beyond_the_interval(values, best):
    """The best is marked only if n >= 2 everywhere and no interval reaches into its own."""
    rows = [[f"m{number}", value, None] for number, value in enumerate(values)]
    ranks = column_ranks(small_table(rows=rows, reference_rows=0), 1)
    assert next((row for row, rank in ranks.items() if rank == 1), None) == best


def test_a_reference_row_is_never_the_best():
    """The mean predictor is no method, so it is neither bold nor does it prevent bold."""
    rows = [
        ["a", SeedMean(2.0, 0.1, 3), None],
        ["b", SeedMean(3.0, 0.1, 3), None],
        ["reference", SeedMean(1.0, None, 3), None],
    ]
    assert column_ranks(small_table(rows=rows), 1) == {0: 1}


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("Ada's Rechner αβΩ", r"Ada's Rechner $\alpha$$\beta$$\Omega$"),
        ("Ελλάδα", r"E$\lambda$$\lambda$$\alpha$$\delta$$\alpha$"),
        ("Zürich ñandú ßø", r"Z\"{u}rich \~{n}and\'{u} \ss{}\o{}"),
        ("节点", "[U+8282][U+70B9]"),
        ("ящик", "[U+044F][U+0449][U+0438][U+043A]"),
    ],
)
def test_letters_of_host_names_are_set_or_named(text, latex):
    """Every result is plain ASCII, which no font encoding stops at."""
    assert latex_escape(text) == latex
    assert latex_escape(text).isascii()


def test_a_long_table_is_several_that_pages_can_break_between():
    rows = [[f"m{number}", SeedMean(float(number), None, 1)] for number in range(100)]
    table = small_table(headings=[Heading("a", "Name"), Heading("b", "Value")], rows=rows,
                        reference_rows=0)  # fmt: skip
    text = to_latex(table)
    assert text.count(r"\toprule") == 3
    assert all(f"m{number} &" in text for number in range(100))


HOSTILE = (
    "[baseline] gzip",
    "*new*",
    "节点",
    "gzip --fast",
    "a---b",
    "say ``so'' or \"so\"",
    "?`x !`",
)
"""Names that LaTeX acts on where a row begins, or sets as other characters."""


def hostile_table():
    rows = [[name, SeedMean(float(n), None, 1), None] for n, name in enumerate(HOSTILE)]
    heads = [HEADINGS[0], Heading("time_s", "Energy within [J] *net*", "s"), HEADINGS[2]]
    return small_table(rows=rows, headings=heads, reference_rows=0)


def test_no_row_begins_as_an_option_of_the_line_before():
    r"""After \\ LaTeX takes [baseline] for a length and * for a star; the same after \midrule."""
    text = to_latex(hostile_table())
    assert r"{}[baseline] gzip &" in text
    assert r"{}*new* &" in text
    assert r"{}[U+8282][U+70B9] &" in text
    assert not re.search(r"(\\\\|rule)\s*[\[*]", text)


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("gzip --fast", "gzip -{}-fast"),
        ("a---b", "a-{}-{}-b"),
        ("1–2", "1--2"),  # an en dash stays one
        ("-–", "-{}--"),
        ("``x''", "`{}`x'{}'"),
        ("?` !`", "?{}` !{}`"),
        (",,", ",{},"),
        ('"x"', r"\char34{}x\char34{}"),
        ("a\x1bb", "a[U+001B]b"),
    ],
)
def test_no_two_characters_are_set_as_one_other(text, latex):
    """Fonts of LaTeX have ligatures for dashes and quotes; controls end a paper."""
    assert latex_escape(text) == latex


def test_macros_have_a_name_after_the_letter_z():
    """Thirty rows whose names have no letter of LaTeX share one name with a letter behind it."""
    rows = [["节" * n, SeedMean(float(n), None, 1), None] for n in range(1, 31)]
    names = re.findall(
        r"newcommand{\\(\w*)}", to_macros([small_table(rows=rows, reference_rows=0)])
    )
    assert len(set(names)) == 60
    assert all(re.fullmatch(r"[A-Za-z]+", name) for name in names)


@pytest.mark.skipif(
    not (shutil.which("pdflatex") and shutil.which("pdftotext")), reason="no TeX or no pdftotext"
)
def test_hostile_names_print_as_they_stand(tmp_path):
    (tmp_path / "small.tex").write_text(to_latex(hostile_table()), encoding="utf-8")
    (tmp_path / "paper.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{small}\end{document}",
        encoding="utf-8",
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    words = ["pdftotext", "-layout", "paper.pdf", "-"]
    read = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    for name in ("[baseline] gzip", "*new*", "[U+8282][U+70B9]", "[J]"):
        assert name in read
    assert re.search(r"gzip [-‐]{2}fast", read)
    assert re.search(r"a[-‐]{3}b", read)


def test_markdown_of_a_stranger_stays_text():
    """No picture is fetched, no link is made, and the command of a run does not end its comment."""
    rows = [["![x](http://evil.example/t.png) `c` &#124; ~~y~~", SeedMean(1.0, None, 1), None]]
    table = small_table(rows=rows, reference_rows=0, caption="# [a](javascript:x)",
                        provenance=["command: --!><img src=x onerror=y> --> -- ok"])  # fmt: skip
    lines = to_markdown(table).splitlines()
    assert lines[0] == "<!-- command: - -!><img src=x onerror=y> - -> -- ok -->"
    assert lines[1] == r"\# \[a\](javascript:x)"
    assert lines[-3].startswith(
        r"| !\[x\](http://evil.example/t.png) \`c\` &amp;#124; \~\~y\~\~ | 1 |"
    )
