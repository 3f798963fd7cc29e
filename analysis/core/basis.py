"""Choose what a figure may call cost: measured energy, else modelled energy, else time.

The three are never drawn on one axis, and neither are the readings of two meters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from analysis.core.loading import Run
from analysis.core.numbers import energy_sources, measured_by, source_origin, source_words
from analysis.core.words import origin_words
from harness.evidence.restated import modelled_power_w, time_column


@dataclass(frozen=True)
class CostBasis:
    """Hold the cells a cost axis may show and what the axis is called.

    Attributes:
        kind: where the numbers come from.
        column: column of cells.csv and of phases.csv.
        quantity: words for the axis, without unit.
        unit: J or s.
        cells: finished cells that have this number.
        notes: what the reader of the figure must know.
    """

    kind: Literal["measured", "modelled", "time"]
    column: str
    quantity: str
    unit: str
    cells: pd.DataFrame
    notes: tuple[str, ...]


def cost_basis(run: Run, *, restated: bool = False) -> CostBasis:
    """Return the best basis a run offers.

    Args:
        run: the run.
        restated: take modelled energy where it is but time times one power, too; to be added to
            joules of another power.
    """
    done = run.done
    origin = origin_words(run)
    start = (origin,) if origin else ()
    sources = energy_sources(done)
    if sources:
        cells = measured_by(done, sources[0])
        whose = source_origin(sources[0]).capitalize()
        words = f"{whose} energy ({source_words(sources[0])})"
        return CostBasis(
            "measured", "energy_j", words, "J", cells, (*start, *_left_out(run, cells, sources))
        )
    power_w = restated_power_w(run)
    if power_w is not None and not restated:
        column = time_column({str(k): v for k, v in done.iloc[0].items()})
        words = time_words(run) if column == "time_s" else "Modelled time"
        note = f"modelled energy is time × {power_w:.3g} W"
        return CostBasis("time", column, words, "s", done, (*start, note))
    modelled = done[done["energy_model_j"].notna()]
    if len(modelled):
        note = "energy modelled from the device profile, not measured"
        return CostBasis(
            "modelled", "energy_model_j", "Modelled energy", "J", modelled, (*start, note)
        )
    return CostBasis("time", "time_s", time_words(run), "s", done, (*start, "no energy figure"))


def restated_power_w(run: Run) -> float | None:
    """Return the one power that modelled energy is the product of with time; None if it is not."""
    rows = run.done.to_dict("records")
    return modelled_power_w({str(k): v for k, v in row.items()} for row in rows)


def time_words(run: Run) -> str:
    """Return what time_s is, for an axis: on another host it is not the device's time."""
    return "Time" if run.manifest.host_matches_device else "Time on host"


def note_text(*parts: str) -> str:
    """Return the parts that are not empty as one note."""
    return "; ".join(part for part in parts if part)


def _left_out(run: Run, cells: pd.DataFrame, sources: list[tuple[str, str, str]]) -> list[str]:
    notes = []
    if len(sources) > 1:
        notes.append(f"cells measured by {', '.join(s[0] for s in sources[1:])} are not shown")
    without = len(run.done) - int(run.done["energy_j"].notna().sum())
    if without:
        notes.append(f"{without} of {len(run.done)} cells have no measured energy")
    lost = [method for method in run.methods if method not in set(cells["method"])]
    if lost:
        notes.append(f"not shown: {', '.join(lost)}")
    return notes
