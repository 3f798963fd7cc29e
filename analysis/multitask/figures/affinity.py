"""Affinity between tasks as a heat map, with the groups of the chosen split drawn as boxes."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from analysis.core.basis import note_text
from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome, file_stem
from analysis.core.loading import Run
from analysis.core.style import paint_axes
from analysis.core.tables.table import plain_number
from analysis.core.words import origin_words
from harness.core.errors import DamagedRunError

TITLE = "Affinity"


def drawings(run: Run) -> list[Outcome]:
    """Return one figure per method that measured affinity, of its first seed and repeat."""
    found = [drawing for method in run.methods if (drawing := _tried(run, method)) is not None]
    return [*found] or [NotDrawn(TITLE, "no finished cell measured affinity")]


def prepare(matrix: pd.DataFrame, groups: list[str]) -> pd.DataFrame:
    """Return the matrix with tasks ordered by group; tasks of no group come last.

    A task in several (overlapping) groups stands with the first of them.
    """
    ordered = list(dict.fromkeys(task for group in groups for task in group))
    tasks = [task for task in ordered if task in matrix.index]
    tasks += [task for task in matrix.index if task not in tasks]
    return matrix.loc[tasks, tasks]


def draw(ax: Axes, matrix: pd.DataFrame, groups: list[str]) -> Axes:
    """Draw recipients in rows and sources in columns, colours centred at 0, values printed.

    The colour scale follows the entries off the diagonal: no method uses a task's affinity to
    itself, and it is on another scale, so it stays grey.
    """
    values = matrix.to_numpy(dtype=float)
    others = np.where(np.eye(len(values), dtype=bool), np.nan, values)
    finite = np.abs(others[np.isfinite(others)])
    limit = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
    power = power_of_thousand(limit)
    values, limit = values / 10.0**power, limit / 10.0**power
    image = draw_colours(ax, matrix / 10.0**power, groups, limit)
    _print_values(ax, values, limit)
    ax.set_xlabel("Source: task whose step is tried")
    ax.set_ylabel("Recipient: task observed")
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.9, pad=0.03)
    bar.set_label(scale_label(power))
    bar.outline.set_linewidth(0.5)
    return ax


def draw_colours(ax: Axes, matrix: pd.DataFrame, groups: list[str], limit: float) -> AxesImage:
    """Draw the colours from -limit to limit and the boxes of the groups; the diagonal is grey."""
    own = np.eye(len(matrix), dtype=bool)
    others = np.where(own, np.nan, matrix.to_numpy(dtype=float))
    ax.set_facecolor("#E4E4E4")
    image = ax.imshow(np.ma.masked_invalid(others), cmap="RdBu", vmin=-limit, vmax=limit)
    _box_groups(ax, list(matrix.index), groups)
    ax.set_xticks(range(len(matrix)), list(matrix.columns))
    ax.set_yticks(range(len(matrix)), list(matrix.index))
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    return image


def power_of_thousand(limit: float) -> int:
    """Return the power of ten, a multiple of three, that leaves the limit from 0.01 to 10."""
    return 3 * math.floor((math.log10(limit) + 2) / 3)


def scale_label(power: int) -> str:
    """Return the label of the colour bar."""
    digits = str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"Affinity ({f'10{digits}, ' if power else ''}> 0 helps)"


def _tried(run: Run, method: str) -> Outcome | None:
    """Return the figure of a method, or why there is none if a file of it is damaged."""
    try:
        return _of_method(run, method)
    except DamagedRunError as error:
        return NotDrawn(f"{TITLE}, {method}", error.message)


def _of_method(run: Run, method: str) -> Drawing | None:
    cells = run.done[run.done["method"] == method].sort_values(["seed", "repeat"])
    for cell, seed, split in cells[["cell", "seed", "groups"]].to_numpy().tolist():
        matrix = run.affinity(str(cell))
        if matrix is None:
            continue
        groups = [group for group in str(split).split("|") if group]
        ordered = prepare(matrix, groups)

        return Drawing(
            stem=f"affinity_{file_stem(method)}",
            timed=False,
            title=f"Affinity, {method}",
            caption=f"Effect of a step for one task (column) on the loss of another (row), "
            f"{method}, seed {seed}. Boxes: the split {split or 'was not recorded'}. The diagonal "
            "is not used.",
            note=note_text(f"one seed ({seed})", origin_words(run)),
            aspect=0.86,
            drawn=ordered.rename_axis("recipient").reset_index(),
            paint=partial(paint_axes, draw=partial(draw, matrix=ordered, groups=groups)),
        )
    return None


def _print_values(ax: Axes, values: np.ndarray, limit: float) -> None:
    size = 7.0
    digits = max(0, 1 - int(np.floor(np.log10(limit))))
    for row, column in np.ndindex(*values.shape):
        value = values[row, column]
        dark = row != column and abs(value) > 0.6 * limit
        text = plain_number(float(value), digits) if np.isfinite(value) else "–"
        ax.text(
            column, row, text, ha="center", va="center", fontsize=size,
            color="white" if dark else "#222222",
        )  # fmt: skip


def _box_groups(ax: Axes, tasks: list[str], groups: list[str]) -> None:
    """Box each group whose tasks stand side by side; overlapping groups cannot all be boxed."""
    for group in groups:
        places = sorted(tasks.index(task) for task in group if task in tasks)
        if not places or places[-1] - places[0] + 1 != len(places):
            continue
        corner = (places[0] - 0.46, places[0] - 0.46)
        side = len(places) - 0.08
        ax.add_patch(
            Rectangle(corner, side, side, fill=False, edgecolor="black", linewidth=1.6, zorder=3)
        )
