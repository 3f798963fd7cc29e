"""Cost against total loss: what accuracy a joule buys, with the front over the means."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.core.basis import CostBasis, cost_basis, note_text
from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome
from analysis.core.loading import Run
from analysis.core.method_styles import method_style
from analysis.core.numbers import SeedMean, per_seed, summarise
from analysis.core.style import keep_limits, log_axis, paint_axes, scaled_unit, spans_decade
from analysis.core.words import is_wide, spread_words, wide_words

TITLE = "Cost against loss"
RESAMPLES = 1000
BOOTSTRAP_SEED = 0


def drawings(run: Run) -> list[Outcome]:
    """Return the figure, or why there is none."""
    basis = cost_basis(run)
    drawn = prepare(basis)
    if drawn.empty:
        return [NotDrawn(TITLE, "no finished cell has both a cost and a loss")]
    label = f"{basis.quantity} ({basis.unit})"

    draw_it = partial(draw, drawn=drawn, quantity=basis.quantity, unit=basis.unit)
    return [
        Drawing(
            stem="pareto",
            title=TITLE,
            caption=f"{label} against total test loss; towards the lower left is better. Large "
            f"marks are means over seeds, small ones single seeds{_front_words(drawn)}. Bars are "
            "of each method alone; methods that share seeds may differ though their bars overlap "
            "(table of pairs)."
            f"{_share_words(drawn)} {spread_words([run])}{wide_words(drawn['n'].dropna())}",
            note=note_text(*basis.notes),
            aspect=0.82,
            drawn=drawn,
            paint=partial(paint_axes, draw=draw_it),
        )
    ]


def prepare(basis: CostBasis) -> pd.DataFrame:
    """Return one row per method and seed, and one per method with the means.

    Returns:
        Columns method, element (seed or mean), seed, cost, cost_half_width, loss,
        loss_half_width, n, on_front, front_share (of bootstrap samples; see `front_shares`).
    """
    rows: list[dict[str, object]] = []
    means: dict[str, tuple[SeedMean, SeedMean]] = {}
    for method in dict.fromkeys(basis.cells["method"]):
        costs = per_seed(basis.cells, method, basis.column)
        losses = per_seed(basis.cells, method, "total_loss")
        seeds = sorted(set(costs) & set(losses))
        cost = summarise(costs[seed] for seed in seeds)
        loss = summarise(losses[seed] for seed in seeds)
        if cost is None or loss is None:
            continue
        means[method] = (cost, loss)
        rows += [
            {"method": method, "element": "seed", "seed": s, "cost": costs[s], "loss": losses[s]}
            for s in seeds
        ]
    front = pareto_front({name: (cost.mean, loss.mean) for name, (cost, loss) in means.items()})
    rows += [_mean_row(name, cost, loss, name in front) for name, (cost, loss) in means.items()]
    columns = ["method", "element", "seed", "cost", "cost_half_width", "loss", "loss_half_width"]
    table = pd.DataFrame(rows, columns=[*columns, "n", "on_front"]).astype({"seed": "Int64"})
    shares = front_shares(table, np.random.default_rng(BOOTSTRAP_SEED))
    share = table["method"].map(shares).where(table["element"] == "mean")
    return table.assign(front_share=share.astype("float64"))


def front_shares(drawn: pd.DataFrame, rng: np.random.Generator) -> dict[str, float]:
    """Return how often each method is on the front when the common seeds are drawn again.

    Returns:
        Shares from 0 to 1 of `RESAMPLES` bootstrap samples; empty for fewer than three seeds that
        all methods have.
    """
    single = drawn[drawn["element"] == "seed"]
    if single.empty:
        return {}
    seeds = single.pivot(index="seed", columns="method")
    costs, losses = seeds["cost"].dropna(), seeds["loss"].dropna()
    common = costs.index.intersection(losses.index)
    if len(common) < 3:
        return {}
    both = [frame.loc[common].to_numpy(dtype=float) for frame in (costs, losses)]
    hits = dict.fromkeys((str(name) for name in costs.columns), 0)
    for picks in rng.integers(0, len(common), size=(RESAMPLES, len(common))):
        cost, loss = (values[picks].mean(axis=0) for values in both)
        points = dict(zip(hits, zip(cost.tolist(), loss.tolist(), strict=True), strict=True))
        for name in pareto_front(points):
            hits[name] += 1
    return {name: count / RESAMPLES for name, count in hits.items()}


def pareto_front(points: dict[str, tuple[float, float]]) -> list[str]:
    """Return the names that no other point beats in cost and loss, by rising cost."""
    return [
        name
        for name, (cost, loss) in sorted(points.items(), key=lambda item: item[1])
        if not any(
            other_cost <= cost and other_loss <= loss and (other_cost, other_loss) != (cost, loss)
            for other_cost, other_loss in points.values()
        )
    ]


def draw(ax: Axes, drawn: pd.DataFrame, quantity: str, unit: str) -> Axes:
    """Draw seeds faintly, means with error bars, and the front as a staircase."""
    factor, shown_unit = scaled_unit(float(drawn["cost"].max()), unit)
    means = drawn[drawn["element"] == "mean"]
    for _, mean in means.iterrows():
        shape = method_style(mean["method"])
        own = drawn[(drawn["element"] == "seed") & (drawn["method"] == mean["method"])]
        if len(own) > 1:
            ax.scatter(
                own["cost"] * factor, own["loss"], s=9, marker=shape.marker, alpha=0.35,
                facecolor=shape.colour, linewidth=0,
            )  # fmt: skip
        if not is_wide(mean["n"]):
            _draw_bars(ax, mean, factor)
        ax.plot(
            mean["cost"] * factor, mean["loss"], marker=shape.marker, color=shape.colour,
            markersize=6, markeredgecolor="black", markeredgewidth=0.5, linestyle="none",
            label=mean["method"],
        )  # fmt: skip
    front = means[means["on_front"].astype(bool)].sort_values("cost")
    if len(front) > 1:
        ax.step(
            front["cost"] * factor, front["loss"], where="post", color="#555555",
            linewidth=0.9, linestyle="--", zorder=1,
        )  # fmt: skip
    ax.margins(x=0.08, y=0.14)
    if spans_decade(drawn["cost"]):
        log_axis(ax)
    else:
        ax.set_xlim(left=0)
    with keep_limits(ax):
        for _, mean in means[means["n"].map(is_wide)].iterrows():
            _draw_bars(ax, mean, factor)
    ax.set_xlabel(f"{quantity} ({shown_unit})")
    ax.set_ylabel("Total test loss")
    _mark_better(ax)
    return ax


def _front_words(drawn: pd.DataFrame) -> str:
    """Return what the dashed line is, if it is drawn: a front of one method is its mark alone."""
    means = drawn[drawn["element"] == "mean"]
    front = means.loc[means["on_front"].astype(bool), "method"]
    if len(front) > 1:
        return "; the dashed line is the front over the means"
    return f"; {front.iloc[0]} costs least and loses least" if len(front) else ""


def _share_words(drawn: pd.DataFrame) -> str:
    means = drawn[(drawn["element"] == "mean") & drawn["front_share"].notna()]
    if means.empty:
        return ""
    pairs = zip(means["method"], means["front_share"].astype(float), strict=True)
    shares = [f"{method} {100 * share:.0f} %" for method, share in pairs]
    return f" On the front in bootstrap samples of the seeds: {', '.join(shares)}."


def _draw_bars(ax: Axes, mean: pd.Series[Any], factor: float) -> None:
    ax.errorbar(
        mean["cost"] * factor, mean["loss"], fmt="none", ecolor=method_style(mean["method"]).colour,
        xerr=_bar(mean["cost_half_width"], factor), yerr=_bar(mean["loss_half_width"], 1.0),
        elinewidth=0.9, capsize=2, zorder=1.5,
    )  # fmt: skip


def _mark_better(ax: Axes) -> None:
    ax.annotate(
        "better", xy=(0.015, 0.02), xytext=(0.13, 0.13), xycoords="axes fraction",
        color="#555555", fontsize=7, ha="center", va="center",
        arrowprops={"arrowstyle": "->", "color": "#555555", "linewidth": 0.8},
    )  # fmt: skip


def _bar(half_width: float | None, factor: float) -> float | None:
    return None if half_width is None or math.isnan(half_width) else half_width * factor


def _mean_row(method: str, cost: SeedMean, loss: SeedMean, on_front: bool) -> dict[str, object]:
    return {
        "method": method,
        "element": "mean",
        "cost": cost.mean,
        "cost_half_width": cost.half_width,
        "loss": loss.mean,
        "loss_half_width": loss.half_width,
        "n": cost.n,
        "on_front": on_front,
    }
