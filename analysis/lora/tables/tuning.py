"""What each method has learnt, forgotten, sent and spent."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pandas as pd

from analysis.core.basis import CostBasis, cost_basis
from analysis.core.loading import Run
from analysis.core.numbers import joules_origin, method_value
from analysis.core.tables.fields import MethodColumn, Reader, cell_column, method_rows_table
from analysis.core.tables.table import Absent, Content, Heading, Table
from analysis.core.words import spread_words
from analysis.lora.values import LEAST_ERROR, MIXTURE, TEXT, WORLD, by_cell

BOARD_BYTES = 4 * 2**30
"""Memory of a board of 4 GB, against which peaks are set."""

Numbers = Callable[[Run], pd.Series]


def learning_table(runs: Sequence[Run]) -> Table | None:
    """Return loss, exact match, what was forgotten, and the error of the joined update."""
    columns = [
        _column(Heading("mixture_loss", "Mixture loss", "nat", "low"), _last("test_loss", MIXTURE)),
        _column(Heading("exact_match", "Exact match", "", "high"), _last("exact_match", MIXTURE)),
        _column(Heading("world_loss", "All kinds, loss", "nat", "low"), _last("test_loss", WORLD)),
        _column(Heading("world_exact", "All kinds, exact match", "", "high"),
                _last("exact_match", WORLD)),
        _column(Heading("forgotten", "Forgotten", "nat", "low"),
                lambda run: by_cell(run, "forgotten", TEXT).round(3)),
        _column(Heading("choice_accuracy", "Choices", "", "high"),
                _last("choice_accuracy", "choices")),
        _column(Heading("aggregation_error", "Update error", "log10", "low"), _error),
        _column(Heading("update_rank", "Update rank"), _last("update_rank")),
    ]  # fmt: skip
    caption = (
        "What each method has learnt: held-out loss and exact match on the clients' mixture and on"
        " all kinds of instruction alike; forgotten is the growth of the loss on text that the base"
        " knew; the update error is the power of ten of ‖joined − exact‖ / ‖exact‖ in the last"
        " round, where −7 and less is rounding in single precision. Of local, values are means"
        f" over the clients' own models. {spread_words(runs)}"
    )
    return method_rows_table("learning", caption, runs, columns)


def _error(run: Run) -> pd.Series:
    """Return powers of ten: exact ways lie seven of them below the others."""
    errors = by_cell(run, "aggregation_error", MIXTURE).clip(lower=LEAST_ERROR)
    return errors.map(math.log10).round(2)


def spending_table(runs: Sequence[Run]) -> Table | None:
    """Return bytes, tokens a second, memory, and joules per token, adapter and point."""
    columns = [
        cell_column(Heading("upload_mb", "Up", "MB", "low"), "upload_bytes"),
        cell_column(Heading("download_mb", "Down", "MB", "low"), "download_bytes"),
        _column(Heading("base_download_mb", "Base, once", "MB"),
                lambda run: by_cell(run, "base_download_bytes") / 1e6),
        _column(Heading("tokens_per_s", "Tokens/s", "", "high"), _last("tokens_per_s")),
        cell_column(Heading("peak_memory_mb", "Peak memory", "MB", "low"), "peak_memory_bytes"),
        _column(Heading("board_share", "of a 4 GB board", "%", "low"), _board_share),
        *_joule_columns(runs),
    ]  # fmt: skip
    caption = (
        "What each method has sent and spent; sending the base to all clients once is in no other"
        " figure. Joules per thousand tokens of training (padding left out), per client's adapter,"
        " and per percentage point of exact match on the mixture gained over the base. "
        + spread_words(runs)
    )
    return method_rows_table("spending", caption, runs, columns)


def _joule_columns(runs: Sequence[Run]) -> list[MethodColumn]:
    kinds = {cost_basis(run, restated=True).kind for run in runs}
    if kinds == {"time"} or len(kinds) > 1:
        return []
    modelled = ", modelled" if kinds == {"modelled"} else f", {joules_origin(runs)}"
    headings = (
        (Heading("j_per_kilotoken", f"per 1000 tokens{modelled}", "J", "low"), _per_kilotoken),
        (Heading("j_per_adapter", f"per adapter{modelled}", "J", "low"), _per_adapter),
        (Heading("j_per_point", f"per point{modelled}", "J", "low"), _per_point),
    )
    return [_column(heading, numbers) for heading, numbers in headings]


def _joules(run: Run) -> pd.Series:
    basis: CostBasis = cost_basis(run, restated=True)
    return basis.cells.set_index("cell")[basis.column].astype("float64")


def _per_kilotoken(run: Run) -> pd.Series:
    return 1000.0 * _joules(run) / by_cell(run, "tokens_trained")


def _per_adapter(run: Run) -> pd.Series:
    clients = run.done.set_index("cell")["clients"].astype("float64")
    return _joules(run) / clients


def _per_point(run: Run) -> pd.Series:
    """Return joules by points gained; nothing where nothing was gained."""
    gained = 100.0 * (
        by_cell(run, "exact_match", MIXTURE) - by_cell(run, "base_exact_match", MIXTURE)
    )
    return (_joules(run) / gained).where(gained > 0.0)


def _board_share(run: Run) -> pd.Series:
    return 100.0 * run.done.set_index("cell")["peak_memory_bytes"].astype("float64") / BOARD_BYTES


def _last(metric: str, task: str = "") -> Numbers:
    return lambda run: by_cell(run, metric, task)


def _column(heading: Heading, numbers: Numbers) -> MethodColumn:
    return MethodColumn(heading, _reader(numbers))


def _reader(numbers: Numbers) -> Reader:
    def read(run: Run, method: str) -> Content:
        found = numbers(run)
        cells = run.done.assign(value=run.done["cell"].map(found))
        return method_value(cells, method, "value") or Absent("Not there for this method.")

    return read
