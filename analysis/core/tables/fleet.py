"""Table of a fleet: seconds and joules of every device, waiting and communication apart."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.core.loading import Run
from analysis.core.numbers import per_seed, summarise
from analysis.core.tables.table import Absent, Content, Heading, Table
from analysis.core.words import provenance, spread_words

WORK = {
    "train": "train",
    "affinity": "train",
    "distil": "train",
    "communicate": "communicate",
    "idle": "idle",
}
"""Phase of devices.csv → the column of the table it is added to."""
NOT_MEASURED = Absent("Not all of it was measured, or the device has no meter.")


def fleet_table(runs: Sequence[Run]) -> Table | None:
    """Return a row per method and device; None if no run has devices of its own."""
    known = [run for run in runs if run.devices is not None]
    if not known:
        return None
    kinds = list(dict.fromkeys(WORK.values()))
    headings = [
        Heading("method", "Method"),
        Heading("device", "Device"),
        *(Heading(f"{kind}_s", kind.capitalize(), "s") for kind in kinds),
        *(Heading(f"{kind}_j", kind.capitalize(), "J") for kind in kinds),
        Heading("makespan_s", "Makespan", "s"),
    ]
    rows = [row for run in known for row in _rows(run, kinds)]
    return Table(
        "fleet",
        "Time and measured energy of every device in a cell: training with its look-aheads,"
        " communication (from the start of Flower's program on the device to its end), and waiting"
        " for others. The makespan is from the cell's first moment to its last on any device."
        f" {spread_words(known)}",
        headings,
        rows,
        provenance(known),
        key_columns=2,
    )


def _rows(run: Run, kinds: Sequence[str]) -> list[list[Content]]:
    sums = device_sums(run)
    found: list[list[Content]] = []
    for (method, device), own in sums.groupby(["method", "device"], sort=False):
        row: list[Content] = [str(method), str(device)]
        found.append([*row, *_values(own, kinds)])
    for method, own in sums.groupby("method", sort=False):
        cells = own.groupby(["method", "seed", "repeat"])
        total = cells.sum(numeric_only=True, min_count=len(own["device"].unique()))
        total = total.assign(makespan_s=cells["makespan_s"].max()).reset_index()
        found.append([str(method), "all devices", *_values(total, kinds)])
    return found


def _values(cells: pd.DataFrame, kinds: Sequence[str]) -> list[Content]:
    """Return the seconds, joules and makespan of the cells of one method."""
    seconds = [_mean(cells, f"{kind}_s") for kind in kinds]
    joules = [
        NOT_MEASURED if cells[f"{kind}_j"].isna().any() else _mean(cells, f"{kind}_j")
        for kind in kinds
    ]
    return [*seconds, *joules, _mean(cells, "makespan_s")]


def _mean(cells: pd.DataFrame, column: str) -> Content:
    """Return the mean over seeds, repeats of a seed averaged first."""
    return summarise(per_seed(cells, str(cells["method"].iloc[0]), column).values())


def device_sums(run: Run) -> pd.DataFrame:
    """Return what every device took in every finished cell.

    A sum of joules is NaN if a stretch in it was not measured.

    Returns:
        Columns method, seed, repeat, cell, device, makespan_s, and for each kind of `WORK`
        seconds and joules, as train_s and train_j.
    """
    assert run.devices is not None
    facts = run.done[["cell", "method", "seed", "repeat"]]
    rows = run.devices.merge(facts, on="cell", how="inner")
    rows = rows[rows["fate"] != "lost"].assign(kind=lambda f: f["phase"].map(WORK))
    rows = rows.dropna(subset=["kind"])
    keys = ["method", "seed", "repeat", "cell"]
    spans = rows.groupby("cell")["end_s"].max() - rows.groupby("cell")["start_s"].min()
    found = rows[[*keys, "device"]].drop_duplicates()
    found = found.assign(makespan_s=found["cell"].map(spans))
    for kind in dict.fromkeys(WORK.values()):
        own = rows[rows["kind"] == kind].groupby(["cell", "device"])
        seconds = own["time_s"].sum().rename(f"{kind}_s")
        joules = own["energy_j"].agg(lambda j: j.sum(skipna=False)).rename(f"{kind}_j")
        found = found.merge(seconds, on=["cell", "device"], how="left")
        found = found.merge(joules, on=["cell", "device"], how="left")
        found[f"{kind}_s"] = found[f"{kind}_s"].fillna(0.0)
    return found
