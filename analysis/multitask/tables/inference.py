"""What the models of each method cost when they are used, and what their answers are worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.core.loading import Run
from analysis.core.numbers import (
    SeedMean,
    energy_sources,
    measured_by,
    per_seed,
    source_origin,
    source_words,
    summarise,
)
from analysis.core.pooling import series_names
from analysis.core.tables.table import Absent, Content, Heading, Table
from analysis.core.words import provenance, sentence
from analysis.multitask.inference import (
    OFFLINE,
    answers,
    inference_metrics,
    inference_rows,
    origin,
    single_stream,
    variant_words,
    variants,
    windows_disturbed,
)

MILLI = 1e3
MEGA = 1e-6
MODELLED = "Energy, modelled"
SPREAD = "Mean ± 95 % half-width over seeds where there are several."


@dataclass(frozen=True)
class _Line:
    """Hold one row to be: its names, and the measurements it is made of."""

    run: Run
    keys: tuple[str, ...]
    rows: pd.DataFrame


@dataclass(frozen=True)
class _Field:
    heading: Heading
    read: Callable[[_Line], Content]


def inference_tables(runs: Sequence[Run]) -> list[Table | None]:
    """Return the tables of complete answers, of tasks, of single models, of batches and threads."""
    having = [run for run in runs if len(inference_rows(run))]
    if not having:
        return []
    return [_answers(having), _tasks(having), _models(having), _throughput(having)]


def _answers(runs: Sequence[Run]) -> Table | None:
    lines = [
        _Line(run, (method, variant_words(*key)), own)
        for run, method, rows in _by_method(runs)
        for key, own in variants(answers(rows))
    ]
    fields = [
        _stream(Heading("models", "Models"), "models"),
        *(
            _stream(Heading(f"latency_p{p}_ms", f"p{p}", "ms", "low"), f"latency_p{p}_s", MILLI)
            for p in (50, 90, 99)
        ),
        _Field(Heading("throughput_images_per_s", "Throughput", "images/s", "high"), _best),
        *_energy(runs),
        _stream(Heading("peak_memory_mb", "Peak memory", "MB", "low"), "peak_memory_bytes", MEGA),
        _stream(Heading("model_mb", "Files", "MB", "low"), "model_bytes", MEGA),
        _stream(Heading("total_loss", "Total loss", "", "low"), "total_loss"),
    ]
    words = (
        "A complete answer to all tasks: every image goes through all models of a method. Latency:"
        " MLPerf's single-stream scenario (one query of one image after another) with the most"
        " threads; throughput: its offline scenario, the best batch size and number of threads."
    )
    return _table("inference", words, lines, ("Method", "With"), fields)


def _tasks(runs: Sequence[Run]) -> Table | None:
    lines = []
    for run in runs:
        metrics = inference_metrics(run)
        losses = metrics[metrics["metric"] == "test_loss"]
        for method in [m for m in run.methods if (losses["method"] == m).any()]:
            for key, own in variants(losses[losses["method"] == method]):
                lines.append(_Line(run, (method, variant_words(*key)), own))
    letters = list(dict.fromkeys(task for run in runs for task in run.tasks))
    fields = [_Field(Heading(f"loss_{t}", t, "", "low"), _task_reader(t)) for t in letters]
    words = "Test loss of each task by what answers; measures are in inference/metrics.csv."
    return _table("inference_tasks", words, lines, ("Method", "With"), fields)


def _models(runs: Sequence[Run]) -> Table | None:
    lines = []
    for run, method, rows in _by_method(runs):
        alone = rows[rows["job"] != ""]
        for job in dict.fromkeys(alone["job"]):
            for key, own in variants(alone[alone["job"] == job]):
                lines.append(_Line(run, (method, str(job), variant_words(*key)), own))
    fields = [
        *(
            _stream(Heading(f"latency_p{p}_ms", f"p{p}", "ms", "low"), f"latency_p{p}_s", MILLI)
            for p in (50, 90, 99)
        ),
        *_energy(runs),
        _stream(Heading("peak_memory_mb", "Peak memory", "MB", "low"), "peak_memory_bytes", MEGA),
        _stream(Heading("model_mb", "File", "MB", "low"), "model_bytes", MEGA),
    ]
    words = "One image through one model alone, of methods that have several (single-stream)."
    return _table("inference_models", words, lines, ("Method", "Model", "With"), fields)


def _throughput(runs: Sequence[Run]) -> Table | None:
    lines = []
    for run, method, rows in _by_method(runs):
        for key, own in variants(answers(rows[rows["scenario"] == OFFLINE])):
            for (threads, size), batch in own.groupby(["threads", "batch_size"]):
                keys = (method, variant_words(*key), str(threads), str(size))
                lines.append(_Line(run, keys, batch))
    rate = Heading("throughput_images_per_s", "Throughput", "images/s", "high")
    memory = Heading("peak_memory_mb", "Peak memory", "MB", "low")
    fields = [
        _Field(rate, lambda line: _mean(line.rows, rate.key)),
        *_energy(runs, stream=False),
        _Field(memory, lambda line: _mean(line.rows, "peak_memory_bytes", MEGA)),
    ]
    words = "Complete answers in MLPerf's offline scenario by threads and batch size."
    return _table("inference_throughput", words, lines, ("Method", "With", "Threads", "Batch"),
                  fields)  # fmt: skip


def _by_method(runs: Sequence[Run]) -> Iterator[tuple[Run, str, pd.DataFrame]]:
    for run in runs:
        rows = inference_rows(run)
        for method in run.methods:
            own = rows[rows["method"] == method]
            if len(own):
                yield run, method, own


def _stream(heading: Heading, column: str, scale: float = 1.0) -> _Field:
    return _Field(heading, lambda line: _mean(single_stream(line.rows), column, scale))


def _energy(runs: Sequence[Run], *, stream: bool = True) -> list[_Field]:
    """Return a column per meter, then the modelled one; they are never mixed."""

    def rows(line: _Line) -> pd.DataFrame:
        return single_stream(line.rows) if stream else line.rows

    found: list[_Field] = []
    for source in dict.fromkeys(s for run in runs for s in energy_sources(inference_rows(run))):
        key = "energy_mj" if not found else "energy_mj_" + "_".join(source)
        heading = Heading(
            key, f"Energy, {source_origin(source)}", f"mJ; {source_words(source)}", "low"
        )

        def read(line: _Line, source: tuple[str, str, str] = source) -> Content:
            own = rows(line)
            return _mean(measured_by(own, source), "energy_per_image_j", MILLI)

        found.append(_Field(heading, read))
    modelled = Heading("energy_model_mj", MODELLED, "mJ", "low")
    column = "energy_model_per_image_j"
    return [*found, _Field(modelled, lambda line: _mean(rows(line), column, MILLI))]


def _best(line: _Line) -> Content:
    """Return the best mean throughput of all batch sizes and numbers of threads."""
    offline = line.rows[line.rows["scenario"] == OFFLINE]
    means = [
        value
        for _, own in offline.groupby(["threads", "batch_size"])
        if isinstance(value := _mean(own, "throughput_images_per_s"), SeedMean)
    ]
    return max(means, key=lambda value: value.mean) if means else Absent("Not measured offline.")


def _task_reader(task: str) -> Callable[[_Line], Content]:
    def read(line: _Line) -> Content:
        return _mean(line.rows[line.rows["task"] == task], "value")

    return read


def _mean(rows: pd.DataFrame, column: str, scale: float = 1.0) -> Content:
    methods = dict.fromkeys(rows["method"])
    values = [v for method in methods for v in per_seed(rows, str(method), column).values()]
    return summarise(values, scale) or Absent("Not measured, or too few queries to say.")


def _table(
    name: str, words: str, lines: Sequence[_Line], keys: Sequence[str], fields: Sequence[_Field]
) -> Table | None:
    runs = list(dict.fromkeys(line.run for line in lines))
    names = series_names(runs)
    several = len(runs) > 1
    rows = [[field.read(line) for field in fields] for line in lines]
    kept = [i for i in range(len(fields)) if any(isinstance(row[i], SeedMean) for row in rows)]
    if not kept:
        return None
    caption = [words, SPREAD, *(sentence(text) for run in runs if (text := origin(run)))]
    joules = [fields[i].heading.title for i in kept if fields[i].heading.title.startswith("Energy")]
    if joules and all(title == MODELLED for title in joules):
        caption.append("Energy is modelled from the device profile, not measured.")
    caption += filter(None, [windows_disturbed(pd.concat([line.rows for line in lines]))])
    headings = [Heading(key.lower(), key) for key in keys] + [fields[i].heading for i in kept]
    return Table(
        name=name,
        timed=False,  # its windows have flags of their own, told above
        caption=" ".join(dict.fromkeys(caption)),
        headings=[Heading("run", "Run"), *headings] if several else headings,
        rows=[
            [*([names[line.run.run_id]] if several else []), *line.keys, *(row[i] for i in kept)]
            for line, row in zip(lines, rows, strict=True)
        ],
        provenance=provenance(runs),
        key_columns=len(keys) + several,
        ranked_within="run" if several else "",
    )
