"""How every figure looks: text sizes, notes, legends, deterministic files.

The style is a dict that is applied in a context; importing this module changes nothing.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from pandas.api.types import is_numeric_dtype

from analysis.core.venues import venue_width_in
from harness.core.clean_text import spreadsheet_safe
from harness.core.guarded_folder import write_below

TEXT_PT = 8.0
SMALL_PT = 7.0
PNG_DPI = 200
FREE_ROWS = 2
ROW_IN = 0.15
"""Height of a row of a legend in inches."""


def figure_style() -> dict[Any, Any]:
    """Return the settings for `matplotlib.style.context`; font type 42 keeps Type 3 out of PDFs.

    Apply them on top of matplotlib's "default" style, so that nobody's matplotlibrc shows.
    """
    return {
        "pdf.fonttype": 42,
        "ps.fonttype": 42,
        "svg.fonttype": "none",
        "text.usetex": False,
        "text.parse_math": False,
        "font.family": "DejaVu Sans",
        "font.size": TEXT_PT,
        "axes.titlesize": TEXT_PT,
        "axes.labelsize": TEXT_PT,
        "xtick.labelsize": SMALL_PT,
        "ytick.labelsize": SMALL_PT,
        "legend.fontsize": SMALL_PT,
        "legend.frameon": False,
        "legend.handlelength": 1.8,
        "legend.columnspacing": 1.0,
        "lines.linewidth": 1.1,
        "lines.markersize": 4.5,
        "axes.linewidth": 0.75,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#DDDDDD",
        "grid.linewidth": 0.5,
        "axes.axisbelow": True,
        "hatch.linewidth": 0.6,
        "figure.dpi": 100,
        "savefig.dpi": PNG_DPI,
        "figure.constrained_layout.use": True,
        "figure.constrained_layout.h_pad": 0.03,
        "figure.constrained_layout.w_pad": 0.03,
    }


def new_figure(venue: str, aspect: float, note: str = "") -> Figure:
    """Return an empty figure of the venue's width with a note along its lower edge.

    Args:
        venue: one of `analysis.core.venues.VENUE_WIDTHS_IN`.
        aspect: height divided by width, the note not counted.
        note: what the reader must know, e.g. that values are modelled.
    """
    width = venue_width_in(venue)
    lines = wrap_note(note, width)
    height = width * aspect + 0.13 * len(lines)
    figure = Figure(figsize=(width, height), layout="constrained")
    if lines:
        figure.supxlabel("\n".join(lines), fontsize=SMALL_PT, color="#444444", parse_math=False)
    return figure


def wrap_note(note: str, width_in: float) -> list[str]:
    """Return a note as lines that fit the width at 7 pt, about 15.5 letters an inch."""
    return textwrap.wrap(note, max(20, int(width_in * 15.5)))


def finish_bars(ax: Axes, label: str) -> None:
    """Give horizontal bars an axis from 0, the first bar on top, and no lines beside names."""
    ax.set_xlim(left=0)
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(label)


def legend_above(figure: Figure, ax: Axes, width_in: float) -> None:
    """Put the legend of `ax` above the axes, in as many columns as its labels allow.

    The figure grows by the rows beyond the second, so that a long legend leaves the axes as they
    are.
    """
    handles, labels = ax.get_legend_handles_labels()
    if not labels:
        return
    letters = max(len(label) for label in labels) + 7
    columns = even_columns(len(labels), int(width_in * 16.5 / letters))
    more = math.ceil(len(labels) / columns) - FREE_ROWS
    figure.set_figheight(figure.get_figheight() + ROW_IN * max(0, more))
    figure.legend(handles, labels, loc="outside upper center", ncols=columns)


def paint_axes(figure: Figure, width_in: float, draw: Callable[[Axes], Axes]) -> None:
    """Draw on the only axes of a figure and put their legend above."""
    legend_above(figure, draw(figure.add_subplot()), width_in)


def even_columns(entries: int, most: int) -> int:
    """Return the columns, at most `most`, that fill the rows of a legend evenly."""
    rows = math.ceil(entries / max(1, most))
    return math.ceil(entries / rows)


def save_figure(figure: Figure, stem: Path, drawn: pd.DataFrame) -> list[Path]:
    """Write PDF, PNG and the CSV of what is drawn; equal input gives equal bytes.

    Must be called inside the context of `figure_style`.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # both files keep the layout found once
    pdf, png = BytesIO(), BytesIO()
    about = {"CreationDate": None, "Creator": None, "Producer": "matplotlib"}
    figure.savefig(pdf, format="pdf", metadata=about)
    figure.savefig(png, format="png", dpi=PNG_DPI, metadata={"Software": None})
    text = _without_formulas(drawn).to_csv(index=False, lineterminator="\n")
    contents = {".pdf": pdf.getvalue(), ".png": png.getvalue(), ".csv": text.encode()}
    return [write_below(stem.parent, stem.name + end, made) for end, made in contents.items()]


def _without_formulas(drawn: pd.DataFrame) -> pd.DataFrame:
    """Return the table with no text that a spreadsheet takes for a formula."""

    def safe(value: object) -> object:
        return spreadsheet_safe(value) if isinstance(value, str) else value

    texts = [name for name in drawn.columns if not is_numeric_dtype(drawn[name])]
    found = drawn.assign(**{str(name): drawn[name].map(safe) for name in texts})
    return found.rename(columns=safe)


@contextmanager
def keep_limits(ax: Axes) -> Iterator[None]:
    """Draw inside without changing the limits of the axes, as for intervals that are too wide."""
    limits = (ax.get_xlim(), ax.get_ylim())
    yield
    ax.set_xlim(limits[0])
    ax.set_ylim(limits[1])


def log_axis(ax: Axes) -> None:
    """Make the x axis logarithmic with plain numbers at 1, 2 and 5 of each decade."""
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    ax.xaxis.set_major_formatter(FuncFormatter(_plain_tick))
    ax.xaxis.set_minor_locator(NullLocator())


def _plain_tick(value: float, _place: int) -> str:
    return f"{value:g}"


def spans_decade(values: Iterable[float]) -> bool:
    """Tell whether positive values span more than one decade, so that a log axis reads better."""
    numbers = list(values)
    return bool(numbers) and min(numbers) > 0 and max(numbers) > 10 * min(numbers)


def scaled_unit(largest: float, unit: str) -> tuple[float, str]:
    """Return the factor and the unit with k or M that keep axis numbers short."""
    if largest >= 1e7:
        return 1e-6, f"M{unit}"
    if largest >= 1e4:
        return 1e-3, f"k{unit}"
    return 1.0, unit
