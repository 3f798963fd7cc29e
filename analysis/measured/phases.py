"""What each phase of a program takes: a table, and bars where no phase lies within another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.core.basis import note_text
from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome
from analysis.core.loading import Run
from analysis.core.method_styles import HATCHES, PIECE_COLOURS, REST_COLOUR
from analysis.core.numbers import joules_origin, summarise
from analysis.core.pooling import series_names
from analysis.core.style import finish_bars, legend_above, scaled_unit
from analysis.core.tables.table import Absent, Content, Heading, Table
from analysis.core.words import origin_words, provenance, spread_words
from analysis.measured.frames import marked_phases

TITLE = "Where the time goes"
REST = "not marked"
MOST_DRAWN = 12
OVERLAPPING = Absent("Its entries overlap, so that their joules do not add up, or some have none.")
NO_SAMPLES = Absent("The program did not say how many samples it worked on.")


def phase_table(runs: Sequence[Run]) -> Table | None:
    """Return a row per command and phase; None if no program marked any."""
    names = series_names(runs)
    frames = [(run, marked_phases(run)) for run in runs]
    rows: list[list[Content]] = []
    for run, frame in frames:
        start: list[Content] = [names[run.run_id]] if len(runs) > 1 else []
        for (method, phase), own in frame.groupby(["method", "phase"], sort=False):
            rows.append([*start, str(method), str(phase), *_figures(own)])
    if not rows:
        return None
    keys = [Heading("run", "Run")] if len(runs) > 1 else []
    keys += [Heading("method", "Command"), Heading("phase", "Phase")]
    return Table(
        name="phases",
        caption="What each phase took that the program marked, per turn: how often it was entered,"
        " its seconds, their share of the whole, joules, and the bound on their error in one turn."
        " Phases may lie within one another, so that shares need not add up to 100 %."
        f" {spread_words(runs)}",
        headings=[
            *keys,
            Heading("entries", "Entered"),
            Heading("time_s", "Time", "s"),
            Heading("share_percent", "Share", "%"),
            Heading("energy_j", f"Energy, {joules_origin(runs)}", "J"),
            Heading("energy_error_j", "Bound", "J"),
            Heading("energy_model_j", "Energy, modelled", "J"),
            Heading("energy_per_sample_j", "Per sample", "J"),
        ],
        rows=rows,
        provenance=provenance(runs),
        key_columns=len(keys),
    )


def _figures(own: pd.DataFrame) -> list[Content]:
    def mean(column: str, absent: Content = None) -> Content:
        return summarise(own[column]) if own[column].notna().all() else absent

    least, most = int(own["entries"].min()), int(own["entries"].max())
    return [
        str(least) if least == most else f"{least} to {most}",
        mean("time_s"),
        summarise(100.0 * own["time_s"] / own["whole_s"]),
        mean("energy_j", OVERLAPPING),
        mean("energy_error_j", OVERLAPPING),
        mean("energy_model_j", OVERLAPPING),
        mean("energy_per_sample_j", NO_SAMPLES),
    ]


def drawings(run: Run) -> list[Outcome]:
    """Return the figure, or why there is none; nothing where a program marked no phase."""
    frame = marked_phases(run)
    if frame.empty:
        return []
    if frame["overlaps"].any():
        why = "phases of the program lie within one another; the table of phases has them"
        return [NotDrawn(TITLE, why)]
    if frame["phase"].nunique() > MOST_DRAWN:
        return [NotDrawn(TITLE, f"the program marked more than {MOST_DRAWN} phases; see the table")]
    drawn = prepare(frame)
    return [
        Drawing(
            stem="phases",
            title=TITLE,
            caption="Seconds of each phase that the program marked, means over the turns of a"
            f" command, and what it did not mark. {spread_words([run])}",
            note=note_text(origin_words(run)),
            aspect=0.28 + 0.09 * drawn["method"].nunique(),
            drawn=drawn,
            paint=partial(paint, drawn=drawn),
        )
    ]


def prepare(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the pieces of each command's bar.

    Returns:
        Columns method, phase, time_s.
    """
    wholes = frame.drop_duplicates(["method", "repeat"]).groupby("method", sort=False)["whole_s"]
    summed = frame.groupby(["method", "phase"], sort=False)["time_s"].sum().reset_index()
    summed["time_s"] /= summed["method"].map(wholes.size())
    rest = wholes.mean() - summed.groupby("method")["time_s"].sum()
    rest_rows = rest.rename("time_s").reset_index().assign(phase=REST)
    return pd.concat([summed, rest_rows], ignore_index=True)[["method", "phase", "time_s"]]


def paint(figure: Figure, width_in: float, drawn: pd.DataFrame) -> None:
    """Put the bars on the figure, with a legend above."""
    ax = draw(figure.subplots(), drawn)
    legend_above(figure, ax, width_in)


def draw(ax: Axes, drawn: pd.DataFrame) -> Axes:
    """Draw one horizontal bar per command, stacked by phase, from 0."""
    totals = drawn.groupby("method", sort=False)["time_s"].sum()
    factor, unit = scaled_unit(float(totals.max()), "s")
    methods = list(totals.index)
    left = dict.fromkeys(methods, 0.0)
    for place, phase in enumerate(dict.fromkeys(drawn["phase"])):
        own = drawn[drawn["phase"] == phase].set_index("method")["time_s"] * factor
        widths = [float(own.get(method, 0.0)) for method in methods]
        rest = phase == REST
        ax.barh(
            methods, widths, left=[left[m] for m in methods], height=0.6, edgecolor="white",
            color=REST_COLOUR if rest else PIECE_COLOURS[place % len(PIECE_COLOURS)], linewidth=0.4,
            hatch="" if rest else HATCHES[place % len(HATCHES)], label=phase,
        )  # fmt: skip
        left = {m: left[m] + width for m, width in zip(methods, widths, strict=True)}
    finish_bars(ax, f"Time of a turn ({unit})")
    return ax
