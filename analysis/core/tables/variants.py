"""The ablation table: every variant of a method beside the method itself and the reference.

A run has an ablation if it holds a method both without and with parameters, such as `mas-plus` and
`mas-plus:balance=no`. Series that differ from it in nothing but how they descend stand in the same
table, so that a gain can be told from what better descent alone brings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from analysis.core.loading import Run
from analysis.core.numbers import RatioEstimate, SeedMean
from analysis.core.pooling import series_names
from analysis.core.statistics import MIN_PAIRS_FOR_TEST
from analysis.core.tables.table import Absent, Content, Heading, Table
from analysis.core.verdict import Comparison, Row, comparisons, plain_rows
from analysis.core.words import provenance, sentence
from harness.evidence.comparable import apart
from harness.evidence.paired import INTERVAL_WORDS
from harness.evidence.yardstick import Yardstick

DESCENT = ("optimizer", "schedule", "learning_rate", "momentum", "weight_decay")
"""Settings of a run in which a series may differ and still stand in the table."""

Ratios = Mapping[tuple[str, str], Comparison]


def variant_table(runs: Sequence[Run]) -> Table | None:
    """Return every variant relative to its method and to the reference, the best first.

    Variants that failed are listed with the reason. None if no run holds a method with and without
    parameters.
    """
    names = series_names(runs)
    families = [(run, family) for run in runs for family in families_of(run)]
    if not families:
        return None
    keyed = len({run.run_id for run, _ in families}) > 1
    judged = runs[0].manifest.yardstick
    quantities: list[str] = []
    found: list[tuple[str, list[list[Content]]]] = []
    failed: list[str] = []
    for run, family in families:
        rows = [*plain_rows(run), *_related_rows(run, runs)]
        done = [row for row in rows if row.get("status") == "done"]
        judged = run.manifest.yardstick
        bases = [replace(judged, reference=family), judged]
        others = [m for m in _methods(rows) if _belongs(m, family, judged.reference)]
        ratios = [_ratios(done, others, base) for base in bases]
        quantities = quantities or list(dict.fromkeys(quantity for _, quantity in ratios[0]))
        failed += [text for method in others if (text := _failed_words(method, rows))]
        ranked = _ranked(others, bases[0], ratios[0])
        lines = [_line(method, bases, ratios, quantities, rows) for method in ranked]
        found.append((names[run.run_id], lines))
    words = dict.fromkeys(family for _, family in families)
    start = [Heading("run", "Run")] if keyed else []
    return Table(
        name="variants",
        caption=" ".join([_caption(list(words), quantities, judged), *failed]),
        headings=[*start, *_headings(quantities, judged.reference)],
        rows=[[*([name] if keyed else []), *line] for name, lines in found for line in lines],
        provenance=provenance(runs),
        key_columns=len(start) + 1,
    )


def families_of(run: Run) -> list[str]:
    """Return the methods that a run finished without parameters and holds with some, too."""
    names = list(dict.fromkeys(run.cells["method"].astype(str)))
    return [name for name in run.methods if any(o.startswith(f"{name}:") for o in names)]


def _belongs(method: str, family: str, reference: str) -> bool:
    """Tell whether a method is one of the two, a variant, or of a series that descends apart."""
    return method in {family, reference} or method.startswith(
        (f"{family}:", f"{family} (", f"{reference} (")
    )


def _related_rows(run: Run, runs: Sequence[Run]) -> list[Row]:
    """Return the rows of series that differ in descent only, that said behind their methods."""
    found: list[Row] = []
    for other in runs:
        found_apart = apart(run.manifest.raw, other.manifest.raw)
        names = [each.fact.removeprefix("config ") for each in found_apart]
        if other is run or not set(names) <= set(DESCENT):
            continue
        config = other.manifest.section("config")
        words = ", ".join(f"{name}={config.get(name)}" for name in names)
        found += [{**row, "method": f"{row['method']} ({words})"} for row in plain_rows(other)]
    return found


def _methods(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(str(row["method"]) for row in rows))


def _ratios(done: Sequence[Row], methods: Sequence[str], judged: Yardstick) -> Ratios:
    others = [method for method in methods if method != judged.reference]
    return {(c.method, c.quantity): c for c in comparisons(done, others, judged)}


def _ranked(methods: Sequence[str], judged: Yardstick, ratios: Ratios) -> list[str]:
    """Return the methods, the best first; the family itself is at 1, failed ones come last."""
    sign = -1.0 if judged.better == "higher" else 1.0
    ends = {m: sign * c.ratio for (m, quantity), c in ratios.items() if quantity == judged.quantity}
    ends[judged.reference] = sign
    return sorted(methods, key=lambda method: ends.get(method, math.inf))


def _line(
    method: str, bases: Sequence[Yardstick], ratios: Sequence[Ratios], quantities: Sequence[str],
    rows: Sequence[Row],
) -> list[Content]:  # fmt: skip
    own = [row for row in rows if row["method"] == method]
    done = [row for row in own if row.get("status") == "done"]
    missing = Absent("Not finished." if not done else "No seed in common, or not recorded.")
    line: list[Content] = [method]
    for base, known in zip(bases, ratios, strict=True):
        itself: Content = "1" if method == base.reference else None
        line += [itself or _ratio(known.get((method, q)), missing) for q in quantities]
    family = bases[0]
    line.append(_p_value(ratios[0].get((method, family.quantity)), method == family.reference))
    line.append(f"{len(done)} of {len(own)}")
    return line


def _failed_words(method: str, rows: Sequence[Row]) -> str:
    """Return how many cells of a method are not finished, with the reason of the first."""
    own = [row for row in rows if row["method"] == method]
    failed = [row for row in own if row.get("status") != "done"]
    if not failed:
        return ""
    reason = str(failed[0].get("reason") or "no reason given")
    return sentence(f"{method}: {len(failed)} of {len(own)} cells not finished, {reason}")


def _ratio(found: Comparison | None, missing: Absent) -> Content:
    if found is None:
        return missing
    low, high = (found.interval.low, found.interval.high) if found.interval else (None, None)
    return RatioEstimate.between(found.ratio, low, high, found.pairs)


def _p_value(found: Comparison | None, is_family: bool) -> Content:
    if found is None:
        return Absent("The method itself." if is_family else "No pair of seeds.")
    if found.p_value is None:
        return Absent(f"No test below {MIN_PAIRS_FOR_TEST} pairs.")
    return SeedMean(found.p_value, None, found.pairs)


def _headings(quantities: Sequence[str], reference: str) -> list[Heading]:
    columns = [
        Heading(f"{quantity.replace(' ', '_')}_ratio_to_{key}", f"{_title(quantity)} / {words}")
        for key, words in (("method", "method"), (reference, reference))
        for quantity in quantities
    ]
    last = [Heading("p_holm", "p, Holm"), Heading("cells_done", "Finished")]
    return [Heading("method", "Method"), *columns, *last]


def _title(quantity: str) -> str:
    return quantity[:1].upper() + quantity[1:]


def _caption(families: Sequence[str], quantities: Sequence[str], judged: Yardstick) -> str:
    best = "highest" if judged.better == "higher" else "lowest"
    return (
        f"Ablation of {', '.join(families)}: {', '.join(quantities)} of each variant relative to "
        f"the method without parameters and to {judged.reference} training of the same seed; "
        f"geometric mean of the ratio and its {INTERVAL_WORDS}, {best} {judged.quantity} first. p: "
        f"two-sided sign-flip test of the {judged.quantity} against the method, corrected by "
        "Holm's method over the rows. "
        "Words in brackets: a run of its own that differs in these settings only. Not shown to "
        "differ does not mean equal."
    )
