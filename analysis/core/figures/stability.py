"""How repeats of the same training spread, and whether they drift while the run goes on."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.core.basis import cost_basis, note_text
from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome
from analysis.core.loading import Run
from analysis.core.method_styles import method_style
from analysis.core.style import paint_axes
from analysis.core.words import origin_words

TITLE = "Stability over repeats"


def drawings(run: Run) -> list[Outcome]:
    """Return the figure, or why there is none."""
    basis = cost_basis(run)
    drawn = prepare(basis.cells, run.phases, basis.column)
    if drawn.empty:
        return [NotDrawn(TITLE, "no seed was measured more than once (--repeats)")]
    drift = drift_per_hour(drawn)
    spread = float(drawn["deviation_percent"].abs().max())
    drift_words = (
        "Every run has its own clock, so no drift is fitted."
        if drift is None
        else f"The line is the least-squares drift, {drift:+.2g} % an hour."
    ).replace("-", "−")

    return [
        Drawing(
            stem="stability",
            title=TITLE,
            caption=f"{basis.quantity} of every repeat relative to the mean of its method and "
            f"seed, in the order of measurement; n = {len(drawn)} cells, the furthest "
            f"{spread:.2g} % away. {drift_words}",
            note=note_text(*basis.notes, origin_words(run) if not basis.notes else ""),
            aspect=0.6,
            drawn=drawn,
            paint=partial(paint_axes, draw=partial(draw, drawn=drawn, quantity=basis.quantity)),
        )
    ]


def prepare(cells: pd.DataFrame, phases: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return each cell's deviation from the mean of its repeats.

    Only seeds of a method with two values or more count.

    Returns:
        Columns run_id, cell, method, seed, repeat, start_s, deviation_percent.
    """
    known = cells[cells[column].notna()].copy()
    groups = known.groupby(["method", "seed"])[column]
    mean = groups.transform("mean")
    known["deviation_percent"] = 100 * (known[column] / mean - 1)
    starts = phases.groupby("cell")["start_s"].min()
    known["start_s"] = known["cell"].map(starts)
    columns = ["run_id", "cell", "method", "seed", "repeat", "start_s", "deviation_percent"]
    repeated = known[(groups.transform("size") > 1) & known["start_s"].notna()]
    order = ["run_id", "start_s"]
    return repeated.filter(columns).sort_values(order, kind="stable", ignore_index=True)


def drift_per_hour(drawn: pd.DataFrame) -> float | None:
    """Return the least-squares slope in percent an hour; None for several clocks or one time."""
    hours = drawn["start_s"].to_numpy(dtype=float) / 3600
    if drawn["run_id"].nunique() > 1 or np.ptp(hours) == 0:
        return None
    return float(np.polyfit(hours, drawn["deviation_percent"].to_numpy(dtype=float), 1)[0])


def draw(ax: Axes, drawn: pd.DataFrame, quantity: str) -> Axes:
    """Draw one mark per cell, the zero line, and the drift where one clock covers all cells."""
    one_clock = drift_per_hour(drawn) is not None
    minutes = drawn["start_s"] / 60 if one_clock else pd.Series(range(1, len(drawn) + 1))
    ax.axhline(0, color="#555555", linewidth=0.75)
    for method in dict.fromkeys(drawn["method"]):
        own = (drawn["method"] == method).to_numpy()
        shape = method_style(method)
        ax.plot(
            minutes[own], drawn.loc[own, "deviation_percent"], linestyle="none", label=method,
            marker=shape.marker, color=shape.colour, markeredgecolor="black", markeredgewidth=0.3,
        )  # fmt: skip
    if one_clock:
        values = drawn["deviation_percent"].to_numpy(dtype=float)
        slope, start = np.polyfit(minutes.to_numpy(dtype=float), values, 1)
        ends = np.array([minutes.min(), minutes.max()])
        ax.plot(ends, start + slope * ends, color="black", linestyle="--", label="drift")
    ax.set_xlabel("Time since the start of the run (min)" if one_clock else "Cell, in order")
    words = quantity if len(quantity) < 22 else quantity.split(" (", maxsplit=1)[0]
    ax.set_ylabel(f"{words}:\ndeviation from mean (%)")
    return ax
