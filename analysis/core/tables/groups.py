"""Which tasks each method trained together, and in how many of its cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from analysis.core.loading import Run
from analysis.core.numbers import SeedMean
from analysis.core.pooling import series_names
from analysis.core.tables.table import Content, Heading, Table
from analysis.core.words import provenance


def groups_table(runs: Sequence[Run]) -> Table | None:
    """Return one row per run, method and split, the most frequent first; None without any split."""
    names = series_names(runs)
    rows: list[list[Content]] = []
    for run in runs:
        start: list[Content] = [names[run.run_id]] if len(runs) > 1 else []
        for method in run.methods:
            cells = run.done.loc[run.done["method"] == method, "groups"]
            splits = Counter(str(text) for text in cells if text)
            rows += [
                [*start, method, split, SeedMean(float(count), None, len(cells))]
                for split, count in sorted(splits.items(), key=lambda item: (-item[1], item[0]))
            ]
    if not rows:
        return None
    heads = [Heading("run", "Run")] if len(runs) > 1 else []
    return Table(
        name="groups",
        caption="Tasks that each method trained together: a bar divides the networks, and a letter "
        "stands for a task. Cells: how many of the method's cells were split so.",
        headings=[*heads, Heading("method", "Method"), Heading("groups", "Groups"),
                  Heading("cells", "Cells")],
        rows=rows,
        provenance=provenance(runs),
        key_columns=len(heads) + 2,
        ranked_within="run" if len(runs) > 1 else "",
    )  # fmt: skip
