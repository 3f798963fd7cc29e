"""Carry out a run from plan to results: data, meter, idle baseline, warm-up, cells, files."""

from __future__ import annotations

import datetime as dt
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import save_file

from devices.energy import Reading
from devices.power_model import PowerModel
from devices.time_model import TimeModel
from harness.accounting import Accountant, DeviceModel
from harness.cell import Bench, Cell, CellResult, run_cell
from harness.config import RunConfig
from harness.data.dataset import default_cache, ensure_scenes, size_bytes
from harness.data.errors import DataError
from harness.data.store import Store
from harness.environment import command_line, environment
from harness.errors import SourceDataError
from harness.federated.evaluation import mean_predictor_losses
from harness.federated.job import Job
from harness.federated.local import LocalEngine
from harness.federated.observer import SilentObserver
from harness.federated.work import ENCODER
from harness.instruments import idle_power_w, instruments
from harness.phases import Label, PhaseLog
from harness.plan import Estimate, calibrate, planned_run
from harness.recorder import Progress
from harness.results import RunFolder, csv_text
from harness.rows import affinity_files, cell_row, delta_mtl, metric_rows, phase_rows
from harness.schema import CELLS, METRICS, PHASE_ROWS, SCHEMA_VERSION, TRACE
from harness.settings import federation
from harness.target import Target
from models.network import Architecture, build
from models.workload import forward_layers


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
    """Return the cells in the order in which they run: all methods of a seed, then the next."""
    return [
        Cell(spec, seed, repeat)
        for seed in config.seeds
        for repeat in range(config.repeats)
        for spec in config.method_specs()
    ]


def open_data(config: RunConfig, screen: Screen) -> Store:
    """Open the data set, making it first if it is not in the cache.

    Raises:
        SourceDataError: if it cannot be made, does not fit the disk, or is damaged.
    """
    workers = len(os.sched_getaffinity(0))
    try:
        return ensure_scenes(config.scenes, cache_folder(config), screen.making_data, workers)
    except DataError as error:
        raise SourceDataError(error.message, error.remedy) from error


def cache_folder(config: RunConfig) -> Path:
    """Return the folder that generated data are kept in."""
    return Path(config.cache) if config.cache else default_cache(os.environ, Path.home())


def prepare_torch(threads: int) -> None:
    """Fix the number of threads, on which sums and so the last bits of results depend."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)


def estimate(config: RunConfig, target: Target, architecture: Architecture) -> Estimate:
    """Time a few training steps and say what the whole run will take."""
    work = planned_run(config)
    seconds = calibrate(architecture, config).time_s(work)
    power = power_model(target)
    device = device_model(target, config, architecture)
    if device is None:
        joules = power.energy_on_host_j(seconds, seconds * target.threads)
    else:
        joules = power.energy_elsewhere_j(device.time_s(work))
    return Estimate(seconds, joules, size_bytes(config.scenes))


def power_model(target: Target) -> PowerModel:
    """Return the power model of the device; a generic host fills in its own cores."""
    return PowerModel.from_profile(target.profile, target.cores if target.matches else None)


def device_model(
    target: Target, config: RunConfig, architecture: Architecture
) -> DeviceModel | None:
    """Return the time model of a device that is not the host; None if it is."""
    if target.matches:
        return None

    model = TimeModel.from_profile(target.profile)
    net = build(architecture, config.tasks, 0).eval()
    images = torch.zeros(config.batch_size, 3, config.size, config.size)
    features = net.encoder(images).detach()
    layers = {ENCODER: forward_layers(net.encoder, images)} | {
        task: forward_layers(decoder, features) for task, decoder in net.decoders.items()
    }
    unit = {
        part: model.time_s((layer.flop, layer.bytes) for layer in found)
        for part, found in layers.items()
    }
    return DeviceModel(model, unit)


def run(
    config: RunConfig, target: Target, store: Store, architecture: Architecture, screen: Screen
) -> RunSummary:
    """Run the whole matrix and write its folder.

    A cell that fails is written as failed and the next one goes on; an interrupt ends the run with
    everything readable.
    """
    started = dt.datetime.now(dt.timezone.utc)
    run_id = f"{started:%Y%m%d-%H%M%S}-{target.profile.name}-{config.digest()}"
    folder = RunFolder.create(Path(config.out), run_id)
    log = PhaseLog()
    screen.run_started(folder.path)
    model = device_model(target, config, architecture)
    accountant = Accountant(power_model(target), model)
    with instruments(target, config.rate_hz, log) as meter:
        bench = Bench(
            config, target, store, architecture, log, meter, accountant,
            mean_predictor_losses(store, config.tasks), time.monotonic(),
        )  # fmt: skip
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
        self._manifest |= describe_run(self._bench)
        self._folder.manifest(self._manifest)
        self._event("started")
        interrupted = False
        try:
            self._prepare()
            self._cells()
            self._remember_idle("after", self._bench.instruments.idle(self._bench.config.idle_s))
        except KeyboardInterrupt:
            interrupted = True
        self._manifest["status"] = "interrupted" if interrupted else "done"
        self._manifest["meter"] = self._bench.instruments.describe()
        self._write_run_phases()
        self._folder.manifest(self._manifest)
        self._event(str(self._manifest["status"]))
        return RunSummary(self._folder.path, self._rows, interrupted)

    def _prepare(self) -> None:
        """Take the idle baseline, then warm up so that the first cell pays for nothing extra."""
        config = self._bench.config
        before = self._bench.instruments.idle(config.idle_s)
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
            result = run_cell(self._bench, cell, self._screen.round_done)
            self._write(result)
            self._screen.cell_done(result)
            if result.status == "interrupted":
                raise KeyboardInterrupt

    def _write(self, result: CellResult) -> None:
        bench, folder, name = self._bench, self._folder, result.cell.name
        key = (result.cell.seed, result.cell.repeat)
        if result.cell.spec.name == "independent" and result.status == "done":
            self._reference[key] = result.losses
        delta = delta_mtl(result.losses, self._reference.get(key, {}))
        row = cell_row(bench, self._run_id, result, self._idle_w, delta)
        self._write_run_phases()
        self._written = len(bench.log.segments)
        folder.append("phases", PHASE_ROWS, phase_rows(self._run_id, result.figures, bench.zero_s))
        folder.append("metrics", METRICS, metric_rows(self._run_id, result, bench.mean_predictor))
        if result.figures:
            start, end = result.figures[0].segment.start_s, result.figures[-1].segment.end_s
            samples = bench.instruments.trace(start, end, bench.zero_s)
            if samples:
                folder.compressed(f"traces/{name}.csv.gz", csv_text(TRACE, samples))
        for file, text in affinity_files(result).items():
            folder.text(f"affinity/{file}", text)
        self._write_weights(result)
        folder.append("cells", CELLS, [row])
        self._rows.append(row)
        self._event("cell done", cell=name, status=result.status, reason=result.reason)

    def _write_weights(self, result: CellResult) -> None:

        for outcome in result.outcomes:
            tensors = {k: v.contiguous() for k, v in outcome.weights.tensors.items()}
            self._folder.with_path(
                f"checkpoints/{result.cell.name}/{outcome.job.tasks}.safetensors",
                lambda path, t=tensors: save_file(t, path),  # type: ignore[misc]
            )

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
    """Train one client of the merged model once and throw it away."""
    settings = replace(federation(bench.config), clients_per_round=1)
    LocalEngine(bench.source, bench.architecture, settings, 0, SilentObserver()).run(
        Job(bench.config.tasks, 1)
    )


def describe_run(bench: Bench) -> dict[str, Any]:
    """Return what the manifest says before the first cell."""
    config, target, store = bench.config, bench.target, bench.source
    power = bench.accountant.power
    return {
        "command": command_line(),
        "quick": config.quick,
        "device": {"name": target.profile.name, "title": target.profile.title},
        **environment(target),
        "threads": target.threads,
        "meter": bench.instruments.describe(),
        "meter_reason": bench.instruments.reason,
        "energy_model": {
            "source": power.source, "idle_w": power.idle_w, "full_load_w": power.full_load_w,
            "cores": power.cores,
        },
        "time_model": None if bench.accountant.device is None else {
            "flop_per_s": target.profile.compute.flop_per_s,
            "flop_source": target.profile.compute.flop_source,
            "memory_bytes_per_s": target.profile.compute.memory_bytes_per_s,
            "memory_source": target.profile.compute.memory_source,
        },
        "data": {
            "name": config.data, "version": store.version, "checksum": store.checksum,
            "clients": config.clients, "size_px": config.size,
        },
        "config": config.as_dict(),
        "config_digest": config.digest(),
        "merge": {
            spec.text: {"merge_rounds": spec.parameters(config.setting)["merge_rounds"]}
            for spec in config.method_specs()
            if spec.name == "mas"
        },
    }  # fmt: skip
