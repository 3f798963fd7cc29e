"""Write the reference page of the result files: python -m harness.schema_page > docs/results.md."""

from __future__ import annotations

import sys

from harness.schema import COST_PHASES, FILES, PHASES, SCHEMA_VERSION

INTRODUCTION = f"""# Result files

Written by `python -m harness.schema_page` from `harness/schema.py`; schema version
{SCHEMA_VERSION}.

A run folder holds `manifest.json` (what ran, on what, with which software, meter, data and
configuration), the tables below, `affinity/<cell>.csv` (the mean affinity matrix: recipients in
rows, task letters in header and first column), `events.jsonl` (one JSON object a line),
`checkpoints/<cell>/<group>.safetensors` (final weights) and `report/`.

Rules: SI units, named in the column; comma, UTF-8, header always; floats in full precision; an
empty field means there is no value, never zero; `true` and `false`; columns keep their order, and
any change raises the schema version.

Phases: {", ".join(PHASES)}.
A method is charged for {", ".join(COST_PHASES)}.
"""


def page() -> str:
    """Return the reference page as Markdown."""
    parts = [INTRODUCTION]
    for name, columns in FILES.items():
        rows = [f"| `{c.name}` | {c.type} | {c.unit} | {c.meaning} |" for c in columns]
        head = ["| column | type | unit | meaning |", "|---|---|---|---|"]
        parts.append(
            "\n".join([f"## {name}", "", *head, *rows]).replace("joined by |", "joined by \\|")
        )
    return "\n\n".join(part.strip() for part in parts) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
