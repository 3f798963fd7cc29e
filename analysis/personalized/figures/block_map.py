"""Who is whose teacher: the blocks of the teachers of one round."""

from __future__ import annotations

import colorsys
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome, file_stem
from analysis.core.loading import Run
from analysis.core.style import paint_axes
from analysis.core.words import origin_words
from analysis.personalized.frames import has_teachers, teachers

TITLE = "Who is whose teacher"


def drawings(run: Run) -> list[Outcome]:
    """Return one figure for each method with teachers: the last round of its first seed."""
    frame = teachers(run)
    methods = [m for m in run.methods if has_teachers(m)] if len(frame) else []
    found: list[Outcome] = []
    for method in methods:
        drawn = prepare(frame[frame["method"] == method])
        if drawn["owner"].notna().any():
            found.append(_drawing(run, method, drawn))
    return found or [NotDrawn(TITLE, "no method put teachers together")]


def _drawing(run: Run, method: str, drawn: pd.DataFrame) -> Drawing:
    first = drawn.iloc[0]
    return Drawing(
        stem=f"teachers_{file_stem(method)}",
        title=f"{TITLE}: {method}",
        caption=f"Teachers made at the end of round {first['round'] + 1} of seed {first['seed']}."
        " A row is a client, a field a block of its teacher from input to output: c4.2 is block 2"
        " of client 4's network. Colours are owners; a framed field is the client's own block. A"
        " row without fields has no teacher.",
        note=origin_words(run),
        aspect=max(0.3, 0.052 * drawn["client"].nunique() + 0.12),
        drawn=drawn,
        paint=partial(paint_axes, draw=partial(draw, drawn=drawn)),
    )


def prepare(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row per client and block of the last round of the first seed and repeat."""
    one = frame[frame["cell"] == frame["cell"].iloc[0]]
    last = one[one["round"] == one["round"].max()]
    rows: list[dict[str, object]] = []
    for client, path, seed, number in last[["client", "path", "seed", "round"]].to_numpy().tolist():
        parts = [part for part in str(path or "").split(">") if "." in part]
        same = {"seed": seed, "round": int(number), "client": int(client)}
        if not parts:
            rows.append({**same, "place": None, "block": "", "owner": None})
        for place, part in enumerate(parts):
            rows.append({**same, "place": place, "block": part, "owner": part.partition(".")[0]})
    return pd.DataFrame(rows)


def draw(ax: Axes, drawn: pd.DataFrame) -> Axes:
    """Draw a field per block."""
    clients = list(dict.fromkeys(drawn["client"]))
    owners = sorted(
        {str(o) for o in drawn["owner"].dropna()} | {f"c{client}" for client in clients}, key=_order
    )
    colours = {owner: _colour(i, len(owners)) for i, owner in enumerate(owners)}
    known = drawn.dropna(subset=["place"])
    for client, place, block, owner in known[["client", "place", "block", "owner"]].to_numpy():
        row, own = clients.index(client), owner == f"c{client}"
        ax.add_patch(Rectangle((place - 0.46, row - 0.42), 0.92, 0.84, facecolor=colours[owner],
                               edgecolor="black" if own else "white",
                               linewidth=1.3 if own else 0.6))  # fmt: skip
        ax.text(place, row, block, ha="center", va="center", fontsize=6.5)
    most = int(known["place"].max()) + 1
    ax.set_xlim(-0.6, most - 0.4)
    ax.set_ylim(len(clients) - 0.4, -0.6)
    ax.set_xticks(range(most), [str(i + 1) for i in range(most)])
    ax.set_yticks(range(len(clients)), [f"client {client}" for client in clients])
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.set_xlabel("Block of the teacher")
    return ax


def _order(owner: str) -> tuple[int, int, str]:
    number = owner[1:]
    return (0, int(number), "") if owner[:1] == "c" and number.isdigit() else (1, 0, owner)


def _colour(place: int, count: int) -> tuple[float, float, float]:
    """Return light colours all around the circle, two brightnesses in turn."""
    return colorsys.hls_to_rgb(place / max(count, 1), 0.78 if place % 2 else 0.86, 0.62)
