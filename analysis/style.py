"""How every figure looks: sizes per venue, one look per method and phase, deterministic files.

The style is a dict that is applied in a context; importing this module changes nothing.
"""

from __future__ import annotations

import math
import textwrap
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from analysis.errors import EXIT_USAGE, AnalysisError

VENUE_WIDTHS_IN: Mapping[str, float] = {
    "ieee": 3.5,  # one column of IEEEtran
    "ieee-wide": 7.16,  # both columns of IEEEtran
    "icml": 3.25,  # one column
    "cvpr": 3.25,  # one column
    "cvpr-wide": 6.875,  # both columns
    "neurips": 5.5,  # text width
    "iclr": 5.5,  # text width
}

TEXT_PT = 8.0
SMALL_PT = 7.0
PNG_DPI = 200

METHOD_COLOURS: Mapping[str, str] = {
    "independent": "#0072B2",
    "all-in-one": "#009E73",
    "mas": "#D55E00",
    "tag": "#CC79A7",
    "hoa": "#E69F00",
    "gradnorm": "#56B4E9",
    "fedprox": "#332288",
    "standalone": "#000000",
}
"""Okabe and Ito's palette (2008) with one indigo; it is safe for the common colour blindnesses."""

OTHER_COLOURS = ("#117733", "#882255", "#44AA99", "#999933", "#AA4499", "#88CCEE", "#661100")
"""For methods not named above, from Paul Tol's muted scheme."""

METHOD_MARKERS: Mapping[str, str] = {
    "independent": "o",
    "all-in-one": "s",
    "mas": "D",
    "tag": "^",
    "hoa": "v",
    "gradnorm": "P",
    "fedprox": "X",
    "standalone": "*",
}
OTHER_MARKERS = ("<", ">", "p", "h", "d", "8", "H")
HATCHES = ("///", "\\\\\\", "xx", "..", "++", "oo", "--")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
SHADES = (0.0, 0.3, -0.3, 0.5, -0.5)

PHASE_COLOURS: Mapping[str, str] = {
    "train": "#0072B2",
    "affinity": "#D55E00",
    "aggregate": "#009E73",
    "communicate": "#CC79A7",
    "evaluate": "#E69F00",
    "idle": "#BBBBBB",
    "warm-up": "#F0E442",
    "cool-down": "#56B4E9",
}
PHASE_HATCHES: Mapping[str, str] = {
    "train": "",
    "affinity": "////",
    "aggregate": "....",
    "communicate": "xxxx",
    "evaluate": "\\\\\\\\",
    "idle": "",
    "warm-up": "++++",
    "cool-down": "----",
}

Line = str | tuple[int, tuple[int, ...]]


@dataclass(frozen=True)
class MethodLook:
    """Hold the colour, marker, hatch and line of one method, alike in every figure."""

    colour: str | tuple[float, float, float]
    marker: str
    hatch: str
    line: Line


def figure_style() -> dict[Any, Any]:
    """Return the settings for `matplotlib.style.context`; font type 42 keeps Type 3 out of PDFs.

    Apply them on top of matplotlib's "default" style, so that nobody's matplotlibrc shows.
    """
    return {
        "pdf.fonttype": 42,
        "ps.fonttype": 42,
        "svg.fonttype": "none",
        "text.usetex": False,
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


def venue_width_in(venue: str) -> float:
    """Return the width of a venue's column in inches.

    Raises:
        AnalysisError: if the venue is unknown, naming the known ones.
    """
    if venue not in VENUE_WIDTHS_IN:
        raise AnalysisError(
            f"Unknown venue {venue!r}.",
            f"Use one of: {', '.join(VENUE_WIDTHS_IN)}.",
            EXIT_USAGE,
        )
    return VENUE_WIDTHS_IN[venue]


def method_look(method: str) -> MethodLook:
    """Return the look of a method from its name alone.

    The part before the colon gives colour and hatch, so that variants look related; the parameters
    give shade, marker and line. Names not in the tables are hashed by CRC-32, because Python's own
    hash changes from process to process.
    """
    name, _, parameters = method.partition(":")
    code = zlib.crc32(name.encode())
    colour = METHOD_COLOURS.get(name) or OTHER_COLOURS[code % len(OTHER_COLOURS)]
    marker = METHOD_MARKERS.get(name) or OTHER_MARKERS[(code >> 8) % len(OTHER_MARKERS)]
    names = list(METHOD_COLOURS)
    rank = names.index(name) if name in names else code >> 16
    hatch, line = HATCHES[rank % len(HATCHES)], LINES[rank % len(LINES)]
    if not parameters:
        return MethodLook(colour, marker, hatch, line)
    variant = _variant(parameters)
    markers = [sign for sign in (*METHOD_MARKERS.values(), *OTHER_MARKERS) if sign != marker]
    return MethodLook(
        _shade(colour, SHADES[(variant - 1) % len(SHADES)]),
        markers[(rank * 3 + variant) % len(markers)],
        HATCHES[(rank + variant) % len(HATCHES)],
        LINES[(rank + variant) % len(LINES)],
    )


def new_figure(venue: str, aspect: float, note: str = "") -> Figure:
    """Return an empty figure of the venue's width with a note along its lower edge.

    Args:
        venue: one of `VENUE_WIDTHS_IN`.
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


def legend_above(figure: Figure, ax: Axes, width_in: float) -> None:
    """Put the legend of `ax` above the axes, in as many columns as its labels allow."""
    handles, labels = ax.get_legend_handles_labels()
    if not labels:
        return
    letters = max(len(label) for label in labels) + 7
    columns = even_columns(len(labels), int(width_in * 16.5 / letters))
    figure.legend(handles, labels, loc="outside upper center", ncols=columns)


def even_columns(entries: int, most: int) -> int:
    """Return the columns, at most `most`, that fill the rows of a legend evenly."""
    rows = math.ceil(entries / max(1, most))
    return math.ceil(entries / rows)


def save_figure(figure: Figure, stem: Path, drawn: pd.DataFrame) -> list[Path]:
    """Write PDF, PNG and the CSV of what is drawn; equal input gives equal bytes.

    Must be called inside the context of `figure_style`.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = [stem.with_name(stem.name + ending) for ending in (".pdf", ".png", ".csv")]
    figure.savefig(
        paths[0], metadata={"CreationDate": None, "Creator": None, "Producer": "matplotlib"}
    )
    figure.savefig(paths[1], dpi=PNG_DPI, metadata={"Software": None})
    drawn.to_csv(paths[2], index=False, lineterminator="\n", encoding="utf-8")
    return paths


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


def _variant(parameters: str) -> int:
    """Return the number in "splits=3" minus one, or a hash of any other parameters."""
    key, _, value = parameters.partition("=")
    if key == "splits" and value.isdigit() and int(value) >= 2:
        return int(value) - 1
    return 1 + zlib.crc32(parameters.encode()) % 97


def _shade(colour: str, amount: float) -> tuple[float, float, float]:
    """Return a colour mixed with white (amount > 0) or black (amount < 0)."""
    target = 1.0 if amount > 0 else 0.0
    red, green, blue = (part + (target - part) * abs(amount) for part in to_rgb(colour))
    return red, green, blue
