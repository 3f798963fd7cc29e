"""Compare two runs, or two methods of one: ratios paired by seed, or a refusal.

Ratio and interval are those of `harness.evidence.paired`. Measured, modelled and different kinds of
figures are never compared with each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.core.errors import DamagedRunError, NotComparableError, UsageError, unknown
from harness.core.guarded_folder import RESTORE
from harness.evidence.comparable import Difference, differences, model_differences
from harness.evidence.completeness import finish
from harness.evidence.disturbed import disturbed_words
from harness.evidence.paired import no_interval_words, paired_ratio, values_by_seed
from harness.evidence.reading import RunFiles, find_run, read_run
from harness.evidence.restated import modelled_power_w, restated_words
from harness.evidence.sensors import NO_SENSOR, pretences
from harness.evidence.untrue import untrue


@dataclass(frozen=True)
class Metric:
    """Describe a figure of cells.csv; less of it is better unless `higher` says otherwise."""

    column: str
    verb: str
    noun: str
    modelled: bool = False
    higher: bool = False


METRICS: Mapping[str, Metric] = {
    metric.column: metric
    for metric in (
        Metric("time_s", "takes", "time measured on the host"),
        Metric("time_model_s", "takes", "modelled time", modelled=True),
        Metric("energy_j", "uses", "measured energy"),
        Metric("energy_model_j", "uses", "modelled energy", modelled=True),
        Metric("total_loss", "ends with", "total test loss"),
        Metric("objective_value", "ends with", "objective"),
    )
}

JUDGED = ("total_loss", "objective_value")
"""Figures that a disturbed device gives all the same."""

MODELLED = {"energy_j": "energy_model_j", "time_s": "time_model_s"}


@dataclass(frozen=True)
class Side:
    """Hold one side of a comparison: a run, and the method meant if one was named."""

    run: RunFiles
    method: str = ""

    @property
    def methods(self) -> list[str]:
        """Return the methods with a finished cell, in the order of the file."""
        return list(dict.fromkeys(str(row["method"]) for row in self.run.done))

    def has(self, column: str) -> bool:
        """Say whether any finished cell that is meant has a figure in this column."""
        rows = (r for r in self.run.done if self.method in ("", r["method"]))
        return any(row[column] is not None for row in rows)


@dataclass(frozen=True)
class Ratio:
    """Hold B over A of one figure: the geometric mean over paired seeds and its 95 % interval.

    `ratio` is None without a common seed, `low` and `high` are None for fewer than two, and
    for few that all have one ratio.
    """

    first: str
    second: str
    metric: Metric
    seeds: Sequence[int]
    ratio: float | None
    low: float | None = None
    high: float | None = None

    @property
    def shown(self) -> bool:
        """Say whether the interval leaves out 1."""
        return self.low is not None and self.high is not None and not self.low <= 1.0 <= self.high

    def worse(self, threshold: float) -> bool:
        """Say whether B needs more than A by more than a share, and not by chance.

        Without an interval the ratio alone decides.
        """
        if self.ratio is None:
            return False
        needs = 1.0 / self.ratio if self.metric.higher and self.ratio else self.ratio
        if needs <= 1.0 + threshold:
            return False
        return self.shown or self.low is None

    def words(self) -> str:
        """Return the verdict."""
        if self.ratio is None:
            return f"shares no seed with a figure of {self.metric.noun}, so nothing can be said"
        n, noun = len(self.seeds), self.metric.noun
        if self.low is None or self.high is None:
            claim = f"{self.metric.verb} {_times(self.ratio)} the {noun}"
            why = "no interval can be given" if n == 1 else no_interval_words(n)
            return f"{claim}; n = {n}: {why}, it may be chance"
        span = f"{_times(self.ratio)} ({_plain(self.low)}–{_plain(self.high)})"
        if self.shown:
            return f"{self.metric.verb} {span} the {noun}, n = {n}"
        return f"not shown to differ in {noun}: {span}, n = {n}"

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON shows."""
        return {
            "a": self.first, "b": self.second, "metric": self.metric.column, "n": len(self.seeds),
            "seeds": list(self.seeds), "ratio": self.ratio, "low": self.low, "high": self.high,
            "shown_to_differ": self.shown, "words": self.words(),
        }  # fmt: skip


def read_side(text: str) -> Side:
    """Read `RUN` or `RUN:method`; a method has a colon of its own where it has parameters.

    Raises:
        UsageError: if there is no such run, or it has no finished cell of that method.
        NotComparableError: if no cell of the run is finished.
        DamagedRunError: if the run cannot be read.
    """
    try:
        return Side(_begun(find_run(text)))
    except UsageError:
        if ":" not in text or Path(text).exists():
            raise
    name, _, method = text.partition(":")
    side = Side(_begun(find_run(name)), method)
    if method not in side.methods:
        raise unknown(f"finished method of {name}", method, side.methods)
    return side


def _begun(folder: Path) -> RunFiles:
    run = read_run(folder)
    if not run.done:
        raise NotComparableError(
            f"{folder}: no cell is finished, so there is nothing to compare", finish(run)
        )
    return run


def contradictions(first: Side, second: Side) -> list[str]:
    """Return what does not follow from the files of either run, with the run's name."""
    runs = {side.run.run_id: side.run for side in (first, second)}
    return [f"{name}: {found.text}" for name, run in runs.items() for found in untrue(run)]


def disturbed(first: Side, second: Side, ratios: Sequence[Ratio]) -> list[str]:
    """Return how many of the cells that ratios of times and joules rest on were disturbed."""
    costs = [ratio for ratio in ratios if ratio.metric.column not in JUDGED]
    if not costs:
        return []
    pairs = (("A", first, {r.first for r in costs}), ("B", second, {r.second for r in costs}))
    found = []
    for name, side, methods in pairs:
        words = disturbed_words(row for row in side.run.done if row["method"] in methods)
        if words:
            found.append(
                f"{name}: {words}, so that its times and joules are not those of a quiet device;"
                " python -m harness.check RUN says what to do."
            )
    return found


def compare(
    first: Side, second: Side, wanted: str | None = None, *, allow_damaged: bool = False
) -> list[Ratio]:
    """Return B over A of every method that both have, or of the two methods named.

    Args:
        first: A.
        second: B.
        wanted: A column of `METRICS`; by default time, energy and loss as far as both have them.
        allow_damaged: Compare runs that contradict their own files, too.

    Raises:
        UsageError: if a method is named on one side only, or the metric is unknown.
        NotComparableError: naming the facts or figures that differ.
        DamagedRunError: naming what contradicts the files it is derived of.
    """
    if bool(first.method) != bool(second.method):
        raise UsageError(
            "a method is named on one side only", "Name one on both sides: A:mas:splits=2 B:tag."
        )
    if (first.run.run_id, first.method) == (second.run.run_id, second.method):
        raise UsageError("A and B are the same", "Name two runs, or two methods: A:METHOD A:METHOD")
    damage = [] if allow_damaged else contradictions(first, second)
    if damage:
        raise DamagedRunError(
            "a run is not as it was written, or contradicts itself:\n  " + "\n  ".join(damage),
            f"{RESTORE} --allow-damaged compares all the same, and says so.",
        )
    _refuse(differences(first.run.manifest, second.run.manifest))
    names = [metric(wanted, first, second)] if wanted else default_metrics(first, second)
    if any(METRICS[name].modelled for name in names):
        _refuse(model_differences(first.run.manifest, second.run.manifest))
    pairs = [(first.method, second.method)] if first.method else _common(first, second)
    return [
        _ratio(first, second, pair, _described(name, first)) for name in names for pair in pairs
    ]


def default_metrics(first: Side, second: Side) -> list[str]:
    """Return time, energy and loss: measured ones of a device that is the host, else modelled."""
    own = first.run.section("host").get("matches_device") is True
    restated = modelled_power_w([*first.run.done, *second.run.done]) is not None
    names = ["time_s" if own else "time_model_s"]
    if own and (first.has("energy_j") or second.has("energy_j")):
        names.append("energy_j")
    elif not restated:
        names.append("energy_model_j")
    judged = "total_loss" if first.has("total_loss") else "objective_value"
    return [n for n in (*names, judged) if first.has(n) and second.has(n)]


def _described(name: str, side: Side) -> Metric:
    """Return a figure; the objective bears the name and direction that its workload gives it."""
    found = METRICS[name]
    if name == "energy_j" and (pretence := _pretence(side)):
        return replace(found, noun=f"{pretence} energy")
    if name != "objective_value":
        return found
    row = next(row for row in side.run.done if row[name] is not None)
    return replace(found, noun=str(row["objective"]), higher=row["objective_better"] == "higher")


def _pretence(side: Side) -> str:
    meters = (str(row["energy_meter"]) for row in side.run.done if row["energy_j"] is not None)
    return pretences(meters)


def by_turns(first: Side, second: Side) -> bool:
    """Say whether commands were measured by turns, so that one run of each makes a pair."""
    return first.run.is_measured and first.run.run_id == second.run.run_id


def measured_apart(first: Side, second: Side) -> str:
    """Return that runs of commands are no pairs, as each command was measured by itself."""
    if not first.run.is_measured or by_turns(first, second):
        return ""
    return (
        "Each was measured by itself, so that their runs are no pairs and what differs between the"
        " sessions counts, too: python -m harness.measure --vs 'OTHER' lets commands take turns."
    )


def no_sensor(side: Side, ratios: Sequence[Ratio]) -> str:
    """Return that joules which are compared are of no sensor; empty if they are of one."""
    compared = any(ratio.metric.column == "energy_j" for ratio in ratios)
    pretence = _pretence(side) if compared else ""
    return f"Energy is {pretence}. The meter {NO_SENSOR}." if pretence else ""


def left_out(first: Side, second: Side) -> str:
    """Return why energy is not among the default metrics; "" if it is or nobody has any."""
    power_w = modelled_power_w([*first.run.done, *second.run.done])
    if power_w is not None:
        return restated_words(power_w)
    measured = (first.has("energy_j"), second.has("energy_j"))
    if measured[0] == measured[1]:
        return ""
    here, there = ("A", "B") if measured[0] else ("B", "A")
    return f"Energy is not compared: it was measured in {here} and not in {there}."


def metric(name: str, first: Side, second: Side) -> str:
    """Return the metric's name if both sides have it.

    Raises:
        UsageError: if it is unknown.
        NotComparableError: if a side lacks it; nothing modelled stands in for it.
    """
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    lacking = [word for word, side in (("A", first), ("B", second)) if not side.has(name)]
    if lacking:
        modelled = MODELLED.get(name, "")
        both = modelled and first.has(modelled) and second.has(modelled)
        remedy = f"Both have modelled figures: --metric {modelled}" if both else ""
        raise NotComparableError(
            f"{' and '.join(lacking)} {'has' if len(lacking) == 1 else 'have'} no {name};"
            " measured and modelled figures are never compared with each other",
            remedy or "Run python -m harness.check on both.",
        )
    return name


def _refuse(found: Sequence[Difference]) -> None:
    if found:
        listed = "\n".join(f"  {difference}" for difference in found)
        raise NotComparableError(
            f"A and B differ in more than what is compared:\n{listed}",
            "Measure both in the same way; only methods, seeds, repeats and folders may differ.",
        )


def _common(first: Side, second: Side) -> list[tuple[str, str]]:
    common = [(name, name) for name in first.methods if name in second.methods]
    if not common:
        raise NotComparableError(
            f"A and B share no finished method: {', '.join(first.methods) or 'none'} and"
            f" {', '.join(second.methods) or 'none'}",
            "Name two methods: A:METHOD B:METHOD",
        )
    return common


def _ratio(first: Side, second: Side, pair: tuple[str, str], of: Metric) -> Ratio:
    by = "repeat" if by_turns(first, second) else "seed"
    a, b = (
        values_by_seed(side.run.done, method, of.column, by)
        for side, method in zip((first, second), pair, strict=True)
    )
    found = paired_ratio(b, a)
    if found is None:
        return Ratio(*pair, of, (), None)
    ends = (found.interval.low, found.interval.high) if found.interval else (None, None)
    return Ratio(*pair, of, list(found.seeds), found.ratio, *ends)


def _times(ratio: float) -> str:
    return f"{_plain(ratio)}×"


def _plain(ratio: float) -> str:
    """Return two decimals, three digits if it is small, or more if it is nearly 1 but is not."""
    if 0.0 < abs(ratio - 1.0) < 0.005:
        return f"{ratio:.3f}"
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.3g}"
