"""Say in plain words how each method compares with the reference, hedges included.

Works from the rows of cells.csv as plain dicts and imports neither pandas nor matplotlib, so that
the run itself can print the same sentences on a board.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from analysis.core.statistics import MIN_PAIRS_FOR_TEST, holm, least_p, sign_flip_p
from harness.evidence.disturbed import disturbed_words
from harness.evidence.paired import FEWEST_ALIKE, Interval, number, paired_ratio, values_by_seed
from harness.evidence.restated import modelled_power_w, restated_words
from harness.evidence.sensors import NO_SENSOR, pretended
from harness.evidence.yardstick import Yardstick

if TYPE_CHECKING:
    from analysis.core.loading import Run

SIGNIFICANCE = 0.05
SIGNS_SEED = 0
"""Of the signs that are drawn where there are too many to try all."""

Row = Mapping[str, object]


@dataclass(frozen=True)
class Comparison:
    """Hold one paired comparison of a method with the reference.

    Attributes:
        method: the method compared.
        quantity: time, measured energy or modelled energy, or what the objective is called.
        ratio: geometric mean over seeds of method / reference.
        interval: its 95 % interval, None where pairs show no spread.
        pairs: seeds both have.
        p_value: paired sign-flip p, corrected by Holm over the methods; None below six.
        raw_p_value: the same before the correction.
    """

    method: str
    quantity: str
    ratio: float
    interval: Interval | None
    pairs: int
    p_value: float | None
    raw_p_value: float | None = None


def sentences(run: Run) -> list[str]:
    """Return the verdict on a run read from disk."""
    manifest = run.manifest
    return _sentences(plain_rows(run), run_comparisons(run), manifest.yardstick, manifest.quick)


@lru_cache(maxsize=256)
def run_comparisons(run: Run) -> tuple[Comparison, ...]:
    """Return every comparison with the reference that a run read from disk allows."""
    return tuple(_all_comparisons(plain_rows(run), run.manifest.yardstick))


def plain_rows(run: Run) -> list[Row]:
    """Return the cells of a run as plain rows, None for what is missing."""
    rows = run.cells.astype(object).where(run.cells.notna(), None).to_dict(orient="records")
    return [{str(key): value for key, value in row.items()} for row in rows]


def cell_sentences(rows: Sequence[Row], judged: Yardstick, quick: bool = False) -> list[str]:
    """Return one sentence per method, then what limits them.

    Args:
        rows: rows of cells.csv; values may be text or typed, "" and None are missing.
        judged: what methods are judged by and compared with.
        quick: whether the run is marked as not for publication.
    """
    return _sentences(rows, _all_comparisons(rows, judged), judged, quick)


def _all_comparisons(rows: Sequence[Row], judged: Yardstick) -> list[Comparison]:
    done = [row for row in rows if row.get("status") == "done"]
    methods = dict.fromkeys(str(row["method"]) for row in done)
    others = [method for method in methods if method != judged.reference]
    return comparisons(done, others, judged)


def _sentences(
    rows: Sequence[Row], found: Sequence[Comparison], judged: Yardstick, quick: bool
) -> list[str]:
    done = [row for row in rows if row.get("status") == "done"]
    methods = list(dict.fromkeys(str(row["method"]) for row in done))
    if not done:
        nothing = "No cell is finished, so there is nothing to compare."
        return [nothing, *_hedges(rows, [], judged, quick)]
    reference = judged.reference
    if reference not in methods:
        words = [f"There is no finished {reference} cell, so no method can be compared with it."]
        return (words if reference else []) + _hedges(rows, [], judged, quick)
    words = []
    for method in methods:
        own = [comparison for comparison in found if comparison.method == method]
        if own:
            words.append(_method_sentence(method, own, judged))
        elif method != reference:
            shares = f"{method} shares no {judged.unit} with {reference}"
            words.append(f"{shares}, so it cannot be compared.")
    if not words:
        words.append(f"Only {reference} was run, so there is nothing to compare.")
    return words + _hedges(rows, found, judged, quick)


def comparisons(done: Sequence[Row], methods: Sequence[str], judged: Yardstick) -> list[Comparison]:
    """Return every paired comparison with the reference that the finished rows allow."""
    found: list[Comparison] = []
    raw: list[float | None] = []
    for method in methods:
        for quantity, column in _quantities(done, judged):
            values, base = (
                values_by_seed(done, m, column, judged.paired_by)
                for m in (method, judged.reference)
            )
            pairs = paired_ratio(values, base)
            if pairs is None:
                continue
            n = len(pairs.logs)
            rng = np.random.default_rng(SIGNS_SEED)
            raw.append(sign_flip_p(pairs.logs, rng) if n >= MIN_PAIRS_FOR_TEST else None)
            found.append(Comparison(method, quantity, pairs.ratio, pairs.interval, n, None))
    return _corrected(found, raw)


def _corrected(found: Sequence[Comparison], raw: Sequence[float | None]) -> list[Comparison]:
    """Return the comparisons with p corrected over the methods compared on the same quantity."""
    corrected = list(found)
    for quantity in dict.fromkeys(comparison.quantity for comparison in found):
        tested = [
            (place, p)
            for place, p in enumerate(raw)
            if p is not None and found[place].quantity == quantity
        ]
        for (place, _), p_value in zip(tested, holm([p for _, p in tested]), strict=True):
            corrected[place] = replace(found[place], p_value=p_value, raw_p_value=raw[place])
    return corrected


def _quantities(done: Sequence[Row], judged: Yardstick) -> list[tuple[str, str]]:
    """Return what can be compared: the objective, and time and energy of the device asked for.

    Of a device that is the host these are measured seconds and one kind of energy, measured before
    modelled; of another device only modelled ones. Modelled energy that is time times one power is
    not compared beside time.
    """
    restates = modelled_power_w(done) is not None
    if _on_another_device(done):
        found = [("modelled time", "time_model_s"), (judged.quantity, judged.column)]
        return found if restates else [*found, ("modelled energy", "energy_model_j")]
    found = [("time", "time_s"), (judged.quantity, judged.column)]
    meters = {_meter(row) for row in done if number(row.get("energy_j")) is not None}
    if len(meters) == 1:
        origin = pretended(next(iter(meters))[0]) or "measured"
        found.append((f"{origin} energy", "energy_j"))
    known = any(number(row.get("energy_model_j")) is not None for row in done)
    if not meters and known and not restates:
        found.append(("modelled energy", "energy_model_j"))
    return found


def _on_another_device(done: Sequence[Row]) -> bool:
    return any(str(row.get("host_matches_device")).lower() == "false" for row in done)


def _meter(row: Row) -> tuple[str, ...]:
    return tuple(str(row.get(key) or "") for key in ("energy_meter", "energy_scope", "energy_kind"))


def _method_sentence(method: str, own: Sequence[Comparison], judged: Yardstick) -> str:
    known = {comparison.quantity: comparison for comparison in own}
    parts = []
    for quantity in ("time", "modelled time"):
        if quantity in known:
            entry = known[quantity]
            parts.append(
                f"took {_times(entry.ratio)} the {quantity} of {judged.reference}{_detail(entry)}"
            )
    for quantity, entry in known.items():
        if quantity.endswith(" energy"):
            parts.append(f"{_times(entry.ratio)} its {quantity}{_detail(entry)}")
    end = known.get(judged.quantity)
    words = judged.words
    ending = "" if end is None else f" at {_change(end, words)}{_detail(end, percent=True)}"
    if not parts:
        without = f" without a {judged.quantity}"
        return f"{method} ended{ending or without}, compared with {judged.reference}."
    return f"{method} {' and '.join(parts)}{ending}."


def _times(ratio: float) -> str:
    return f"{_two(ratio)}×"


def _two(ratio: float) -> str:
    """Return a ratio with two decimals, or with three digits if it is small."""
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.3g}"


def _change(end: Comparison, words: str) -> str:
    percent = 100 * (end.ratio - 1)
    if abs(percent) < 0.05:
        return f"the same {words} to 0.1 %"
    return f"{abs(percent):.1f} % {'lower' if percent < 0 else 'higher'} {words}"


def _detail(comparison: Comparison, percent: bool = False) -> str:
    if comparison.interval is None:
        return ""
    low, high = comparison.interval.low, comparison.interval.high
    plain = f"{_two(low)}–{_two(high)}"
    span = f"{_signed(low)} to {_signed(high)} %" if percent else plain
    return f" ({span}{_claim(comparison)})"


def _signed(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.1f}".replace("-", "−")


def _claim(comparison: Comparison) -> str:
    if comparison.p_value is None:
        return ""
    if comparison.p_value < SIGNIFICANCE:
        return f", p = {comparison.p_value:.2g}"
    if _is_least(comparison):
        return f", p = {comparison.p_value:.2g}, the least possible"
    return f", not shown to differ, p = {comparison.p_value:.2g}"


def _is_least(comparison: Comparison) -> bool:
    """Tell whether all pairs have one sign, so that no p of so many pairs can be smaller."""
    raw = comparison.raw_p_value
    return raw is not None and math.isclose(raw, least_p(comparison.pairs))


def _hedges(
    rows: Sequence[Row], found: Sequence[Comparison], judged: Yardstick, quick: bool
) -> list[str]:
    """Return what a reader must know before quoting the sentences above."""
    words = _pair_hedges(found, judged)
    done = [row for row in rows if row.get("status") == "done"]
    words += _energy_hedges(done)
    if any(str(row.get("host_matches_device")).lower() == "false" for row in done):
        device = next(str(row.get("device") or "the named device") for row in done)
        words.append(
            f"The training ran on a host that is not {device}: time is the host's, "
            f"and any time or energy of {device} is modelled."
        )
    disturbed = disturbed_words(done)
    if disturbed:
        words.append(f"{disturbed}: times and joules are not those of a quiet device.")
    left_out = len(rows) - len(done)
    if left_out:
        words.append(f"{left_out} of {len(rows)} cells are not finished and are left out.")
    if quick:
        words.append("This was a quick run: it is not for publication.")
    return words


def _pair_hedges(found: Sequence[Comparison], judged: Yardstick) -> list[str]:
    if not found:
        return []
    fewest = min(comparison.pairs for comparison in found)
    most = max(comparison.pairs for comparison in found)
    if most == 1:
        one = f"One {judged.unit}"
        return [f"{one}: no interval can be given, and a difference may be chance."]
    span = f"{most}" if fewest == most else f"{fewest} to {most}"
    words = [
        f"Ranges are 95 % intervals (Student's t of log ratios, longer where skewed) over {span}"
        f" paired {judged.unit}s."
    ]
    if any(one.interval is None and one.pairs > 1 for one in found):
        words.append(
            f"No range is given where fewer than {FEWEST_ALIKE} pairs agree as far as their digits"
            " go: they are too coarse to show a spread, and a difference may be chance."
        )
    if fewest < MIN_PAIRS_FOR_TEST:
        words.append(
            f"With fewer than {MIN_PAIRS_FOR_TEST} paired {judged.unit}s no test can reach 5 %, so"
            " no difference is called significant."
        )
    else:
        words.append(
            "p values: paired sign-flip test, corrected by Holm's method for the number of"
            f" {judged.noun}s."
        )
        words += _power_hedges(found, judged)
    return words


def _power_hedges(found: Sequence[Comparison], judged: Yardstick) -> list[str]:
    """Say how many pairs it takes if so few cannot reach 5 % after the correction."""
    counts = Counter(entry.quantity for entry in found if entry.p_value is not None)
    methods = max(counts.values(), default=0)
    fewest = min((entry.pairs for entry in found if entry.p_value is not None), default=0)
    least = least_p(fewest) * methods
    if not methods or least < SIGNIFICANCE:
        return []
    enough = next(n for n in itertools.count(fewest) if least_p(n) * methods < SIGNIFICANCE)
    return [
        f"With {fewest} paired {judged.unit}s and {methods} {judged.noun}s compared no p can be"
        f" below {least:.2g}, however large the difference; {enough} {judged.unit}s would do."
    ]


def _energy_hedges(done: Sequence[Row]) -> list[str]:
    power_w = modelled_power_w(done)
    if _on_another_device(done):
        device = done[0].get("device")
        words = [f"The host is not {device}: that device's time and energy are modelled."]
        return words if power_w is None else [*words, restated_words(power_w)]
    meters = sorted({_meter(row) for row in done if number(row.get("energy_j")) is not None})
    if len(meters) > 1:
        names = ", ".join(" ".join(word for word in meter if word) for meter in meters)
        return [f"Energy was measured by different meters ({names}) and is not compared."]
    if meters:
        scope = ", ".join(word for word in meters[0][1:] if word)
        words = [f"Energy was measured by {meters[0][0]}" + (f" ({scope})." if scope else ".")]
        if pretended(meters[0][0]):
            words.append(f"That meter {NO_SENSOR}.")
        return words
    if power_w is not None:
        return [restated_words(power_w)]
    if any(number(row.get("energy_model_j")) is not None for row in done):
        return ["Energy is modelled from the device profile, not measured."]
    return ["No energy was measured or modelled."] if done else []
