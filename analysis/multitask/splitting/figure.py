"""Draw the map: loss of MAS relative to independent training, with the band of all splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.core.figures.drawing import Drawing
from analysis.core.style import SMALL_PT, legend_above
from analysis.multitask.splitting.summary import Standing
from analysis.multitask.splitting.table import NOT_RUN

STEM = "map"
ROW_IN = 0.36
LOWEST_ROW = 0.62
OFFSETS = {"all-in-one": 0.0, "mas:splits=2": -0.17, "mas:splits=3": 0.17}
"""Where the marks of a method lie around the middle of a point's row."""

LOOKS: Mapping[str, tuple[str, str, str]] = {
    "all-in-one": ("all-in-one", "x", "#555555"),
    "mas:splits=2": ("MAS, 2 groups", "o", "#0072B2"),
    "mas:splits=3": ("MAS, 3 groups", "s", "#D55E00"),
}
"""Method → its name, mark and colour (Okabe and Ito)."""

FEWEST_SEEDS = 3
"""Of two the interval is so long that it would hide all else; the table has it."""

FARTHEST_PERCENT = 25.0
"""Where the axis ends: one point that says nothing shall not press all others together."""

BAND = "best to worst split (as many groups)"


def drawing(found: Sequence[Standing], width_in: float) -> Drawing:
    """Return the figure of all points, each a row from top to bottom."""
    drawn = drawn_values(found)
    rows = drawn["point"].nunique()
    return Drawing(
        stem=STEM,
        title="When splitting pays",
        caption="Change of total test loss against independent training of the same seeds: "
        "geometric mean and 95 % interval. Left of the line merging and splitting pays.",
        note="Bars: 95 % interval, from three seeds on; an arrow where it goes on beyond "
        f"{FARTHEST_PERCENT:g} %. Losses do not depend on the host's load.",
        aspect=(ROW_IN * rows + LOWEST_ROW) / width_in,
        drawn=drawn,
        paint=partial(_paint, drawn=drawn),
        timed=False,
    )


def drawn_values(found: Sequence[Standing]) -> pd.DataFrame:
    """Return the changes of loss in percent, a row for each method of each point."""
    return pd.DataFrame(
        [
            {
                "point": one.point.name, "label": _label(one), "method": one.method,
                "seeds": len(one.seeds), "change_percent": _percent(_ratio(one)),
                "low_percent": _percent(_bound(one, "low")),
                "high_percent": _percent(_bound(one, "high")),
            }
            for one in found
        ]
    )  # fmt: skip


def _label(one: Standing) -> str:
    return f"{one.point.axis}\n{one.point.value}" if one.point.axis != "default" else "default"


def _ratio(one: Standing) -> float | None:
    return None if one.loss is None else one.loss.ratio


def _bound(one: Standing, end: str) -> float | None:
    if one.loss is None or one.loss.interval is None:
        return None
    return float(getattr(one.loss.interval, end))


def _percent(ratio: float | None) -> float | None:
    return None if ratio is None else 100.0 * (ratio - 1.0)


def _paint(figure: Figure, width_in: float, drawn: pd.DataFrame) -> None:
    ax = figure.add_subplot()
    names = list(dict.fromkeys(drawn["point"]))
    for row, name in enumerate(names):
        _row(ax, row, drawn[drawn["point"] == name].set_index("method"))
    _labels(ax, drawn, names)
    _legend(ax)
    legend_above(figure, ax, width_in)


def _row(ax: Axes, row: int, own: pd.DataFrame) -> None:
    if own["change_percent"].isna().all():
        ax.text(0.0, row, f" {NOT_RUN}", fontsize=SMALL_PT, color="#777777", va="center")
        return
    for splits, offset in ((2, OFFSETS["mas:splits=2"]), (3, OFFSETS["mas:splits=3"])):
        best, worst = (
            own["change_percent"].get(f"{kind}-split:splits={splits}") for kind in ("best", "worst")
        )
        if best is not None and worst is not None and not (pd.isna(best) or pd.isna(worst)):
            ax.fill_betweenx([row + offset - 0.13, row + offset + 0.13], float(best), float(worst),
                             color="#BBBBBB", linewidth=0)  # fmt: skip
    for method, offset in OFFSETS.items():
        value = own["change_percent"].get(method)
        if value is None or pd.isna(value):
            continue
        _, mark, colour = LOOKS[method]
        low, high = own["low_percent"][method], own["high_percent"][method]
        if method != "all-in-one" and own["seeds"][method] >= FEWEST_SEEDS:
            _bar(ax, row + offset, (low, high), colour)
        ax.plot([value], [row + offset], mark, color=colour, markersize=3.5)


def _bar(ax: Axes, y: float, ends: tuple[float, float], colour: str) -> None:
    """Draw an interval; an end beyond the axis is an arrow at its edge."""
    low, high = (min(max(end, -FARTHEST_PERCENT), FARTHEST_PERCENT) for end in ends)
    ax.plot([low, high], [y, y], color=colour, linewidth=0.9)
    for end, mark in ((low, "<"), (high, ">")):
        if abs(end) == FARTHEST_PERCENT:
            ax.plot([end], [y], mark, color=colour, markersize=2.5)


def _labels(ax: Axes, drawn: pd.DataFrame, names: Sequence[str]) -> None:
    labels = drawn.drop_duplicates("point").set_index("point")["label"]
    ax.set_yticks(range(len(names)), [labels[name] for name in names])
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.axvline(0.0, color="#333333", linewidth=0.8)
    ax.set_xlabel("test loss against independent / %")
    ax.grid(visible=False, axis="y")


def _legend(ax: Axes) -> None:
    for name, mark, colour in LOOKS.values():
        ax.plot([], [], mark, color=colour, markersize=3.5, label=name)
    ax.fill_betweenx([], [], [], color="#BBBBBB", linewidth=0, label=BAND)
