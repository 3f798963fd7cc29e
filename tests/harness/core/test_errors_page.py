"""Check that the reference page of errors documents what the program says."""

import ast
from pathlib import Path

from harness.cli.errors_page import page
from harness.core.errors import STOPS, HarnessError, catalogue
from harness.evidence.cell_flags import FLAGS, SPOILT_WINDOW

ROOT = Path(__file__).parents[3]


def test_the_page_in_the_repository_is_current() -> None:
    """Whoever changes an error writes the page anew."""
    assert (ROOT / "docs" / "errors.md").read_text(encoding="utf-8") == page()


def test_every_code_and_flag_is_on_the_page() -> None:
    """Each code has a heading to link to, each flag a row of four cells."""
    lines = page().splitlines()
    for code in [*(c.code for c in catalogue()), *(s.code for s in STOPS)]:
        assert lines.count(f"## {code}") == 1, code
    for flag in [*FLAGS, *SPOILT_WINDOW]:
        (row,) = (line for line in lines if line.startswith(f"| `{flag}` |"))
        assert row.count("|") == 5


def test_every_entry_says_what_happened_why_it_matters_and_what_to_do() -> None:
    for kind in catalogue():
        assert (kind.__doc__ or "").startswith("Report "), kind
        assert kind.matters
        assert kind.usually
    for own in catalogue():
        if own is not HarnessError:
            assert "code" in vars(own), own


def test_errors_are_defined_in_one_place() -> None:
    """No other module of the harness defines an error that ends a command."""
    known = {c.__name__ for c in catalogue()}
    for path in (ROOT / "harness").rglob("*.py"):
        if path.name == "errors.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases = {b.id for b in node.bases if isinstance(b, ast.Name)}
                assert not bases & known, (path.name, node.name)
