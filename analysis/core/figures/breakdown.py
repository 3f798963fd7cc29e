"""Time and energy of each method by phase, as stacked bars."""

from __future__ import annotations

from functools import partial

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.core.basis import CostBasis, cost_basis, note_text, restated_power_w, time_words
from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome
from analysis.core.loading import Run
from analysis.core.method_styles import PHASE_COLOURS, PHASE_HATCHES
from analysis.core.style import even_columns, finish_bars, keep_limits, scaled_unit
from analysis.core.tables.phases import SHOWN, phase_means
from analysis.core.words import is_wide, origin_words, spread_words, wide_words
from harness.evidence.paired import half_width
from harness.evidence.restated import restated_words

TITLE = "Where time and energy go"
TOTAL = "charged total"
ORDER = (*SHOWN, TOTAL)


def drawings(run: Run) -> list[Outcome]:
    """Return the figure, or why there is none."""
    basis = cost_basis(run)
    panels = [prepare(run, "time_s", time_words(run), "s")]
    if basis.kind != "time":
        panels.append(prepare(run, basis.column, basis.quantity, "J", basis))
    drawn = pd.concat([panel for panel in panels if len(panel)] or panels[:1], ignore_index=True)
    if drawn.empty:
        return [NotDrawn(TITLE, "no phase of a finished cell was timed")]
    power_w = restated_power_w(run)
    note = note_text(*basis.notes) if basis.kind != "time" else note_text(origin_words(run))
    words = "Time and energy" if basis.kind != "time" else "Time"
    restated = "" if power_w is None else f" {restated_words(power_w)}"
    count = drawn["quantity"].nunique()

    return [
        Drawing(
            stem="breakdown",
            title=TITLE,
            caption=f"{words} by phase, means over the seeds of a method. Evaluation is "
            "shown but not charged to the method; whiskers belong to the charged total."
            f"{restated} {spread_words([run])}{wide_words(drawn['n'])}",
            note=note,
            aspect=0.16 + count * (0.16 + 0.055 * len(run.methods)),
            drawn=drawn,
            paint=partial(paint_panels, drawn=drawn),
        )
    ]


def prepare(
    run: Run, column: str, quantity: str, unit: str, basis: CostBasis | None = None
) -> pd.DataFrame:
    """Return the mean over seeds of a cell's total in each phase; repeats are averaged first.

    A cell counts only if every one of its charged phases has the number, but for those of a
    fleet's server.

    Returns:
        Columns quantity, unit, method, phase, value, half_width, n (seeds). Rows of phase
        `charged total` hold the sum without evaluation and its 95 % half-width.
    """
    cells = run.done if basis is None else basis.cells
    means = phase_means(cells, run.phases, column, fleet=run.is_fleet)
    columns = ["quantity", "unit", "method", "phase", "value", "half_width", "n"]
    if means.empty:
        return pd.DataFrame(columns=columns)
    table = means.groupby(["method", "phase"])["value"].agg(value="mean", n="size").reset_index()
    charged = means[means["phase"] != "evaluate"].groupby(["method", "seed"])["value"].sum()
    totals = charged.groupby("method").agg(
        value="mean", half_width=lambda own: half_width(own.tolist()), n="size"
    )
    both = pd.concat([table, totals.reset_index().assign(phase=TOTAL)], ignore_index=True)
    both = both.assign(quantity=quantity, unit=unit)
    return _in_order(both, run.methods).reindex(columns=columns)


def paint_panels(figure: Figure, width_in: float, drawn: pd.DataFrame) -> None:
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
    phases = drawn[drawn["phase"] != TOTAL]
    totals = phases.groupby("method")["value"].sum()
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
    charged = drawn[(drawn["phase"] == TOTAL) & drawn["half_width"].notna()]
    wide = charged["n"].map(is_wide).astype(bool)
    _draw_whiskers(ax, charged[~wide], factor)
    with keep_limits(ax):
        _draw_whiskers(ax, charged[wide], factor)
    finish_bars(ax, f"{drawn['quantity'].iloc[0]} ({unit})")
    return ax


def _draw_whiskers(ax: Axes, charged: pd.DataFrame, factor: float) -> None:
    if len(charged):
        ax.errorbar(
            charged["value"] * factor, charged["method"], fmt="none", ecolor="black",
            xerr=charged["half_width"].astype(float) * factor, elinewidth=0.9, capsize=2,
        )  # fmt: skip


def _in_order(rows: pd.DataFrame, methods: list[str]) -> pd.DataFrame:
    """Return the rows in the order of the run's methods and of the phases; no zero rows."""
    kept = rows[rows["value"] > 0]
    method_rank = kept["method"].map({name: rank for rank, name in enumerate(methods)})
    phase_rank = kept["phase"].map({name: rank for rank, name in enumerate(ORDER)})
    order = (method_rank * len(ORDER) + phase_rank).sort_values(kind="stable").index
    return kept.loc[order]
