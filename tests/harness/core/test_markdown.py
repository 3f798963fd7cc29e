"""What strangers write stays text in Markdown; the expected texts follow CommonMark's rules."""

import pytest

from harness.core.markdown import code_span, comment_safe, markdown_escape, markdown_line


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a_b*c", r"a\_b\*c"),
        ("![x](y)", r"!\[x\](y)"),
        ("`c` ~~d~~ $e$", r"\`c\` \~\~d\~\~ \$e\$"),
        ("a|b\\", r"a\|b\\"),
        ("<img>", "&lt;img>"),
        ("&#124; &amp; &lt;", "&amp;#124; &amp;amp; &amp;lt;"),
        ("R & D; a&b", "R & D; a&b"),
        ("two\n lines", "two lines"),
    ],
)
def test_what_marks_up_is_escaped(text: str, escaped: str) -> None:
    assert markdown_escape(text) == escaped


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("# head", r"\# head"), ("> quoted", r"\> quoted"), ("- item", r"\- item"),
        ("+ item", r"\+ item"), ("1. item", r"1\. item"), ("12) item", r"12\) item"),
        ("---", r"\---"), ("===", r"\==="), ("1.5 J", "1.5 J"), ("words", "words"),
    ],
)  # fmt: skip
def test_the_head_of_a_line_begins_no_block(text: str, escaped: str) -> None:
    assert markdown_line(text) == escaped


@pytest.mark.parametrize(
    ("text", "code"),
    [("a  b", "`a  b`"), ("a `b`", "`` a `b` ``"), ("``", "``` `` ```"), ("a\nb", "`a b`")],
)
def test_code_stands_between_more_backticks_than_are_in_it(text: str, code: str) -> None:
    assert code_span(text) == code


@pytest.mark.parametrize("text", ["-->", "--!>", "--->", "x--!>y-->", "----!>"])
def test_a_comment_is_not_ended(text: str) -> None:
    """HTML ends a comment at --> and at --!>."""
    safe = comment_safe(text)
    assert "-->" not in safe
    assert "--!>" not in safe


def test_options_stay_in_a_comment_as_they_were_typed() -> None:
    assert comment_safe("run --seeds 0-8  --out x") == "run --seeds 0-8 --out x"
