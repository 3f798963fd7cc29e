"""Carry out a run: data, meter, idle baseline, warm-up, cells, and their files."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import safetensors.torch
import torch

from devices.energy import Reading
from harness.accounting import Accountant
from harness.cell import Bench, Cell, CellResult, run_cell
from harness.config import RunConfig
from harness.data.dataset import default_cache, ensure_scenes, open_store
from harness.data.errors import DataError
from harness.data.store import Store
from harness.errors import HarnessError, SourceDataError
from harness.federated.evaluation import mean_predictor_losses
from harness.federated.job import Job
from harness.federated.local import LocalEngine
from harness.federated.observer import SilentObserver
from harness.instruments import idle_power_w, instruments
from harness.manifest import describe_run
from harness.modelling import device_model, power_model
from harness.phases import Label, PhaseLog
from harness.recorder import Progress
from harness.results import RunFolder, csv_text
from harness.rows import affinity_files, cell_row, delta_mtl, metric_rows, phase_rows
from harness.schema import CELLS, METRICS, PHASE_ROWS, SCHEMA_VERSION, TRACE
from harness.settings import federation
from harness.target import Target, confine
from models.network import Architecture

REFERENCE = "independent"
"""The method that Δ compares with; it runs first in every seed."""


class Screen(Protocol):
    """Show a run to people as it goes."""

    def making_data(self, done: int, total: int) -> None:
        """Show how far the data are."""
        ...

    def run_started(self, path: Path) -> None:
        """Show where results will be."""
        ...

    def cell_started(self, cell: Cell, number: int, total: int) -> None:
        """Show which cell begins."""
        ...

    def round_done(self, progress: Progress) -> None:
        """Show how far the cell is; called at most once a round."""
        ...

    def cell_done(self, result: CellResult) -> None:
        """Show what came of a cell."""
        ...


@dataclass(frozen=True)
class RunSummary:
    """Hold what a finished run left behind."""

    path: Path
    rows: list[dict[str, object]]
    interrupted: bool

    @property
    def done(self) -> list[dict[str, object]]:
        """Return the rows of cells that are done."""
        return [row for row in self.rows if row["status"] == "done"]

    @property
    def failed(self) -> list[dict[str, object]]:
        """Return the rows of cells that failed."""
        return [row for row in self.rows if row["status"] == "failed"]


def matrix(config: RunConfig) -> list[Cell]:
    """Return the cells in the order in which they run: seed by seed, the reference method first."""
    specs = sorted(config.method_specs(), key=lambda spec: spec.name != REFERENCE)
    return [
        Cell(spec, seed, repeat)
        for seed in config.seeds
        for repeat in range(config.repeats)
        for spec in specs
    ]


def prepare_torch(threads: int) -> None:
    """Fix the number of threads, on which sums and so the last bits of results depend."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)


def open_data(config: RunConfig, screen: Screen) -> Store:
    """Open the data set, making it first if it is not in the cache, and check every file's hash.

    Raises:
        SourceDataError: if it cannot be made, does not fit the disk, or is damaged.
    """
    workers = len(os.sched_getaffinity(0))
    try:
        store = ensure_scenes(config.scenes, cache_folder(config), screen.making_data, workers)
        return open_store(store.path, verify=True)
    except DataError as error:
        raise SourceDataError(error.message, error.remedy) from error


def cache_folder(config: RunConfig) -> Path:
    """Return the folder that generated data are kept in."""
    return Path(config.cache) if config.cache else default_cache(os.environ, Path.home())


def run(
    config: RunConfig, target: Target, store: Store, architecture: Architecture, screen: Screen
) -> RunSummary:
    """Run the whole matrix and write its folder.

    A cell that fails is written as failed and the next one goes on. However the run ends, the
    manifest says how. The meter's process starts before this one is confined to the device's cores,
    so that it does not share them.
    """
    log = PhaseLog()
    accountant = Accountant(power_model(target), device_model(target, config, architecture))
    mean_predictor = mean_predictor_losses(store, config.tasks)
    with instruments(target, config.rate_hz, log) as meter:
        confine(target)
        bench = Bench(
            config, target, store, architecture, log, meter, accountant, mean_predictor,
            time.monotonic(),
        )  # fmt: skip
        started = dt.datetime.now(dt.timezone.utc)
        run_id = f"{started:%Y%m%d-%H%M%S}-{target.profile.name}-{config.digest()}"
        folder = RunFolder.create(Path(config.out), run_id)
        return _Run(bench, folder, run_id, started, screen).carry_out()


class _Run:
    """Hold the state of one run while it goes on."""

    def __init__(
        self,
        bench: Bench,
        folder: RunFolder,
        run_id: str,
        started: dt.datetime,
        screen: Screen,
    ) -> None:
        self._bench = bench
        self._folder = folder
        self._run_id = run_id
        self._screen = screen
        self._rows: list[dict[str, object]] = []
        self._reference: dict[tuple[int, int], dict[str, float]] = {}
        self._idle_w: float | None = None
        self._written = 0
        self._manifest: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "run_id": run_id,
            "status": "running",
            "created": started.isoformat(timespec="seconds"),
        }

    def carry_out(self) -> RunSummary:
        try:
            self._begin()
            self._prepare()
            self._cells()
            self._remember_idle("after", self._bench.instruments.idle(self._bench.config.idle_s))
            self._end("done")
        except KeyboardInterrupt:
            self._end("interrupted")
        except BaseException as error:
            with contextlib.suppress(HarnessError):  # the first failure is the one to report
                self._end("failed", reason=str(error).splitlines()[0] if str(error) else "")
            raise
        interrupted = self._manifest["status"] == "interrupted"
        return RunSummary(self._folder.path, self._rows, interrupted)

    def _begin(self) -> None:
        self._manifest |= describe_run(self._bench)
        self._folder.manifest(self._manifest)
        self._event("started")
        self._screen.run_started(self._folder.path)

    def _end(self, status: str, reason: str = "") -> None:
        self._manifest["status"] = status
        self._manifest["reason"] = reason
        self._manifest["meter"] = self._bench.instruments.describe()
        self._folder.manifest(self._manifest)
        self._write_run_phases()
        self._event(status, reason=reason)

    def _prepare(self) -> None:
        """Take the idle baseline, then warm up so that the first cell pays for nothing extra."""
        before = self._bench.instruments.idle(self._bench.config.idle_s)
        self._idle_w = idle_power_w(before)
        self._remember_idle("before", before)
        with self._bench.log.phase(Label("warm-up")):
            warm_up(self._bench)

    def _remember_idle(self, when: str, reading: Reading | None) -> None:
        idle = self._manifest.setdefault("idle", {})
        idle[f"{when}_w"] = idle_power_w(reading)

    def _cells(self) -> None:
        cells = matrix(self._bench.config)
        for number, cell in enumerate(cells, 1):
            self._screen.cell_started(cell, number, len(cells))
            self._event("cell started", cell=cell.name)
            result = self._judged(run_cell(self._bench, cell, self._screen.round_done))
            self._write(result)
            self._screen.cell_done(result)
            if result.status == "interrupted":
                raise KeyboardInterrupt

    def _judged(self, result: CellResult) -> CellResult:
        """Return the result, failed if a meter is required and gave no valid figure."""
        unmeasured = result.status == "done" and result.bill.energy_j is None
        if self._bench.config.require_meter and unmeasured:
            return replace(result, status="failed", reason=result.bill.energy_reason)
        return result

    def _write(self, result: CellResult) -> None:
        """Write a cell's own files first and its rows last, so that a row means all is there."""
        bench, folder, name = self._bench, self._folder, result.cell.name
        key = (result.cell.seed, result.cell.repeat)
        if result.cell.spec.name == REFERENCE and result.status == "done":
            self._reference[key] = result.losses
        delta = delta_mtl(result.losses, self._reference.get(key, {}))
        self._write_weights(result)
        self._write_trace(result)
        for file, text in affinity_files(result).items():
            folder.text(f"affinity/{file}", text)
        self._write_run_phases()
        folder.append("phases", PHASE_ROWS, phase_rows(self._run_id, result.figures, bench.zero_s))
        folder.append("metrics", METRICS, metric_rows(self._run_id, result, bench.mean_predictor))
        row = cell_row(bench, self._run_id, result, self._idle_w, delta)
        folder.append("cells", CELLS, [row])
        self._rows.append(row)
        self._event("cell done", cell=name, status=result.status, reason=result.reason)

    def _write_trace(self, result: CellResult) -> None:
        if not result.figures:
            return
        start, end = result.figures[0].segment.start_s, result.figures[-1].segment.end_s
        samples = self._bench.instruments.trace(start, end, self._bench.zero_s)
        if samples:
            file = f"traces/{result.cell.name}.csv.gz"
            self._folder.compressed(file, csv_text(TRACE, samples))

    def _write_weights(self, result: CellResult) -> None:
        for outcome in result.outcomes:
            tensors = {k: v.contiguous() for k, v in outcome.weights.tensors.items()}
            file = f"checkpoints/{result.cell.name}/{outcome.job.name}.safetensors"
            self._folder.binary(file, safetensors.torch.save(tensors))

    def _write_run_phases(self) -> None:
        """Write phases that belong to no cell and are not written yet."""
        bench = self._bench
        fresh = [s for s in bench.log.segments[self._written :] if not s.label.cell]
        self._written = len(bench.log.segments)
        if fresh:
            streams = bench.instruments.streams(fresh[-1].end_s)
            figures = [bench.accountant.figures(segment, streams) for segment in fresh]
            rows = phase_rows(self._run_id, figures, bench.zero_s)
            self._folder.append("phases", PHASE_ROWS, rows)

    def _event(self, what: str, **values: object) -> None:
        now = time.monotonic() - self._bench.zero_s
        self._folder.event(t_s=round(now, 3), event=what, **values)


def warm_up(bench: Bench) -> None:
    """Train one client of the merged model once, look-ahead included, and throw it away."""
    settings = replace(federation(bench.config), clients_per_round=1)
    LocalEngine(bench.source, bench.architecture, settings, 0, SilentObserver()).run(
        Job(bench.config.tasks, 1, measure_affinity=True)
    )
