"""Lines break between words, never inside a number, a name or a path."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.wrapping import wrapped
from harness.evidence.words import hanging

LINE = (
    "all-in-one took 0.37× the time of independent and 0.37× its modelled energy at 3.2 % higher "
    "total loss, 4712 J in 72 s, see results/20261128-044719-x86-ef2a1fab/report/index.html"
)


@given(st.integers(20, 120))
def test_no_number_is_parted_from_its_unit_and_no_word_is_broken(width: int) -> None:
    lines = wrapped(LINE, width, 2).splitlines()
    assert " ".join(line.strip() for line in lines) == LINE
    assert not any(line.rstrip().endswith(("3.2", "4712", "72")) for line in lines)
    assert all(len(line) <= width or " " not in line.strip() for line in lines)


def test_later_lines_are_indented() -> None:
    assert wrapped("one two", 4, 2) == "one\n  two"


@pytest.mark.parametrize("path", ["results of a long week/the very last run", "it's/a run"])
def test_no_line_ends_within_what_is_quoted_for_a_shell(path: str) -> None:
    """A line's end within quotes would be part of the name; outside it is a blank to a shell."""
    text = f"To go on: python -m harness.run --resume {shlex.quote(path)} and no more words"
    for lines in (wrapped(text, 40, 4), hanging("", text, 4)):
        assert shlex.split(lines)[7] == path


def test_an_apostrophe_of_prose_holds_no_line_together() -> None:
    text = "the board's own meter and the host's own clock and the cards' own"
    assert max(map(len, wrapped(text, 30).splitlines())) <= 30
