"""Look over many runs: what each is, how it stands, what it cost and reached, where its report is.

Run folders are found at any depth below a folder. Only manifest and cells.csv are read, so that a
hundred runs are listed at once; whether a run is whole is for `harness.check` to say.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.core.clean_text import clean
from harness.core.errors import DamagedRunError
from harness.core.guarded_folder import read_bytes, read_object
from harness.evidence.bundles import is_bundle
from harness.evidence.sensors import pretences
from harness.run_folder.lock import is_running
from harness.workloads.registry import DEFAULT

DEEPEST = 6
MOST_METHODS = 40
PAGES = ("report/index.html", "index.html")


@dataclass(frozen=True)
class RunEntry:
    """Hold what is seen of a run from outside.

    Attributes:
        folder: Where it lies.
        problem: Why it cannot be read; empty if it can.
        is_bundle: Whether it is a bundle that `harness.pack` wrote, and no run.
        status: `done`, `running`, `killed`, `interrupted`, …
        methods: Method → mean of the objective over its finished cells; None without a value.
        objective: What the methods are judged by.
        energy_j: Joules measured in finished cells; None if none was measured.
        energy_cells: Of how many finished cells that is the sum.
        energy_origin: Where the joules that are shown come from: `measured`, `modelled`, or of a
            meter that is no sensor `made up` or `replayed`; empty without any.
        command: What was typed.
        energy_model_j: The same as modelled; None if nothing was.
        energy_model_cells: Of how many finished cells that is the sum.
        page: The page of its report, if there is one.
    """

    folder: Path
    problem: str = ""
    is_bundle: bool = False
    status: str = "unknown"
    created: str = ""
    device: str = ""
    workload: str = ""
    methods: Mapping[str, float | None] = field(default_factory=dict)
    objective: str = ""
    better: str = "lower"
    energy_j: float | None = None
    energy_cells: int = 0
    energy_model_j: float | None = None
    energy_model_cells: int = 0
    energy_origin: str = ""
    command: str = ""
    cells: Mapping[str, int] = field(default_factory=dict)
    quick: bool = False
    page: Path | None = None

    @property
    def best(self) -> tuple[str, float] | None:
        """Return the method with the best mean of the objective."""
        known = [(name, value) for name, value in self.methods.items() if value is not None]
        choose = max if self.better == "higher" else min
        return choose(known, key=lambda pair: pair[1]) if known else None


def run_folders(below: Path) -> Iterator[Path]:
    """Yield the run folders below a folder, in the order of their paths; links are not followed.

    A bundle is none, and the runs in it are copies.
    """
    return (path for path in _folders(below) if not is_bundle(path))


def bundles(below: Path) -> Iterator[Path]:
    """Yield the bundles below a folder, in the order of their paths."""
    return filter(is_bundle, _folders(below))


def _folders(below: Path, depth: int = DEEPEST) -> Iterator[Path]:
    """Yield the folders below another that have a manifest, and are in none that has one."""
    if depth == 0:
        return
    for path in sorted(below.iterdir()):
        if path.is_symlink() or not path.is_dir() or path.name.startswith("."):
            continue
        if (path / "manifest.json").is_file() and (path / "cells.csv").is_file():
            yield path
        elif (path / "manifest.json").is_file() and path.parent == below:
            yield path  # damaged, and said to be
        else:
            yield from _folders(path, depth - 1)


def overview(below: Path) -> list[RunEntry]:
    """Return an entry for every run and every bundle below a folder."""
    return [
        RunEntry(folder, is_bundle=True) if is_bundle(folder) else run_entry(folder)
        for folder in _folders(below)
    ]


def run_entry(folder: Path) -> RunEntry:
    """Return what is seen of one run; what cannot be read is said in it."""
    try:
        facts = read_object(folder / "manifest.json")
        rows = _rows(folder / "cells.csv")
    except (DamagedRunError, UnicodeDecodeError, csv.Error) as error:
        words = error.message if isinstance(error, DamagedRunError) else str(error)
        return RunEntry(folder, clean(words))
    done = [row for row in rows if row.get("status") == "done"]
    config = facts.get("config")
    name = str(config.get("workload", "")) if isinstance(config, dict) else ""
    column, objective, better = _objective(rows)
    measured, modelled = _known(done, "energy_j"), _known(done, "energy_model_j")
    return RunEntry(
        folder,
        status=_status(folder, str(facts.get("status", "unknown"))),
        created=str(facts.get("created") or ""),
        device=_device(facts),
        workload=str(facts.get("workload") or name or DEFAULT),
        methods=_means(rows, done, column),
        objective=objective,
        better=better,
        energy_j=_total(measured),
        energy_cells=len(measured),
        energy_model_j=_total(modelled),
        energy_model_cells=len(modelled),
        energy_origin=_origin(done),
        command=str(facts.get("command") or ""),
        cells=Counter((row.get("status") or "unknown")[:20] for row in rows),
        quick=bool(facts.get("quick")),
        page=next((folder / page for page in PAGES if (folder / page).is_file()), None),
    )


def _rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(read_bytes(path).decode(), newline="")))


def _status(folder: Path, said: str) -> str:
    """Return how a run stands: one that says it is running may have been killed."""
    if said == "done" or not is_running(folder):
        return "killed" if said == "running" else said
    return "running"


def _device(facts: Mapping[str, Any]) -> str:
    device = facts.get("device")
    return str(device.get("name") or "") if isinstance(device, dict) else ""


def _objective(rows: Sequence[Mapping[str, str]]) -> tuple[str, str, str]:
    """Return the column of the objective, what it is called, and in which direction it is better.

    Runs before schema 4 are of one workload, judged by `total_loss`.
    """
    first = rows[0] if rows else {}
    if first.get("objective"):
        return "objective_value", first["objective"], first.get("objective_better") or "lower"
    return "total_loss", "total_loss", "lower"


def _means(
    rows: Sequence[Mapping[str, str]], done: Sequence[Mapping[str, str]], column: str
) -> dict[str, float | None]:
    names = list(dict.fromkeys(row.get("method") or "" for row in rows))[:MOST_METHODS]
    found: dict[str, float | None] = {}
    for name in names:
        known = [_number(row.get(column)) for row in done if row.get("method") == name]
        values = [value for value in known if value is not None]
        found[name] = sum(values) / len(values) if values else None
    return found


def _known(rows: Sequence[Mapping[str, str]], column: str) -> list[float]:
    return [value for row in rows if (value := _number(row.get(column))) is not None]


def _total(values: Sequence[float]) -> float | None:
    return sum(values) if values else None


def _origin(rows: Sequence[Mapping[str, str]]) -> str:
    measured = [row for row in rows if _number(row.get("energy_j")) is not None]
    if measured:
        return pretences(row.get("energy_meter") or "" for row in measured) or "measured"
    return "modelled" if _known(rows, "energy_model_j") else ""


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None
