"""Joules of each component, as stacked bars, with what witnesses saw beside them."""

from __future__ import annotations

from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.core.basis import note_text
from analysis.core.component_data import KEYS, component_means
from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome
from analysis.core.loading import Run
from analysis.core.method_styles import HATCHES, PIECE_COLOURS, REST_COLOUR
from analysis.core.style import finish_bars, legend_above, scaled_unit
from analysis.core.words import origin_words

TITLE = "Joules per component"
REST = "rest of the total"
MARKERS = ("D", "s", "^", "v", "P", "X")


def drawings(run: Run) -> list[Outcome]:
    """Return the figure; nothing where a run has no components, or one alone."""
    if run.components is None:
        return []
    drawn = prepare(run)
    if drawn.empty:
        return [NotDrawn(TITLE, "no finished cell has joules of more than one component")]
    return [
        Drawing(
            stem="components",
            title=TITLE,
            caption="Measured joules of a cell by component, means over the cells of a method."
            " Where a total has parts they are drawn instead of it, with what they leave over."
            " Marks are witnesses, which were recorded beside and are in no sum.",
            note=note_text(origin_words(run)),
            aspect=0.28 + 0.09 * drawn["method"].nunique(),
            drawn=drawn,
            paint=partial(paint, drawn=drawn),
        )
    ]


def prepare(run: Run) -> pd.DataFrame:
    """Return what is drawn: a bar's pieces and its witnesses.

    Returns:
        Columns method, piece, kind (piece or witness), energy_j.
    """
    columns = ["method", "piece", "kind", "energy_j"]
    means = component_means(run).dropna(subset=["energy_j"])
    if len(means[KEYS].drop_duplicates()) < 2:
        return pd.DataFrame(columns=columns)
    rows = [
        (str(method), piece, kind, energy_j)
        for method, own in means.groupby("method", sort=False)
        for piece, kind, energy_j in _pieces(own)
    ]
    return pd.DataFrame(rows, columns=columns)


def _pieces(own: pd.DataFrame) -> list[tuple[str, str, float]]:
    """Return the pieces of one method's bar: totals, each divided into its parts if it has some."""
    found: dict[tuple[str, str], float] = {}

    def add(piece: str, kind: str, energy_j: float) -> None:
        found[piece, kind] = found.get((piece, kind), 0.0) + energy_j

    for _meter, rails in own.groupby("meter", sort=False):
        parts = rails[rails["role"] == "part"]
        totals = rails[rails["role"] == "total"]
        whole_j, parts_j = float(totals["energy_j"].sum()), float(parts["energy_j"].sum())
        divided = len(parts) > 0 and parts_j <= whole_j
        shown = (parts if divided else totals)[["component", "energy_j"]]
        for component, energy_j in shown.to_numpy().tolist():
            add(str(component), "piece", float(energy_j))
        if divided:
            add(REST, "piece", whole_j - parts_j)
        beside = rails[rails["role"] == "witness"][["meter", "rail", "energy_j"]]
        for meter, rail, energy_j in beside.to_numpy().tolist():
            add(f"{meter} {rail}", "witness", float(energy_j))
    return [(piece, kind, energy_j) for (piece, kind), energy_j in found.items()]


def paint(figure: Figure, width_in: float, drawn: pd.DataFrame) -> None:
    """Put the bars on the figure, with a legend above."""
    ax = draw(figure.subplots(), drawn)
    legend_above(figure, ax, width_in)


def draw(ax: Axes, drawn: pd.DataFrame) -> Axes:
    """Draw one horizontal bar per method, stacked by component, from 0."""
    factor, unit = scaled_unit(float(drawn["energy_j"].max()), "J")
    methods = list(dict.fromkeys(drawn["method"]))
    left = dict.fromkeys(methods, 0.0)
    pieces = drawn[drawn["kind"] == "piece"]
    for place, piece in enumerate(dict.fromkeys(pieces["piece"])):
        own = pieces[pieces["piece"] == piece].set_index("method")["energy_j"] * factor
        widths = [float(own.get(method, 0.0)) for method in methods]
        colour = REST_COLOUR if piece == REST else PIECE_COLOURS[place % len(PIECE_COLOURS)]
        ax.barh(
            methods, widths, left=[left[m] for m in methods], height=0.6, edgecolor="white",
            color=colour, linewidth=0.4,
            hatch="" if piece == REST else HATCHES[place % len(HATCHES)], label=piece,
        )  # fmt: skip
        left = {m: left[m] + width for m, width in zip(methods, widths, strict=True)}
    beside = drawn[drawn["kind"] == "witness"]
    for place, witness in enumerate(dict.fromkeys(beside["piece"])):
        own_rows = beside[beside["piece"] == witness]
        ax.plot(
            own_rows["energy_j"] * factor, own_rows["method"], linestyle="none", color="black",
            marker=MARKERS[place % len(MARKERS)], markerfacecolor="white", markersize=5,
            label=f"witness: {witness}",
        )  # fmt: skip
    finish_bars(ax, f"Measured energy of a cell ({unit})")
    return ax
