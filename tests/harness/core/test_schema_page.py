"""Check that the reference page documents what the writer writes."""

from pathlib import Path

from harness.core.schema import FILES
from harness.evidence.schema_page import page

PAGE = Path(__file__).parents[3] / "docs" / "results.md"


def test_the_page_in_the_repository_is_current() -> None:
    """Whoever changes the schema writes the page anew."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_column_of_every_file_is_on_the_page() -> None:
    """No column is written that the page does not explain, in a row of five cells."""
    lines = page().splitlines()
    for columns in FILES.values():
        for column in columns:
            rows = [line for line in lines if line.startswith(f"| `{column.name}` |")]
            assert rows
            assert all(row.replace("\\|", "").count("|") == 6 for row in rows)
