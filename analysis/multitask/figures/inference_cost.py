"""Joules of a complete answer against loss: one point per method and precision."""

from __future__ import annotations

from functools import partial

import pandas as pd
from matplotlib.axes import Axes

from analysis.core.basis import note_text
from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome
from analysis.core.loading import Run
from analysis.core.method_styles import method_style
from analysis.core.numbers import per_seed, seed_words, summarise
from analysis.core.style import log_axis, paint_axes, spans_decade
from analysis.multitask.inference import (
    ONNX,
    AnswerBasis,
    answer_basis,
    answers,
    inference_rows,
    single_stream,
    windows_disturbed,
)
from harness.core.shell_words import shell_word

TITLE = "Cost of an answer against loss"
MILLI = 1e3
COLUMNS = ["method", "precision", "cost", "cost_half_width", "loss", "loss_half_width", "n"]


def drawings(run: Run) -> list[Outcome]:
    """Return one figure per execution provider, or why there is none."""
    rows = deployed(run)
    if rows.empty:
        reason = f"no inference was measured: python -m harness.infer {shell_word(run.folder)}"
        return [NotDrawn(TITLE, reason)]
    return [_drawing(run, rows, provider) for provider in providers(rows)]


def deployed(run: Run) -> pd.DataFrame:
    """Return rows of complete answers one after another, by ONNX Runtime if it was measured."""
    rows = single_stream(answers(inference_rows(run)))
    onnx = rows[rows["runtime"] == ONNX]
    return onnx if len(onnx) else rows


def providers(rows: pd.DataFrame) -> list[str]:
    """Return the execution providers, the processor first."""
    return sorted({str(name) for name in rows["provider"]}, key=lambda name: (name != "cpu", name))


def stem(name: str, rows: pd.DataFrame, provider: str) -> str:
    """Return a file name; of several providers each has its own."""
    return name if len(providers(rows)) == 1 else f"{name}_{provider}"


def _drawing(run: Run, rows: pd.DataFrame, provider: str) -> Outcome:
    basis = answer_basis(run, rows[rows["provider"] == provider])
    drawn = prepare(basis, run.methods)
    if drawn.empty:
        return NotDrawn(TITLE, f"no answer of {provider} has both a cost and a loss")
    threads = int(rows["threads"].max())
    seeds = int(drawn["n"].max())
    paint = partial(draw, drawn=drawn, quantity=basis.quantity, unit=basis.unit)
    return Drawing(
        stem=stem("inference_cost", rows, provider),
        title=TITLE,
        caption=f"{basis.quantity} against total test loss: one image through all models of a "
        f"method, one after another (MLPerf single-stream), {threads} thread"
        f"{'' if threads == 1 else 's'}, provider {provider}. Filled marks are fp32, open ones "
        f"int8; towards the lower left is better. n = {seed_words(seeds)}"
        f"{'' if seeds == 1 else '; bars are 95 % intervals'}. "
        f"{windows_disturbed(basis.rows)}".strip(),
        timed=False,
        note=note_text(*basis.notes),
        aspect=0.82,
        drawn=drawn,
        paint=partial(paint_axes, draw=paint),
    )


def prepare(basis: AnswerBasis, methods: list[str]) -> pd.DataFrame:
    """Return one row per method and precision with mean cost and loss over seeds.

    Returns:
        The columns `COLUMNS`; half-widths are empty for one seed.
    """
    found = []
    for method in methods:
        for precision in sorted(set(basis.rows["precision"])):
            own = basis.rows[basis.rows["precision"] == precision]
            costs, losses = (per_seed(own, method, c) for c in (basis.column, "total_loss"))
            seeds = sorted(set(costs) & set(losses))
            cost = summarise(costs[seed] for seed in seeds)
            loss = summarise(losses[seed] for seed in seeds)
            if cost is not None and loss is not None:
                found.append((method, precision, cost.mean, cost.half_width, loss.mean,
                              loss.half_width, cost.n))  # fmt: skip
    types = {"cost_half_width": "float64", "loss_half_width": "float64"}
    return pd.DataFrame(found, columns=COLUMNS).astype(types)


def draw(ax: Axes, drawn: pd.DataFrame, quantity: str, unit: str) -> Axes:
    """Draw a mark per method and precision, and a line from fp32 to int8 of a method."""
    for method in dict.fromkeys(drawn["method"]):
        shape = method_style(method)
        own = drawn[drawn["method"] == method].sort_values("precision")
        cost = own["cost"] * MILLI
        ax.plot(cost, own["loss"], color=shape.colour, linewidth=0.7, linestyle=":", zorder=1)
        if own["cost_half_width"].notna().any():
            ax.errorbar(
                cost, own["loss"], xerr=own["cost_half_width"].fillna(0.0) * MILLI,
                yerr=own["loss_half_width"].fillna(0.0), fmt="none", ecolor=shape.colour,
                elinewidth=0.9, capsize=2,
            )  # fmt: skip
        for place, (_, row) in enumerate(own.iterrows()):
            whole = row["precision"] == "fp32"
            ax.plot(
                row["cost"] * MILLI, row["loss"], marker=shape.marker, linestyle="none",
                markersize=6, markeredgecolor="black" if whole else shape.colour,
                markeredgewidth=0.5 if whole else 1.2,
                markerfacecolor=shape.colour if whole else "white",
                label=method if place == 0 else "_",
            )  # fmt: skip
    if drawn["precision"].nunique() > 1:
        for name, face in (("fp32", "#777777"), ("int8", "white")):
            ax.plot([], [], marker="o", linestyle="none", markersize=6, markeredgecolor="#777777",
                    markerfacecolor=face, label=name)  # fmt: skip
    ax.margins(x=0.08, y=0.14)
    if spans_decade(drawn["cost"]):
        log_axis(ax)
    else:
        ax.set_xlim(left=0)
    ax.set_xlabel(axis_words(quantity, f"m{unit}"))
    ax.set_ylabel("Total test loss")
    return ax


def axis_words(quantity: str, unit: str) -> str:
    """Return a quantity with its unit; what measured it stands on a line of its own."""
    what, bracket, source = quantity.partition(" (")
    return f"{what} ({unit})" + (f"\n({source}" if bracket else "")
