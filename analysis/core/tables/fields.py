"""Build a table with one row per run and method from columns that each know how to read theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from analysis.core.loading import Run
from analysis.core.numbers import (
    energy_sources,
    measured_by,
    method_value,
    per_seed,
    source_origin,
    source_words,
)
from analysis.core.pooling import series_names
from analysis.core.tables.table import Absent, Content, Heading, Table
from analysis.core.words import no_energy_words, origin_words, provenance, seed_count, sentence

MEGA = 1e-6

Reader = Callable[[Run, str], Content]


@dataclass(frozen=True)
class MethodColumn:
    """Pair a heading with the function that reads its content for one run and method.

    Attributes:
        heading: title, unit and direction.
        read: content of one run and method.
        why_empty: words for the caption if no row has a value; "" drops the column silently.
    """

    heading: Heading
    read: Reader
    why_empty: str = ""


def method_rows_table(
    name: str, caption: str, runs: Sequence[Run], columns: Sequence[MethodColumn]
) -> Table | None:
    """Return one row per run and method; columns without any value are left out, with the reason.

    Returns:
        The table, or None if no column has a value.
    """
    names = series_names(runs)
    keyed = [MethodColumn(Heading("method", "Method"), lambda _run, method: method), *columns]
    if len(runs) > 1:
        keyed.insert(0, MethodColumn(Heading("run", "Run"), lambda run, _method: names[run.run_id]))
    keys = len(keyed) - len(columns)
    rows = [
        [column.read(run, method) for column in keyed] for run in runs for method in run.methods
    ]
    kept = [n for n in range(len(keyed)) if n < keys or any(_informs(row[n]) for row in rows)]
    if len(kept) == keys:
        return None
    dropped = [keyed[n].why_empty for n in range(len(keyed)) if n not in kept]
    words = [caption, *(sentence(text) for run in runs if (text := origin_words(run)))]
    words += [sentence(reason) for reason in dropped if reason]
    return Table(
        name=name,
        caption=" ".join(dict.fromkeys(words)),
        headings=[keyed[n].heading for n in kept],
        rows=[[row[n] for n in kept] for row in rows],
        provenance=provenance(runs),
        key_columns=keys,
        ranked_within="run" if len(runs) > 1 else "",
    )


def cell_column(heading: Heading, column: str = "", why_empty: str = "") -> MethodColumn:
    """Return a column that averages a column of cells.csv; bytes become megabytes."""
    name = column or heading.key
    scale = MEGA if name.endswith("_bytes") else 1.0

    def read(run: Run, method: str) -> Content:
        by = run.manifest.yardstick.paired_by
        value = method_value(run.done, method, name, scale, by) if name in run.done else None
        return value or Absent("Not recorded for this method.")

    return MethodColumn(heading, read, why_empty)


def energy_columns(runs: Sequence[Run]) -> list[MethodColumn]:
    """Return one column per meter scope and kind, then the modelled one; they are never mixed."""
    found = measured_columns(runs, "energy_j", "Energy")
    if not found:
        heading = Heading("energy_j", "Energy, measured", "J", "low")
        reasons = "; ".join(dict.fromkeys(no_energy_words(run) for run in runs if run.methods))
        if "/" in reasons:  # a path of the host says nothing to the reader of a paper
            reasons = "no meter worked on the host"
        why = f"No measured energy: {reasons or 'no meter'}"
        found.append(MethodColumn(heading, lambda _run, _method: None, why))
    modelled = Heading("energy_model_j", "Energy, modelled", "J", "low")
    return [*found, cell_column(modelled, why_empty="No modelled energy: the profile has no model")]


def measured_columns(runs: Sequence[Run], column: str, title: str) -> list[MethodColumn]:
    """Return one column per meter scope and kind of a number of joules, which says its origin."""
    sources = list(dict.fromkeys(s for run in runs for s in energy_sources(run.done)))
    words = [source_words(source) for source in sources]
    found = []
    for source, text in zip(sources, words, strict=True):
        shown = text if words.count(text) == 1 else f"{source[0]}: {text}"
        key = column if len(sources) == 1 else f"{column}_{'_'.join(source)}"
        heading = Heading(key, f"{title}, {source_origin(source)}", f"J; {shown}", "low")
        found.append(MethodColumn(heading, _measured_reader(source, column)))
    return found


def time_columns(runs: Sequence[Run]) -> list[MethodColumn]:
    """Return measured time, and modelled time of a device that is not the host."""
    on_host = any(not run.manifest.host_matches_device for run in runs)
    why = "No modelled time: the profile has no throughput" if on_host else ""
    return [
        cell_column(Heading("time_s", "Time on host" if on_host else "Time", "s", "low")),
        cell_column(Heading("time_model_s", "Time, modelled", "s", "low"), why_empty=why),
    ]


def partial_energy_words(runs: Sequence[Run]) -> list[str]:
    """Say where measured energy rests on fewer seeds than the rest of the row."""
    words = []
    for run in runs:
        for method in run.methods if run.done["energy_j"].notna().any() else []:
            judged = run.manifest.yardstick
            measured = len(per_seed(run.done, method, "energy_j", judged.paired_by))
            seeds = seed_count(run, method)
            if measured < seeds:
                share = f"{measured} of {seeds} {judged.unit}s"
                words.append(f"Energy of {method} was measured in {share}.")
    return words


def _measured_reader(source: tuple[str, str, str], column: str) -> Reader:
    def read(run: Run, method: str) -> Content:
        by = run.manifest.yardstick.paired_by
        value = method_value(measured_by(run.done, source), method, column, by=by)
        return value or Absent(f"Not measured by {source[0]}.")

    return read


def _informs(content: Content) -> bool:
    return content is not None and not isinstance(content, Absent)
