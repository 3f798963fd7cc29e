"""Build the two tables of a report: what each method costs, and how well each task is learnt."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from analysis.loading import Run
from analysis.numbers import (
    Value,
    energy_sources,
    groups_text,
    last_task_losses,
    measured_by,
    method_value,
    per_seed,
    seed_words,
    source_words,
    summarise,
    with_traffic,
)
from analysis.statistics import paired_log_ratios
from analysis.tables import Content, Heading, Table

REFERENCE_METHOD = "independent"
MEGA = 1e-6

Reader = Callable[[Run, str], Content]


@dataclass(frozen=True)
class Field:
    """Pair a heading with the function that reads its content for one run and method."""

    heading: Heading
    read: Reader


def method_table(runs: Sequence[Run]) -> Table:
    """Return one row per run and method: groups, time, energy, loss, memory, traffic."""
    fields = _leading_fields(runs) + _time_fields(runs) + _energy_fields(runs) + _other_fields()
    rows = [[field.read(run, method) for field in fields] for run in runs for method in run.methods]
    kept, dropped = _split_empty(fields, rows)
    return Table(
        name="methods",
        caption=_method_caption(runs, [fields[index].heading for index in dropped]),
        headings=[fields[index].heading for index in kept],
        rows=[[row[index] for index in kept] for row in rows],
        provenance=provenance(runs),
    )


def task_table(runs: Sequence[Run]) -> Table:
    """Return the last test loss of every task per method, and of predicting the mean."""
    tasks = "".join(dict.fromkeys("".join(run.tasks for run in runs)))
    headings = [field.heading for field in _leading_fields(runs) if field.heading.key != "groups"]
    headings += [Heading(f"test_loss_{task}", f"Loss {task}", "", "low") for task in tasks]
    rows: list[list[Content]] = []
    references: list[list[Content]] = []
    for run in runs:
        losses = last_task_losses(run)
        start: list[Content] = [run.run_id] if len(runs) > 1 else []
        rows += [
            [*start, method, *_task_values(losses[losses["method"] == method], tasks)]
            for method in run.methods
        ]
        means = last_task_losses(run, "mean_predictor_loss")
        if len(means):
            values = _task_values(means, tasks)
            references.append([*start, "predicting the training mean", *map(_no_spread, values)])
    return Table(
        name="tasks",
        caption=f"Test loss of each task after the last round. {spread_words(runs)}"
        + (" Last row: loss of predicting the training mean of each task." if references else ""),
        headings=headings,
        rows=[*rows, *references],
        provenance=provenance(runs),
        reference_rows=len(references),
    )


def provenance(runs: Sequence[Run]) -> list[str]:
    """Return the lines that say where the numbers of a table or figure come from."""
    lines: list[str] = []
    for run in runs:
        lines.append(f"run: {run.run_id}")
        lines.append(f"command: {run.manifest.command}")
        lines.append(f"data: {_data_words(run)}")
        if run.manifest.quick:
            lines.append("quick run: not for publication")
    return lines


def spread_words(runs: Sequence[Run]) -> str:
    """Return the sentence on n and the interval that a caption carries."""
    counts = sorted({_seed_count(run, method) for run in runs for method in run.methods})
    if not counts:
        return "No finished cell."
    if counts == [1]:
        return "n = 1 seed, so no spread can be given."
    span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    repeats = any(run.done["repeat"].nunique() > 1 for run in runs)
    return (
        f"Mean ± 95 % half-width (Student's t) over n = {span} seeds"
        f"{', repeats averaged within each seed' if repeats else ''}."
    )


def origin_words(run: Run) -> str:
    """Return a warning if the host is not the device or the run is a quick one, else nothing."""
    facts = run.manifest
    parts: list[str] = []
    if not facts.host_matches_device:
        columns = ["time_model_s", "energy_model_j"]
        modelled = bool(run.done[columns].notna().any(axis=None))
        where = f"{facts.device_title} modelled" if modelled else f"not on {facts.device_title}"
        parts.append(f"trained on {facts.host_description}; {where}")
    if facts.quick:
        parts.append("quick run, not for publication")
    return "; ".join(parts)


def _leading_fields(runs: Sequence[Run]) -> list[Field]:
    fields = [
        Field(Heading("method", "Method"), lambda _run, method: method),
        Field(
            Heading("groups", "Groups"), lambda run, method: groups_text(run.done, method) or None
        ),
    ]
    if len(runs) > 1:
        fields.insert(0, Field(Heading("run_id", "Run"), lambda run, _method: run.run_id))
    return fields


def _time_fields(runs: Sequence[Run]) -> list[Field]:
    on_host = any(not run.manifest.host_matches_device for run in runs)
    return [
        _cell_field(Heading("time_s", "Time on host" if on_host else "Time", "s", "low")),
        _cell_field(Heading("time_model_s", "Time, modelled", "s", "low")),
        Field(Heading("time_ratio", "Time ratio", "× independent", "low"), _time_ratio),
    ]


def _energy_fields(runs: Sequence[Run]) -> list[Field]:
    """Return one column per meter scope and kind, then the modelled one; they are never mixed."""
    sources = list(dict.fromkeys(s for run in runs for s in energy_sources(run.done)))
    words = [source_words(source) for source in sources]
    fields = []
    for source, text in zip(sources, words, strict=True):
        shown = text if words.count(text) == 1 else f"{source[0]}: {text}"
        key = "energy_j" if len(sources) == 1 else "energy_j_" + "_".join(source)
        heading = Heading(key, "Energy, measured", f"J; {shown}", "low")
        fields.append(Field(heading, _measured_reader(source)))
    if not fields:
        fields.append(_cell_field(Heading("energy_j", "Energy, measured", "J", "low")))
    fields.append(_cell_field(Heading("energy_model_j", "Energy, modelled", "J", "low")))
    return fields


def _other_fields() -> list[Field]:
    return [
        _cell_field(Heading("total_loss", "Total loss", "", "low")),
        _cell_field(Heading("delta_mtl", "Δ MTL", "%", "high")),
        _cell_field(Heading("unseen_total_loss", "Unseen loss", "", "low")),
        _cell_field(Heading("peak_memory_mb", "Peak memory", "MB", "low"), "peak_memory_bytes"),
        _cell_field(Heading("traffic_mb", "Up + down", "MB", "low"), "traffic_bytes"),
    ]


def _cell_field(heading: Heading, column: str = "") -> Field:
    scale = MEGA if column.endswith("_bytes") else 1.0
    name = column or heading.key
    return Field(
        heading, lambda run, method: method_value(with_traffic(run.done), method, name, scale)
    )


def _measured_reader(source: tuple[str, str, str]) -> Reader:
    return lambda run, method: method_value(measured_by(run.done, source), method, "energy_j")


def _time_ratio(run: Run, method: str) -> Content:
    """Return the geometric mean of the ratio to independent, paired by seed.

    The half-width is the delta-method one, ratio times half-width of the log-ratio.
    """
    if method == REFERENCE_METHOD:
        return "1"
    reference = per_seed(run.done, REFERENCE_METHOD, "time_s")
    logs = summarise(paired_log_ratios(per_seed(run.done, method, "time_s"), reference))
    if logs is None:
        return None
    ratio = math.exp(logs.mean)
    return Value(ratio, None if logs.half_width is None else ratio * logs.half_width, logs.n)


def _split_empty(
    fields: Sequence[Field], rows: Sequence[Sequence[Content]]
) -> tuple[list[int], list[int]]:
    kept = [i for i in range(len(fields)) if i == 0 or any(_informs(row[i]) for row in rows)]
    return kept, [index for index in range(len(fields)) if index not in kept]


def _informs(content: Content) -> bool:
    """Tell whether a content is more than missing or the "1" of the reference itself."""
    return content not in {None, "1"} if not isinstance(content, Value) else True


def _method_caption(runs: Sequence[Run], dropped: Sequence[Heading]) -> str:
    parts = [f"Cost and loss of each method. {spread_words(runs)}"]
    parts += [_sentence(words) for run in runs if (words := origin_words(run))]
    parts += _dropped_words(runs, dropped)
    parts += _partial_energy(runs)
    return " ".join(dict.fromkeys(parts))


def _dropped_words(runs: Sequence[Run], dropped: Sequence[Heading]) -> list[str]:
    quiet = {"groups", "time_ratio"}
    if all(run.manifest.host_matches_device for run in runs):
        quiet.add("time_model_s")
    words = []
    for heading in dropped:
        if heading.key == "energy_j":
            reasons = dict.fromkeys(reason for run in runs for reason in _no_energy(run))
            words.append(_sentence(f"No measured energy: {'; '.join(reasons) or 'no meter'}"))
        elif heading.key not in quiet:
            words.append(f"Column left out, it has no value: {heading.title}.")
    return words


def _no_energy(run: Run) -> list[str]:
    reasons = [str(reason) for reason in run.done["energy_reason"].unique() if reason]
    return reasons or [run.manifest.meter_reason or "no meter"]


def _partial_energy(runs: Sequence[Run]) -> list[str]:
    """Say where measured energy rests on fewer seeds than the rest of the row."""
    words = []
    for run in runs:
        for method in run.methods if run.done["energy_j"].notna().any() else []:
            measured = len(per_seed(run.done, method, "energy_j"))
            seeds = _seed_count(run, method)
            if measured < seeds:
                words.append(f"Energy of {method} was measured in {measured} of {seeds} seeds.")
    return words


def _task_values(losses: pd.DataFrame, tasks: str) -> list[Content]:
    values: list[Content] = []
    for task in tasks:
        rows = losses[losses["task"] == task]
        values.append(summarise(rows.groupby("seed")["value"].mean().to_list()))
    return values


def _no_spread(content: Content) -> Content:
    """Return a reference value without half-width: it is a fact of the data, not of training."""
    return replace(content, half_width=None) if isinstance(content, Value) else content


def _seed_count(run: Run, method: str) -> int:
    return int(run.done.loc[run.done["method"] == method, "seed"].nunique())


def _data_words(run: Run) -> str:
    facts = run.manifest
    name = " ".join(text for key in ("name", "version") if (text := facts.text("data", key)))
    return f"{name or 'unnamed'}, checksum {facts.data_checksum or 'unknown'}"


def _sentence(text: str) -> str:
    stripped = text.strip().rstrip(".")
    return f"{stripped[:1].upper()}{stripped[1:]}."


def method_summary(run: Run) -> str:
    """Return how many methods, cells and seeds a run finished, in words."""
    seeds = int(run.done["seed"].nunique())
    return f"{len(run.methods)} methods, {len(run.done)} finished cells, {seed_words(seeds)}"
