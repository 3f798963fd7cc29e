"""Write a stranger's text into Markdown and into comments of HTML so that it stays text.

Texts of a run folder may be anybody's: a picture of theirs would be fetched by whoever opens the
page, and a comment that ends early lets tags in.
"""

from __future__ import annotations

import re

ESCAPED = re.compile(r"[\\`*_\[\]|~$]")
"""What marks up, wherever in a line it stands."""

REFERENCE = re.compile(r"&(?=#?[0-9A-Za-z]+;)")
"""Begins the number or the name of a character, as in `&#124;`, which is a bar."""

AT_HEAD = re.compile(r"[0-9]{1,9}(?=[.)](?:\s|$))|(?=[#>+=-])")
"""What stands before the mark that makes a heading, a quotation, an item or a rule of a line."""

ENDS_COMMENT = re.compile(r"--(?=!?>)")


def markdown_escape(text: str) -> str:
    """Return text that neither breaks a pipe table nor is taken for markup."""
    escaped = ESCAPED.sub(r"\\\g<0>", REFERENCE.sub("&amp;", one_line(text)))
    return escaped.replace("<", "&lt;")


def markdown_line(text: str) -> str:
    """Return the same for text that begins a line, where more is taken for markup."""
    escaped = markdown_escape(text)
    found = AT_HEAD.match(escaped)
    return escaped if found is None else rf"{found[0]}\{escaped[found.end() :]}"


def code_span(text: str) -> str:
    """Return text as code in a line, between more backticks than stand together in it."""
    plain = re.sub(r"[\r\n]+", " ", text)
    longest = max(map(len, re.findall("`+", plain)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {plain} {fence}" if longest else f"`{plain}`"


def comment_safe(text: str) -> str:
    """Return text that does not end an HTML comment, neither by `-->` nor by `--!>`."""
    return ENDS_COMMENT.sub("- -", one_line(text))


def one_line(text: str) -> str:
    """Return text without line breaks and repeated blanks."""
    return " ".join(text.split())
