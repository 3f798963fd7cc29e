"""Training once plus N answers, against N: which method is cheapest for how much use."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogFormatter, LogLocator

from analysis.core.basis import CostBasis, cost_basis, note_text
from analysis.core.figures.drawing import Drawing, NotDrawn, Outcome
from analysis.core.loading import Run
from analysis.core.method_styles import method_style
from analysis.core.numbers import per_seed, summarise
from analysis.core.style import SMALL_PT, paint_axes, scaled_unit
from analysis.multitask.figures.inference_cost import deployed, providers, stem
from analysis.multitask.inference import (
    AnswerBasis,
    answer_basis,
    facts,
    same_kind,
    windows_disturbed,
)

TITLE = "Training plus use"
POINTS = 200
LETTERS = "abcd"
"""Names of the crossing points that the caption explains."""


@dataclass(frozen=True)
class Life:
    """Hold the cost of one method: of training it, and of one answer."""

    method: str
    training: float
    answer: float

    def total(self, answers: float) -> float:
        """Return the cost of training and that many answers."""
        return self.training + answers * self.answer


@dataclass(frozen=True)
class Crossing:
    """Hold where two methods cost alike: `later` is the cheaper one from there on."""

    answers: float
    cost: float
    earlier: str
    later: str
    cheapest: bool


def drawings(run: Run) -> list[Outcome]:
    """Return one figure per execution provider, or why there is none."""
    rows = deployed(run)
    single = rows[rows["precision"] == "fp32"]
    return [_drawing(run, single, provider) for provider in providers(single)]


def _drawing(run: Run, rows: pd.DataFrame, provider: str) -> Outcome:
    training = cost_basis(run, restated=True)
    basis = answer_basis(run, rows[rows["provider"] == provider])
    own = facts(run)
    if own is not None and own.device != run.manifest.device_name:
        reason = f"training answers for {run.manifest.device_title}, inference for {own.title}"
        return NotDrawn(TITLE, reason)
    if own is not None and own.host != run.manifest.host_description:
        return NotDrawn(TITLE, f"training ran on {run.manifest.host_description}, inference on"
                        f" {own.host}")  # fmt: skip
    reason = same_kind(training, basis)
    if reason:
        return NotDrawn(TITLE, reason)
    lives = cycles(training, basis, run.methods)
    if len(lives) < 2:
        return NotDrawn(TITLE, "fewer than two methods have a cost of training and of an answer")
    met = crossings(lives)
    drawn = prepare(lives, met)
    word = {"measured": "Measured energy", "modelled": "Modelled energy", "time": "Time"}
    quantity = f"{word[basis.kind]} of training and N answers"
    paint = partial(draw, drawn=drawn, quantity=quantity, unit=basis.unit)
    return Drawing(
        stem=stem("life_cycle", rows, provider),
        title=TITLE,
        caption=f"{quantity}, against the number N of complete answers to all tasks (fp32, one "
        f"image after another, provider {provider}). Training is that of all clients together. "
        f"{crossing_words(met)} {windows_disturbed(basis.rows)}".strip(),
        note=note_text(*dict.fromkeys((*training.notes, *basis.notes))),
        aspect=0.82,
        drawn=drawn,
        paint=partial(paint_axes, draw=paint),
    )


def cycles(training: CostBasis, basis: AnswerBasis, methods: Sequence[str]) -> list[Life]:
    """Return the costs of each method that has both, as means over the seeds that have both."""
    found = []
    for method in methods:
        once = per_seed(training.cells, method, training.column)
        each = per_seed(basis.rows, method, basis.column)
        seeds = sorted(set(once) & set(each))
        total, answer = summarise(once[s] for s in seeds), summarise(each[s] for s in seeds)
        if total is not None and answer is not None:
            found.append(Life(method, total.mean, answer.mean))
    return found


def crossings(lives: Sequence[Life]) -> list[Crossing]:
    """Return where two methods cost alike, by rising N; `cheapest` if no other costs less there.

    T₁ + N·e₁ = T₂ + N·e₂ at N = (T₁ − T₂) / (e₂ − e₁), if that is positive.
    """
    found = []
    for one, other in itertools.combinations(lives, 2):
        if one.answer == other.answer:
            continue
        answers = (one.training - other.training) / (other.answer - one.answer)
        if not 0.0 < answers < math.inf:
            continue
        later, earlier = sorted((one, other), key=lambda life: life.answer)
        cost = later.total(answers)
        others = [life for life in lives if life not in (one, other)]
        cheapest = all(life.total(answers) >= cost for life in others)
        found.append(Crossing(answers, cost, earlier.method, later.method, cheapest))
    return sorted(found, key=lambda crossing: crossing.answers)


def crossing_words(met: Sequence[Crossing]) -> str:
    """Return the crossing points in words."""
    if not met:
        return "No two lines cross: what is cheaper to train is cheaper to use, too."
    named = [
        f"({letter}) {crossing.later} costs less than {crossing.earlier} from N ="
        f" {count(crossing.answers)} on"
        for letter, crossing in zip(LETTERS, _by_weight(met), strict=False)
    ]
    more = len(met) - len(named)
    rest = f"; {more} more are in the CSV file" if more else ""
    return f"Circles are crossing points: {'; '.join(named)}{rest}."


def _by_weight(met: Sequence[Crossing]) -> list[Crossing]:
    """Return crossings with those first at which the cheapest method changes."""
    return sorted(met, key=lambda crossing: (not crossing.cheapest, crossing.answers))


def count(number: float) -> str:
    """Return a number of answers with two digits, as in 350, 12 000, 1.5 million."""
    if number >= 1e6:
        return f"{number / 1e6:.2g} million" if number < 1e8 else f"{number:.1e}"
    digits = max(0, math.floor(math.log10(max(number, 1.0))) - 1)
    return f"{round(number / 10**digits) * 10**digits:,}".replace(",", " ")


def prepare(lives: Sequence[Life], met: Sequence[Crossing]) -> pd.DataFrame:
    """Return the lines and the crossing points.

    Returns:
        Columns element (line or crossing), method (that is cheaper afterwards, of a crossing),
        other (the one it crosses), answers, cost, training, per_answer.
    """
    even = max(life.training / life.answer for life in lives if life.answer > 0.0)
    last = 10.0 ** math.ceil(math.log10(10.0 * max([even, *(c.answers for c in met)])))
    first = 10.0 ** math.floor(math.log10(min([even, *(c.answers for c in met)]) / 30.0))
    grid = np.geomspace(max(first, 1.0), last, POINTS)
    rows: list[tuple[object, ...]] = [
        ("line", life.method, "", float(n), life.total(float(n)), life.training, life.answer)
        for life in lives
        for n in grid
    ]
    rows += [
        ("crossing", c.later, c.earlier, c.answers, c.cost, None, None) for c in _by_weight(met)
    ]
    columns = ["element", "method", "other", "answers", "cost", "training", "per_answer"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"training": "float64", "per_answer": "float64"})


def draw(ax: Axes, drawn: pd.DataFrame, quantity: str, unit: str) -> Axes:
    """Draw one line per method on two logarithmic axes, and a circle at every crossing."""
    lines = drawn[drawn["element"] == "line"]
    factor, shown = scaled_unit(float(lines["cost"].min()), unit)
    for method, own in lines.groupby("method", sort=False):
        shape = method_style(str(method))
        ax.plot(own["answers"], own["cost"] * factor, color=shape.colour, linestyle=shape.line,
                marker=shape.marker, markevery=POINTS // 5, markersize=3.5,
                label=method)  # fmt: skip
    met = drawn[drawn["element"] == "crossing"]
    ax.plot(met["answers"], met["cost"] * factor, "o", markerfacecolor="none",
            markeredgecolor="black", markersize=5, markeredgewidth=0.8)  # fmt: skip
    for letter, (_, row) in zip(LETTERS, met.iterrows(), strict=False):
        ax.annotate(letter, (row["answers"], row["cost"] * factor), xytext=(0, -10),
                    textcoords="offset points", ha="center", fontsize=SMALL_PT)  # fmt: skip
    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(numticks=12))
        axis.set_minor_locator(LogLocator(subs=(2.0, 5.0), numticks=24))
        axis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(3.0, 1.0)))
        axis.set_tick_params(which="minor", labelsize=SMALL_PT)
    ax.set_xlabel("Complete answers N")
    ax.set_ylabel(f"{quantity.partition(' of ')[0]} ({shown})")
    return ax
