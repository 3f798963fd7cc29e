"""Table 5: every method against the reference, paired by seed."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.core.loading import Run
from analysis.core.numbers import SeedMean
from analysis.core.pooling import series_names
from analysis.core.statistics import MIN_PAIRS_FOR_TEST, least_p
from analysis.core.tables.table import Absent, Content, Heading, Table
from analysis.core.verdict import Comparison, run_comparisons
from analysis.core.words import provenance, sentence
from harness.evidence.paired import INTERVAL_WORDS, no_interval_words

ONE_PAIR = Absent("One pair of seeds has no interval.")


def _no_interval(pairs: int) -> Absent:
    return ONE_PAIR if pairs == 1 else Absent(sentence(no_interval_words(pairs)))


def pair_table(runs: Sequence[Run]) -> Table | None:
    """Return ratio, interval, pairs and p of each method and quantity; None without pairs."""
    names = series_names(runs)
    rows: list[list[Content]] = []
    for run in runs:
        start: list[Content] = [names[run.run_id]] if len(runs) > 1 else []
        rows += [[*start, *_row(comparison)] for comparison in run_comparisons(run)]
    if not rows:
        return None
    keys = [Heading("run", "Run")] if len(runs) > 1 else []
    keys += [Heading("method", "Method"), Heading("quantity", "Quantity")]
    judged = runs[0].manifest.yardstick
    what = f"{judged.reference} training" if judged.objective else judged.reference
    return Table(
        name="pairs",
        caption=f"Each {judged.noun} relative to {what} of the same {judged.unit}: geometric mean "
        f"of the ratio, its {INTERVAL_WORDS}, number of pairs, and p of the two-sided "
        f"sign-flip test, raw and corrected by Holm's method over the {judged.noun}s. Not shown "
        "to differ does not mean equal.",
        headings=[
            *keys,
            Heading("ratio", "Ratio"),
            Heading("ratio_low", "From"),
            Heading("ratio_high", "To"),
            Heading("pairs", "Pairs"),
            Heading("p_raw", "p"),
            Heading("p_holm", "p, Holm"),
        ],
        rows=rows,
        provenance=provenance(runs),
        key_columns=len(keys),
    )


def _row(found: Comparison) -> list[Content]:
    interval = found.interval
    return [
        found.method,
        found.quantity,
        SeedMean(found.ratio, None, found.pairs),
        SeedMean(interval.low, None, found.pairs) if interval else _no_interval(found.pairs),
        SeedMean(interval.high, None, found.pairs) if interval else _no_interval(found.pairs),
        str(found.pairs),
        _p_content(found.raw_p_value, found.pairs),
        _p_content(found.p_value, found.pairs),
    ]


def _p_content(p_value: float | None, pairs: int) -> Content:
    if p_value is not None:
        return SeedMean(p_value, None, pairs)
    least = least_p(pairs)
    words = "1 pair" if pairs == 1 else f"{pairs} pairs"
    return Absent(
        f"With {words} p cannot fall below {least:.3g}; no test below {MIN_PAIRS_FOR_TEST} pairs."
    )
