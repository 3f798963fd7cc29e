"""Phases that a program of one's own marked, as one row per turn and phase.

They bear any names, and may lie within one another or overlap; what several entries of one name
cover together counts once, as it does on the screen and in components.csv.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from analysis.core.loading import Run
from analysis.core.numbers import without_whole
from harness.evidence.charged import Window, joined

COLUMNS = [
    "method", "repeat", "phase", "entries", "time_s", "whole_s", "energy_j",
    "energy_error_j", "energy_model_j", "energy_per_sample_j", "overlaps",
]  # fmt: skip


def marked_phases(run: Run) -> pd.DataFrame:
    """Return what each phase took in each finished turn, in the order of first appearance.

    Joules of entries that overlap do not add up, so there is none where they do. `overlaps` says
    whether a phase shares time with one of another name.

    Returns:
        The columns of `COLUMNS`; `whole_s` are the seconds of the turn.
    """
    facts = run.done[["cell", "method", "repeat", "time_s"]].rename(columns={"time_s": "whole_s"})
    rows = run.phases.merge(facts, on="cell", how="inner")
    found = []
    for _, own in rows.groupby("cell", sort=False):
        marked = without_whole(own)
        for name, entries in marked.groupby("phase", sort=False):
            others = marked[marked["phase"] != name]
            found.append(_row(str(name), entries, others))
    table = pd.DataFrame(found, columns=[*COLUMNS, "cell"])
    per_sample = _per_sample(run)
    keys = zip(table["cell"].astype(str), table["phase"].astype(str), strict=True)
    told = [per_sample.get(key) for key in keys]
    return table.assign(energy_per_sample_j=pd.Series(told, dtype="float64"))[COLUMNS]


def _row(name: str, entries: pd.DataFrame, others: pd.DataFrame) -> dict[str, object]:
    first = entries.iloc[0]
    windows = _covered(entries)
    time_s = sum(end_s - start_s for start_s, end_s in windows)
    alone = math.isclose(time_s, float((entries["end_s"] - entries["start_s"]).sum()))
    joules = {
        column: entries[column].sum(skipna=False) if alone else float("nan")
        for column in ("energy_j", "energy_error_j", "energy_model_j")
    }
    return {
        "method": first["method"], "repeat": first["repeat"], "cell": first["cell"], "phase": name,
        "entries": len(entries), "time_s": time_s, "whole_s": first["whole_s"],
        **joules,
        "overlaps": _meet(windows, _covered(others)),
    }  # fmt: skip


def _covered(entries: pd.DataFrame) -> list[Window]:
    return joined(zip(entries["start_s"].tolist(), entries["end_s"].tolist(), strict=True))


def _meet(own: Iterable[Window], others: Sequence[Window]) -> bool:
    return any(a[0] < b[1] and b[0] < a[1] for a in own for b in others)


def _per_sample(run: Run) -> dict[tuple[str, str], float]:
    rows = run.metrics[run.metrics["metric"] == "energy_per_sample_j"]
    keys = zip(rows["cell"].astype(str), rows["phase"].astype(str), strict=True)
    return dict(zip(keys, rows["value"].astype(float), strict=True))
