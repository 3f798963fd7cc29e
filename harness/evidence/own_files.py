"""Look after the tables that only the runs of one workload have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.core.errors import DamagedRunError, UsageError
from harness.core.guarded_folder import RESTORE
from harness.core.schema import SCHEMA_VERSION, Column
from harness.evidence.findings import Finding, named
from harness.evidence.reading import RunFiles
from harness.evidence.tables import Row, read_table
from harness.workloads.base import Workload
from harness.workloads.registry import DEFAULT, find_workload

CELL = "<cell>"


def workload_of(run: RunFiles) -> Workload | None:
    """Return the workload of a run; None if it is not installed here."""
    try:
        return find_workload(str(run.manifest.get("workload", DEFAULT)))
    except UsageError:
        return None


def own_files(run: RunFiles) -> Mapping[str, Sequence[Column]]:
    """Return the tables of a run's workload by path; none if it is not installed here."""
    workload = workload_of(run)
    return {} if workload is None else workload.files


def own_rows(run: RunFiles, name: str, cell: str) -> list[Row]:
    """Return the rows of one of these tables for a cell.

    Raises:
        DamagedRunError: if it is missing or damaged.
    """
    columns = tuple(own_files(run)[name])
    return list(read_table(run.folder / name.replace(CELL, cell), columns, SCHEMA_VERSION).rows)


def damaged_own_files(run: RunFiles) -> Iterator[Finding]:
    """Yield these tables that a finished cell lacks, and those that are not as written."""
    wanted = [
        (name.replace(CELL, str(row["cell"])), tuple(columns))
        for name, columns in own_files(run).items()
        for row in (run.done if CELL in name else run.done[:1])
    ]
    missing = [name for name, _ in wanted if not (run.folder / name).is_file()]
    if missing:
        yield Finding("damaged", "file-missing", f"{named(missing)}: missing", RESTORE)
    for name, columns in wanted:
        path = run.folder / name
        if not path.is_file():
            continue
        try:
            torn = "breaks off in a line" if read_table(path, columns, SCHEMA_VERSION).torn else ""
        except DamagedRunError as error:
            torn = error.message.removeprefix(str(path)).lstrip(":, ")
        if torn:
            yield Finding("damaged", "file-damaged", f"{name}: {torn}", RESTORE)
