"""What a client's training costs by the rank of its adapter, by class of device."""

from __future__ import annotations

from functools import partial

import pandas as pd
from matplotlib.axes import Axes

from analysis.core.basis import cost_basis, note_text
from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome
from analysis.core.loading import Run
from analysis.core.method_styles import method_style
from analysis.core.style import paint_axes
from analysis.core.words import spread_words
from analysis.lora.values import clients_of, training_cost

TITLE = "Rank against joules"
POOLED = "central"
"""Trains everybody's rows in one place: no client's cost."""


def drawings(run: Run) -> list[Outcome]:
    """Return the figure, or why there is none."""
    basis = cost_basis(run)
    drawn = prepare(run)
    if drawn.empty:
        return [NotDrawn(TITLE, "no client has both a rank and the cost of its training")]
    boards = [name for name in dict.fromkeys(drawn["board"]) if name]
    named = (
        f" Clients stand for {', '.join(boards)}, which gave them their ranks; all trained on the"
        " device of the run."
        if boards
        else ""
    )
    unit = f"{basis.quantity} of a client-round ({basis.unit})"
    return [
        Drawing(
            "rank_cost",
            TITLE,
            f"{basis.quantity} of one round of a client's training divided by its rows relative to"
            f" the mean client, by the rank of its adapter.{named} {spread_words([run])}",
            note_text(*basis.notes),
            0.74,
            drawn,
            partial(paint_axes, draw=partial(draw, drawn=drawn, unit=unit)),
        )
    ]


def prepare(run: Run) -> pd.DataFrame:
    """Return the mean cost of a client's round by method, rank and board, rows evened out.

    Repeats of a client are averaged first.

    Returns:
        Columns method, board, rank, cost, clients (clients × seeds).
    """
    columns = ["method", "board", "rank", "cost", "clients"]
    clients = clients_of(run)
    costs = training_cost(run, cost_basis(run))
    rows = clients.merge(costs, on=["cell", "client"]).dropna(subset=["cost"])
    rows = rows[[str(method).partition(":")[0] != POOLED for method in rows["method"]]]
    told = run.manifest.section("data").get("rows")
    if rows.empty or not isinstance(told, list):
        return pd.DataFrame(columns=columns)
    mean = sum(told) / len(told)
    sizes = [told[int(c)] / mean if int(c) < len(told) else 1.0 for c in rows["client"]]
    rounds = rows["cell"].map(run.done.set_index("cell")["rounds"]).astype("float64")
    rows = rows.assign(cost=rows["cost"] / sizes / rounds)
    once = rows.groupby(["method", "board", "rank", "seed", "client"], sort=False)["cost"].mean()
    grouped = once.groupby(["method", "board", "rank"], sort=False)
    found = grouped.agg(cost="mean", clients="size").reset_index()
    places = found["method"].map({method: place for place, method in enumerate(run.methods)})
    found = found.assign(place=places)
    return found.sort_values(["place", "rank"], kind="stable")[columns]


def draw(ax: Axes, drawn: pd.DataFrame, unit: str) -> Axes:
    """Draw one line per method over its ranks."""
    for method, own in drawn.groupby("method", sort=False):
        shape = method_style(str(method))
        means = own.groupby("rank")["cost"].mean()
        ax.plot(
            means.index, means, color=shape.colour, linestyle=shape.line, marker=shape.marker,
            markersize=4, label=str(method),
        )  # fmt: skip
    ranks = drawn.groupby("rank")["board"].agg(lambda names: "\n".join(dict.fromkeys(names)))
    ax.set_xticks([float(rank) for rank in ranks.index])
    ax.set_xticklabels([f"{rank:g}\n{names}".rstrip() for rank, names in ranks.items()])
    ax.set_xlabel("Rank of the client's adapter")
    ax.set_ylabel(unit)
    ax.set_ylim(bottom=0)
    return ax
