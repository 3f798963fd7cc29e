"""Carry out inference over a run: export, judge and measure its models, and write what came of it.

A cell whose models cannot be used, or a measurement that fails, becomes a row that says why; the
others go on. Rows are written as they come, so the same command goes on after a stop.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from harness.core.errors import (
    DamagedRunError,
    HarnessError,
    InferenceFailedError,
    MemoryExceededError,
)
from harness.core.schema import TRACE
from harness.evidence.tables import Row
from harness.measurement.cost import Accountant
from harness.measurement.idle import net_energy
from harness.measurement.live import LivePower
from harness.measurement.measuring import measuring
from harness.measurement.memory import memory_errors
from harness.measurement.phases import PhaseLog
from harness.records.phases import Label
from harness.run_folder.lock import run_lock
from harness.run_folder.results import csv_text
from harness.run_folder.rows import phase_rows
from harness.running.prepare import prepare_torch
from harness.running.target import confine, power_model
from harness.workloads.multitask.inference.accuracy import calibration_batches, test_images
from harness.workloads.multitask.inference.deployment import Deployment, Model, deployment
from harness.workloads.multitask.inference.exports import Exports
from harness.workloads.multitask.inference.files import InferenceFiles, key
from harness.workloads.multitask.inference.measuring import (
    Ready,
    Variant,
    WindowMeter,
    WindowTask,
    subject,
    tasks_of,
)
from harness.workloads.multitask.inference.plan import (
    Asked,
    describe,
    find_abilities,
    identity,
    window_lengths,
)
from harness.workloads.multitask.inference.preparing import Workshop, accuracy_rows, make_ready
from harness.workloads.multitask.inference.providers import CPU, PROVIDERS
from harness.workloads.multitask.inference.settings import (
    SINGLE_STREAM,
)
from harness.workloads.multitask.planning.calibration import recorded_timing
from harness.workloads.multitask.planning.modelling import device_model
from harness.workloads.multitask.settings import task_loss
from models.multitask.onnx_export import FORMAT

QUERY_IMAGES = 64
"""Test images that queries are asked with, at most; they are laid out in memory beforehand."""


class InferenceDisplay(Protocol):
    """Show to people how inference goes."""

    def plan(self, windows: int, left: int, seconds: float, missing: Mapping[str, str]) -> None:
        """Show what will be measured, how long that takes at least, and what is not there."""
        ...

    def preparing(self, cell: str) -> None:
        """Show whose models are exported and judged."""
        ...

    def placed(self, what: str, words: str) -> None:
        """Show which nodes of a graph a provider has, and which it has not."""
        ...

    def failed(self, what: str, error: HarnessError) -> None:
        """Show what cannot be measured, and why."""
        ...

    def measuring(self, number: int, total: int, what: str, live: LivePower | None = None) -> None:
        """Show which measurement begins."""
        ...

    def measured(self, row: Mapping[str, Any]) -> None:
        """Show what disturbed a measurement, if anything did."""
        ...


@dataclass(frozen=True)
class InferenceSummary:
    """Hold what came of it: all rows of the table, what failed, and whether the user stopped it."""

    rows: Sequence[dict[str, Any]]
    failures: int
    measured: int
    stopped: bool = False


def infer(asked: Asked, screen: InferenceDisplay) -> InferenceSummary:
    """Measure all that is asked for and is not there yet.

    Raises:
        BusyError: if the run is going on, or inference over it.
        UsageError: if what is there was measured in another way.
        DamagedRunError: if what is there cannot be read.
    """
    folder = asked.run.folder
    timing = recorded_timing(asked.run.manifest)  # the run's own: its figures then agree
    accountant = Accountant(
        power_model(asked.target),
        device_model(
            asked.target, asked.config, asked.architecture, timing.host if timing else None
        ),
    )
    with run_lock(folder), contextlib.ExitStack() as stack:
        files = InferenceFiles(folder)
        if asked.settings.fresh:
            files.clear()
        measured = stack.enter_context(
            measuring(
                asked.target.meter, asked.target.meter_reason, asked.config.rate_hz, PhaseLog()
            )
        )
        measured.accountant = accountant
        lengths = window_lengths(asked.settings, measured)
        told = identity(asked, lengths)
        kept = files.take_up(told)
        confine(asked.target)
        images = test_images(asked.store, QUERY_IMAGES)
        windows = WindowMeter(asked.target, measured, images, lengths, asked.config.model)
        zero_s = time.monotonic() - kept.end_s
        session = _Session(asked, windows, files, screen, zero_s)
        session.take_up(kept.rows, kept.starts, told)
        return session.carry_out()


class _Session:
    """Hold the state of one start of the command."""

    def __init__(
        self,
        asked: Asked,
        windows: WindowMeter,
        files: InferenceFiles,
        screen: InferenceDisplay,
        zero_s: float,
    ) -> None:
        self._asked = asked
        self._windows = windows
        self._session = windows.session
        self._files = files
        self._screen = screen
        self._zero_s = zero_s
        self._rows: list[dict[str, Any]] = []
        self._own: list[dict[str, Any]] = []
        self._failures = 0
        self._manifest: dict[str, Any] = {}
        self._segments = 0
        self._starts = 1
        self._able = find_abilities(asked)

    def take_up(self, rows: Sequence[dict[str, Any]], starts: int, told: Mapping[str, Any]) -> None:
        """Go on from the rows of earlier starts, and write what is known beforehand."""
        self._rows = [dict(row) for row in rows]
        self._starts = starts + 1
        self._manifest = describe(self._asked, self._windows, self._able, told, self._starts)
        self._save("running")

    def carry_out(self) -> InferenceSummary:
        """Measure, and say in the manifest how that ended."""
        stopped = False
        try:
            self._all_seeds()
            self._settle()
            self._save("done")
        except KeyboardInterrupt:
            stopped = True
            self._finish_files()
            self._save("interrupted", "stopped by the user")
        except BaseException as error:
            with contextlib.suppress(HarnessError):  # the first failure is the one to report
                self._finish_files()
                self._save("failed", str(error).splitlines()[0] if str(error) else "")
            raise
        return InferenceSummary(self._rows, self._failures, len(self._own), stopped)

    def _all_seeds(self) -> None:
        deployments = list(self._deployments())
        able, batches = self._able, self._asked.settings.batches
        tasks = {d.cell: tasks_of(d, able.variants, able.threads, batches) for d in deployments}
        there = {key(row) for row in self._rows}
        left = {
            d.cell: [t for t in tasks[d.cell] if key(subject(d, t)) not in there]
            for d in deployments
        }
        self._plan(sum(map(len, tasks.values())), sum(map(len, left.values())))
        self._say_missing(deployments)
        if not any(left.values()):
            return
        shop = self._workshop()
        prepare_torch(self._asked.target.threads)
        self._remember_idle("before")
        for seed in dict.fromkeys(d.seed for d in deployments):
            ready = [
                (made, left[d.cell])
                for d in deployments
                if d.seed == seed and left[d.cell] and (made := self._ready(shop, d)) is not None
            ]
            self._one_seed(ready, seed)
        self._remember_idle("after")

    def _deployments(self) -> Iterator[Deployment]:
        for row in self._asked.cells:
            found = self._deployment(row)
            if found is not None:
                yield found

    def _deployment(self, row: Row) -> Deployment | None:
        try:
            return deployment(self._asked.run, row)
        except DamagedRunError as error:
            self._fail_cell(row, error)
            return None

    def _plan(self, windows: int, left: int) -> None:
        lengths = self._windows.lengths
        seconds = left * (lengths.window_s + lengths.warm_up_s)
        self._screen.plan(windows, left, seconds, self._able.missing)

    def _say_missing(self, deployments: Sequence[Deployment]) -> None:
        """Write a failed row for every provider that was asked for by name and is not there."""
        for name in self._asked.settings.providers:
            if name not in self._able.missing:
                continue
            for d in deployments:
                for precision in self._asked.settings.precisions:
                    variant = Variant("onnxruntime", precision, name)
                    task = WindowTask(variant, SINGLE_STREAM, max(self._able.threads), 1)
                    self._append_failed(subject(d, task), self._able.missing[name])

    def _workshop(self) -> Workshop:
        asked = self._asked
        quantised = any(v.precision == "int8" for v in self._able.variants)
        images = asked.settings.calibration_images if quantised else 0
        software = self._manifest["software"]
        versions = ", ".join(f"{n} {software[n]}" for n in ("torch", "onnx", "onnxruntime"))
        return Workshop(
            asked.architecture, task_loss(asked.config, asked.store), asked.store,
            Exports(self._files.folder, FORMAT), calibration_batches(asked.store, images),
            asked.target.threads, versions,
        )  # fmt: skip

    def _ready(self, shop: Workshop, d: Deployment) -> Ready | None:
        """Return a cell's models; None if they cannot be used, which is written down."""
        self._screen.preparing(d.cell)
        try:
            with self._session.log.phase(Label("evaluate", d.cell)), memory_errors():
                ready = make_ready(shop, d, self._able.variants)
        except (DamagedRunError, InferenceFailedError, MemoryExceededError) as error:
            self._fail_cell({"cell": d.cell, "method": d.method, "seed": d.seed,
                             "repeat": d.repeat, "tasks": d.tasks}, error)  # fmt: skip
            return None
        finally:
            self._write_phases()
        for (job, variant), placement in ready.placements.items():
            if placement.asked != PROVIDERS[CPU]:
                self._screen.placed(f"{d.cell}, {job}, {variant}", placement.words)
        rows = accuracy_rows(self._asked.run.run_id, ready, self._able.variants)
        self._files.accuracy(rows)
        return ready

    def _one_seed(self, ready: Sequence[tuple[Ready, Sequence[WindowTask]]], seed: int) -> None:
        """Measure all cells of a seed in an order drawn from it, so that no method is first."""
        pairs = [(made, task) for made, tasks in ready for task in tasks]
        random.Random(seed).shuffle(pairs)
        for number, (made, task) in enumerate(pairs, 1):
            what = f"{made.deployment.method}, {_words(task)}"
            live = self._session.meters.now()
            self._screen.measuring(number, len(pairs), what, live)
            self._one(made, task)

    def _one(self, made: Ready, task: WindowTask) -> None:
        about = subject(made.deployment, task)
        reason = made.failed.get(task.variant.name)
        if reason is not None:
            self._append_failed(about, reason)
            return
        try:
            with memory_errors():
                row = self._windows.measure(made, task, self._zero_s)
        except (InferenceFailedError, MemoryExceededError) as error:
            self._append_failed(about, error.message)
            return
        finally:
            self._write_phases()
        row = self._common() | row
        self._own.append(row)
        self._rows.append(row)
        self._net(row)
        self._files.append(row)
        self._screen.measured(row)

    def _common(self) -> dict[str, Any]:
        target = self._asked.target
        return {
            "run_id": self._asked.run.run_id,
            "device": target.profile.name,
            "host_matches_device": target.matches,
        }

    def _append_failed(self, about: Mapping[str, Any], reason: str) -> None:
        self._failures += 1
        row = self._common() | dict(about) | {"status": "failed", "reason": reason}
        self._rows.append(row)
        self._files.append(row)

    def _fail_cell(self, row: Mapping[str, Any], error: HarnessError) -> None:
        self._screen.failed(str(row["cell"]), error)
        known = {k: row[k] for k in ("cell", "method", "seed", "repeat", "tasks")}
        self._append_failed({**_NOTHING, **known}, error.message)

    def _net(self, row: dict[str, Any]) -> None:
        """Fill in what idle power decides."""
        net_j, error_j = net_energy(
            row["energy_j"], row["energy_error_j"], {0: row["time_s"]}, {0: self._session.idle}
        )
        each = None if net_j is None else net_j / row["images"]
        row |= {"energy_net_j": net_j, "energy_net_error_j": error_j,
                "energy_net_per_image_j": each}  # fmt: skip

    def _remember_idle(self, when: Literal["before", "after"]) -> None:
        self._session.look(when, self._asked.config.idle_s)

    def _settle(self) -> None:
        """Fill in net energy with both looks at idle power, and put the rows in order."""
        for row in self._own:
            self._net(row)
        self._finish_files()
        self._files.rewrite(self._rows)

    def _finish_files(self) -> None:
        self._write_phases()
        self._write_trace()

    def _write_phases(self) -> None:
        fresh = self._session.log.segments[self._segments :]
        self._segments += len(fresh)
        if fresh:
            figures = self._session.costs(fresh)
            self._files.phases(phase_rows(self._asked.run.run_id, figures, self._zero_s))

    def _write_trace(self) -> None:
        segments = self._session.log.segments
        if segments:
            samples = self._session.trace(segments[0].start_s, segments[-1].end_s, self._zero_s)
            if samples:
                name = f"inference/traces/{self._starts}.csv.gz"
                self._files.folder.compressed(name, csv_text(TRACE, samples))

    def _save(self, status: str, reason: str = "") -> None:
        self._manifest |= {
            "status": status,
            "reason": reason,
            "failures": self._failures,
            "meter": self._session.describe(),
            "idle": self._session.idle.as_dict(),
        }
        self._files.manifest(self._manifest)


_NOTHING: Mapping[str, Any] = {
    "job": "", "models": None, "runtime": "", "precision": "", "provider": "", "scenario": "",
    "threads": None, "batch_size": None,
}  # fmt: skip
"""What a row says of itself if a whole cell failed."""


def _words(task: WindowTask) -> str:
    """Return a measurement in words."""
    what = f"model {task.model.job}" if isinstance(task.model, Model) else "all tasks"
    size = "" if task.scenario == SINGLE_STREAM else f" of {task.batch_size}"
    threads = f"{task.threads} thread{'' if task.threads == 1 else 's'}"
    return f"{what}, {task.variant.name}, {task.scenario}{size}, {threads}"
