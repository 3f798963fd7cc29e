"""Which tasks each method trained together, and in how many of its cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from analysis.core.loading import Run
from analysis.core.numbers import SeedMean, per_seed, summarise
from analysis.core.pooling import series_names
from analysis.core.tables.table import Absent, Content, Heading, Table
from analysis.core.words import provenance

SURE_WORDS = (
    " Split sure: share of bootstrap samples of rounds and clients whose affinity gives the same "
    "groups, mean over the seeds; below 80 % a split is a coin toss."
)
SIGNS_ALIKE = "linear_signs_alike"
SIGNS = (
    " Least signs: least share, over cells, of pairs of tasks for which linear affinity, by which"
    " they were split, has the sign of exact affinity."
)


def _signs_alike(run: Run) -> dict[str, str]:
    """Return by method the least share of signs that linear affinity has as exact, in percent."""
    rows = run.metrics[run.metrics["metric"] == SIGNS_ALIKE]
    if rows.empty:
        return {}
    shares = run.with_facts(rows).groupby("method")["value"].min()
    return {str(method): f"{100.0 * share:.0f} %" for method, share in shares.items()}


def groups_table(runs: Sequence[Run]) -> Table | None:
    """Return one row per run, method and split, the most frequent first; None without any split."""
    names = series_names(runs)
    signs = [_signs_alike(run) for run in runs]
    known = any(signs)
    rows: list[list[Content]] = []
    for run, alike in zip(runs, signs, strict=True):
        start: list[Content] = [names[run.run_id]] if len(runs) > 1 else []
        for method in run.methods:
            own = run.done[run.done["method"] == method]
            splits = Counter(str(text) for text in own["groups"] if text)
            rows += [
                [
                    *start,
                    method,
                    split,
                    SeedMean(float(count), None, len(own)),
                    *([alike.get(method, "")] if known else []),
                    _sure(own, split),
                ]
                for split, count in sorted(splits.items(), key=lambda item: (-item[1], item[0]))
            ]
    if not rows:
        return None
    heads = [Heading("run", "Run")] if len(runs) > 1 else []
    last = [Heading("split_sure_percent", "Split sure", "%", "high")]
    if not any(isinstance(row[-1], SeedMean) for row in rows):
        rows, last = [row[:-1] for row in rows], []
    return Table(
        name="groups",
        caption="Tasks that each method trained together: a bar divides the networks, and a letter "
        "stands for a task. Cells: how many of the method's cells were split so."
        + (SIGNS if known else "")
        + (SURE_WORDS if last else ""),
        headings=[*heads, Heading("method", "Method"), Heading("groups", "Groups"),
                  Heading("cells", "Cells"),
                  *([Heading("signs_alike", "Least signs")] if known else []), *last],
        rows=rows,
        provenance=provenance(runs),
        key_columns=len(heads) + 2,
        ranked_within="run" if len(runs) > 1 else "",
    )  # fmt: skip


def _sure(cells: pd.DataFrame, split: str) -> Content:
    """Return how sure the cells that were split so are of it; None where nothing was measured."""
    own = cells[cells["groups"] == split]
    known = per_seed(own, str(own["method"].iloc[0]), "split_sure")
    return summarise(known.values(), 100.0) or Absent("This method splits by no affinity.")
