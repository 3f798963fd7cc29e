"""Write the page of the result files: python -m harness.evidence.schema_page > docs/results.md."""

from __future__ import annotations

import sys

from harness.core.schema import COST_PHASES, FILES, PHASES, SCHEMA_VERSION
from harness.workloads.registry import OWN, find_workload

INTRODUCTION = f"""# Result files

Written by `python -m harness.evidence.schema_page` from `harness/core/schema.py`; schema version
{SCHEMA_VERSION}.

A run folder holds `manifest.json` (what ran, on what, with which software, meter, data and
configuration), the tables below, `affinity/<cell>.csv` (the mean affinity matrix: recipients in
rows, task letters in header and first column), `events.jsonl` (one JSON object a line),
`checkpoints/<cell>/<group>.safetensors` (final weights) and `report/`.

`python -m harness.infer` adds `inference.csv` and the folder `inference/`: `metrics.csv`,
`phases.csv` (columns as below), `traces/<number>.csv.gz` (one per start of the command),
`manifest.json` (device, host, software, meter and settings of inference) and
`models/<cell>/<job>.<precision>.onnx` with `models/exports.json`, which holds opset, shapes, parity
and the SHA-256 of each.

Rules: SI units, named in the column; comma, UTF-8, header always; floats in full precision; an
empty field means there is no value, never zero; `true` and `false`; columns keep their order, and
any change raises the schema version. `format` is how people are shown a number, as Python's format
strings say; files hold it in full.

`conditions/<cell>.csv` is there if the host showed a temperature or anything disturbed the cell.

Phases: {", ".join(PHASES)}.
A method is charged for {", ".join(COST_PHASES)}.
"""


def page() -> str:
    """Return the reference page as Markdown."""
    parts = [INTRODUCTION]
    own = {name: cols for w in OWN for name, cols in find_workload(w).files.items()}
    for name, columns in {**FILES, **own}.items():
        rows = [
            f"| `{c.name}` | {c.type} | {c.unit} | {_format(c.format)} | {c.meaning} |"
            for c in columns
        ]
        head = ["| column | type | unit | format | meaning |", "|---|---|---|---|---|"]
        parts.append(
            "\n".join([f"## {name}", "", *head, *rows]).replace("joined by |", "joined by \\|")
        )
    parts += [find_workload(name).columns_page() for name in OWN]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _format(text: str) -> str:
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    sys.stdout.write(page())
