"""Time and energy of each method by phase, as stacked bars."""

from __future__ import annotations

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.basis import CostBasis, cost_basis, note_text, time_words
from analysis.figures.drawing import Drawing
from analysis.loading import Run
from analysis.looks import PHASE_COLOURS, PHASE_HATCHES
from analysis.method_tables import origin_words, spread_words
from analysis.style import even_columns, scaled_unit
from harness.schema import COST_PHASES

SHOWN = (*COST_PHASES, "evaluate")


def drawings(run: Run) -> list[Drawing]:
    """Return the figure, or nothing if no phase of a finished cell was timed."""
    basis = cost_basis(run)
    panels = [prepare(run, "time_s", time_words(run), "s")]
    if basis.kind != "time":
        panels.append(prepare(run, basis.column, basis.quantity, "J", basis))
    drawn = pd.concat([panel for panel in panels if len(panel)] or panels[:1], ignore_index=True)
    if drawn.empty:
        return []
    note = note_text(*basis.notes) if basis.kind != "time" else note_text(origin_words(run))
    count = drawn["quantity"].nunique()

    def paint(figure: Figure, width_in: float) -> None:
        paint_panels(figure, drawn, width_in)

    return [
        Drawing(
            stem="breakdown",
            title="Where time and energy go",
            caption="Time and energy by phase, means over the seeds of a method. Evaluation is "
            f"shown but not charged to the method. {spread_words([run])}",
            note=note,
            aspect=0.16 + count * (0.16 + 0.055 * len(run.methods)),
            drawn=drawn,
            paint=paint,
        )
    ]


def prepare(
    run: Run, column: str, quantity: str, unit: str, basis: CostBasis | None = None
) -> pd.DataFrame:
    """Return the mean over seeds of a cell's total in each phase; repeats are averaged first.

    A cell counts only if every one of its charged phases has the number.

    Returns:
        Columns quantity, unit, method, phase, value, n (seeds).
    """
    cells = run.done if basis is None else basis.cells
    facts = cells[["cell", "method", "seed"]]
    rows = run.phases[run.phases["phase"].isin(SHOWN)].merge(facts, on="cell", how="inner")
    gaps = rows.loc[rows[column].isna() & (rows["phase"] != "evaluate"), "cell"]
    rows = rows[~rows["cell"].isin(set(gaps))].dropna(subset=[column])
    columns = ["quantity", "unit", "method", "phase", "value", "n"]
    if rows.empty:
        return pd.DataFrame(columns=columns)
    table = rows.pivot_table(
        index=["method", "seed", "cell"], columns="phase", values=column, aggfunc="sum"
    ).fillna(0.0)
    seeds = table.groupby(["method", "seed"]).mean()
    counts = seeds.groupby("method").size()
    means = seeds.groupby("method").mean().reset_index()
    means = means.melt(id_vars="method", var_name="phase", value_name="value")
    means = means.assign(quantity=quantity, unit=unit, n=means["method"].map(counts))
    return _in_order(means, run.methods).filter(columns)


def paint_panels(figure: Figure, drawn: pd.DataFrame, width_in: float) -> None:
    """Put one panel per quantity above the other, with one legend of phases."""
    quantities = list(dict.fromkeys(drawn["quantity"]))
    panels = figure.subplots(len(quantities), 1, squeeze=False)[:, 0]
    for ax, quantity in zip(panels, quantities, strict=True):
        draw(ax, drawn[drawn["quantity"] == quantity])
    handles: dict[str, Artist] = {}
    for ax in panels:
        handles.update(dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True)))
    columns = even_columns(len(handles), int(width_in))
    figure.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=columns)


def draw(ax: Axes, drawn: pd.DataFrame) -> Axes:
    """Draw one horizontal bar per method, stacked by phase, from 0."""
    methods = list(dict.fromkeys(drawn["method"]))
    totals = drawn.groupby("method")["value"].sum()
    factor, unit = scaled_unit(float(totals.max()), str(drawn["unit"].iloc[0]))
    left = dict.fromkeys(methods, 0.0)
    for phase in [name for name in SHOWN if name in set(drawn["phase"])]:
        own = drawn[drawn["phase"] == phase].set_index("method")["value"]
        widths = [float(own.get(method, 0.0)) * factor for method in methods]
        ax.barh(
            methods, widths, left=[left[method] for method in methods], height=0.62,
            color=PHASE_COLOURS[phase], hatch=PHASE_HATCHES[phase], edgecolor="white",
            linewidth=0.4, label="evaluate (not charged)" if phase == "evaluate" else phase,
        )  # fmt: skip
        left = {m: left[m] + width for m, width in zip(methods, widths, strict=True)}
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(f"{drawn['quantity'].iloc[0]} ({unit})")
    return ax


def _in_order(rows: pd.DataFrame, methods: list[str]) -> pd.DataFrame:
    """Return the rows in the order of the run's methods and of the phases; no zero rows."""
    kept = rows[rows["value"] > 0]
    method_rank = kept["method"].map({name: rank for rank, name in enumerate(methods)})
    phase_rank = kept["phase"].map({name: rank for rank, name in enumerate(SHOWN)})
    order = (method_rank * len(SHOWN) + phase_rank).sort_values(kind="stable").index
    return kept.loc[order]
