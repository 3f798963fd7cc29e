"""Our points beside the published ones, each relative to its own one-by-one training."""

from __future__ import annotations

from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

import analysis.multitask.published
from analysis.core.basis import note_text
from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome
from analysis.core.figures.point_names import write_names
from analysis.core.loading import Run
from analysis.core.method_styles import method_style
from analysis.core.numbers import per_seed
from analysis.core.style import keep_limits, log_axis, paint_axes, spans_decade
from analysis.core.words import is_wide, origin_words, wide_words
from analysis.multitask import REFERENCE
from harness.evidence.paired import INTERVAL_WORDS, PairedRatio, paired_ratio

TITLE = "Beside the published points"
FILE = "mas_iccv2023.csv"
TASKS = "sdnkt"
AXES_IN = (2.8, 2.2)
"""Width and height of the axes in a column, about, for placing names."""

OURS, PAPER = "this run", "paper"
NAMES = {"one-by-one": REFERENCE, "all-in-one fedavg": "all-in-one"}
COLUMNS = ["source", "method", "time_ratio", "time_low", "time_high", "loss_ratio", "loss_low",
           "loss_high", "n"]  # fmt: skip


def drawings(run: Run) -> list[Outcome]:
    """Return the figure, or why there is none."""
    if sorted(run.tasks) != sorted(TASKS):
        return [NotDrawn(TITLE, f"the published points are of {TASKS}, the run is of {run.tasks}")]
    ours = own_points(run)
    if ours.empty:
        return [NotDrawn(TITLE, f"no method shares a seed with {REFERENCE}")]
    drawn = pd.concat([published_points(), ours], ignore_index=True)
    largest = int(ours["n"].max())

    return [
        Drawing(
            stem="published",
            title=TITLE,
            caption="Training time and total test loss, each relative to one-by-one training of "
            f"its own source. Filled: {OURS}, n = {largest} paired seeds, geometric mean with its "
            f"{INTERVAL_WORDS} where n > 1. Open: read off the axes of the headline figure of MAS "
            "(Zhuang et al., ICCV 2023), which has no error bars; another data set, network and "
            f"machine. Each method has one mark.{wide_words(ours['n'])}",
            note=note_text(
                "two sources, each relative to its own one-by-one", origin_words(run),
                "time on host" if not run.manifest.host_matches_device else "",
            ),
            aspect=0.85,
            drawn=drawn,
            paint=partial(paint_axes, draw=partial(draw, drawn=drawn)),
        )
    ]  # fmt: skip


def published_points() -> pd.DataFrame:
    """Return the points of the paper with one-by-one = 1, named like our methods."""
    path = Path(analysis.multitask.published.__file__).parent / FILE
    lines = path.read_text(encoding="utf-8").splitlines()
    table = pd.read_csv(StringIO("\n".join(lines[1:])))
    one = table[table["method"] == "one-by-one"].iloc[0]
    rows = [
        (PAPER, _our_name(str(name), splits), hours / one["gpu_hours"], None, None,
         loss / one["total_test_loss"], None, None, None)
        for name, splits, hours, loss in table.to_numpy().tolist()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS).astype({"n": "Int64"})


def own_points(run: Run) -> pd.DataFrame:
    """Return time and loss relative to independent of the same seed: geometric mean, interval."""
    columns = ("time_s", "total_loss")
    references = [per_seed(run.done, REFERENCE, column) for column in columns]
    rows: list[tuple[object, ...]] = []
    for method in run.methods:
        values = [per_seed(run.done, method, column) for column in columns]
        seeds = set.intersection(*(set(own) for own in (*references, *values)))
        row: list[object] = [OURS, method]
        for own, reference in zip(values, references, strict=True):
            row += _ratio(paired_ratio({seed: own[seed] for seed in seeds}, reference))
        if seeds and None not in {row[2], row[5]}:
            rows.append((*row, len(seeds)))
    kept = rows if {row[1] for row in rows} - {REFERENCE} else []
    return pd.DataFrame(kept, columns=COLUMNS).astype({"n": "Int64"})


def _ratio(pairs: PairedRatio | None) -> list[float | None]:
    """Return ratio and interval; the interval is empty for one seed."""
    if pairs is None:
        return [None, None, None]
    interval = pairs.interval
    return [pairs.ratio, *((interval.low, interval.high) if interval else (None, None))]


def draw(ax: Axes, drawn: pd.DataFrame) -> Axes:
    """Draw our points filled and the published ones open, with guides at one-by-one."""
    ax.axvline(1, color="#999999", linewidth=0.75)
    ax.axhline(1, color="#999999", linewidth=0.75)
    for source, filled in ((PAPER, False), (OURS, True)):
        for _, row in drawn[drawn["source"] == source].iterrows():
            shape = method_style(str(row["method"]))
            if _has_bars(row) and not is_wide(row["n"]):
                _draw_bars(ax, row)
            ax.plot(
                row["time_ratio"], row["loss_ratio"], linestyle="none", marker=shape.marker,
                markersize=6 if filled else 5.5, color=shape.colour,
                markerfacecolor=shape.colour if filled else "white",
                markeredgecolor="black" if filled else shape.colour,
                markeredgewidth=0.5 if filled else 1.1,
            )  # fmt: skip
    for source, face in ((OURS, "#555555"), (PAPER, "white")):
        ax.plot(
            [], [], linestyle="none", marker="o", color="#555555", markerfacecolor=face,
            label=source,
        )  # fmt: skip
    if spans_decade(drawn["time_ratio"]):
        log_axis(ax)
    ax.margins(x=0.08, y=0.1)
    with keep_limits(ax):
        for _, row in drawn.iterrows():
            if _has_bars(row) and is_wide(row["n"]):
                _draw_bars(ax, row)
    places = [(float(x), float(y)) for x, y in drawn[["time_ratio", "loss_ratio"]].to_numpy()]
    write_names(ax, places, _names(drawn), AXES_IN)
    ax.set_xlabel("Training time (one-by-one = 1)")
    ax.set_ylabel("Total test loss (one-by-one = 1)")
    return ax


def _names(drawn: pd.DataFrame) -> list[str]:
    """Return a name of each point, none for ours of a method with the same mark in the paper."""
    named = drawn.duplicated("method")
    return ["" if same else str(name) for name, same in zip(drawn["method"], named, strict=True)]


def _has_bars(row: pd.Series[Any]) -> bool:
    return bool(pd.notna(row["time_low"])) and row["method"] != REFERENCE


def _draw_bars(ax: Axes, row: pd.Series[Any]) -> None:
    ax.errorbar(
        row["time_ratio"], row["loss_ratio"], xerr=_arms(row, "time"), yerr=_arms(row, "loss"),
        fmt="none", ecolor=method_style(str(row["method"])).colour, elinewidth=0.8, capsize=1.5,
        zorder=1.5,
    )  # fmt: skip


def _arms(row: pd.Series[Any], name: str) -> list[list[float]]:
    """Return the lengths of the error bar below and above a ratio."""
    ratio = row[f"{name}_ratio"]
    return [[max(0.0, ratio - row[f"{name}_low"])], [max(0.0, row[f"{name}_high"] - ratio)]]


def _our_name(name: str, splits: float) -> str:
    if pd.notna(splits):
        return f"{name}:splits={int(splits)}"
    return NAMES.get(name, name.removeprefix("all-in-one "))
