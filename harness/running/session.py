"""Carry out a run: meter, idle baseline, warm-up, cells, and their files."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol

from harness.board_python.trainers import Board, board_of_run
from harness.config import RunConfig
from harness.core.errors import DamagedRunError, HarnessError
from harness.measurement.conditions import WARM_START
from harness.measurement.cooling import parse_cool_down
from harness.measurement.cost import Accountant
from harness.measurement.idle import IdlePower, read_idle
from harness.measurement.measuring import measuring
from harness.measurement.phases import PhaseLog
from harness.records.cells import Cell, CellReport, CellResult
from harness.records.cost import SegmentCost
from harness.records.phases import Label
from harness.records.values import Progress
from harness.run_folder.checkpoints import SUFFIX, CellCheckpoints
from harness.run_folder.recovery import RunPast
from harness.run_folder.repair import RESTORE, read_events, repair_tables
from harness.run_folder.resume import ClaimedFolder, Start, claim, read_manifest
from harness.run_folder.rows import RunFacts
from harness.run_folder.run_writer import RunWriter, Writing
from harness.run_folder.seal import seal
from harness.run_folder.sessions import (
    SAMPLES,
    RunSession,
    next_session,
    read_sessions,
    recorded,
    this_boot,
)
from harness.running.accelerator import settled_clock
from harness.running.between_cells import BetweenCells
from harness.running.cell import CellRecord, RunContext, run_cell
from harness.running.core_sharing import sharing_cores
from harness.running.gpu_memory import stops_when_full
from harness.running.identity import identity
from harness.running.limits import STOPPED_BY_USER, Budget, BudgetReachedError, Limits
from harness.running.manifest import describe_run
from harness.running.matrix import matrix, running_order
from harness.running.remote_clients import RemoteClients
from harness.running.spending import SpentMeter
from harness.running.target import Target, confine, power_model
from harness.workloads.base import Library, OpenedData
from harness.workloads.registry import find_workload


class RunDisplay(Protocol):
    """Show a run to people as it goes."""

    def run_started(self, path: Path, *, resumed: bool) -> None:
        """Show where results will be, and whether a run goes on there."""
        ...

    def note(self, text: str) -> None:
        """Show a sentence that people should know."""
        ...

    def cell_started(self, cell: Cell, number: int, total: int) -> None:
        """Show which cell begins."""
        ...

    def round_done(self, progress: Progress) -> None:
        """Show how far the cell is; called at most once a round."""
        ...

    def disturbed(self, flags: Sequence[str]) -> None:
        """Show what has disturbed the device lately, nothing included; called once a round."""
        ...

    def cell_done(self, result: CellResult, report: CellReport) -> None:
        """Show what came of a cell."""
        ...


@dataclass(frozen=True)
class RunSummary:
    """Hold what a run left behind; `stopped` is what ended it before its time, if anything did."""

    path: Path
    rows: list[dict[str, object]]
    stopped: Literal["", "user", "budget"] = ""
    reason: str = ""

    @property
    def done(self) -> list[dict[str, object]]:
        """Return the rows of cells that are done."""
        return [row for row in self.rows if row["status"] == "done"]

    @property
    def failed(self) -> list[dict[str, object]]:
        """Return the rows of cells that failed."""
        return [row for row in self.rows if row["status"] == "failed"]


def run(
    config: RunConfig,
    target: Target,
    opened: OpenedData,
    screen: RunDisplay,
    start: Start,
    limits: Limits,
    *,
    devices: RemoteClients | None = None,
) -> RunSummary:
    """Run the whole matrix, or what is left of it, and write its folder.

    A cell that fails is written as failed and the next one goes on. However the run ends, the
    manifest says how. The meter's process starts before this one is confined to the device's cores,
    so that it does not share them. With `devices` clients train there, not in this process.
    """
    log = PhaseLog(settled_clock(target.accelerator.kind_here))
    with (
        board_of_run(config, target, opened) as (board, data),
        claim(
            Path(config.out), _who(config, target, data, board), config.as_dict(), start
        ) as claimed,
    ):
        study = data.study(claimed.manifest)
        target = replace(target, threads=study.threads)
        past = _past(claimed, target)
        boot = this_boot()
        session = next_session(past.sessions, past.last_moment_s(), boot, time.monotonic())
        samples = claimed.folder.path / session.samples
        with measuring(
            target.meter, target.meter_reason, config.rate_hz, log, record=samples
        ) as measurement:
            measurement.accountant = Accountant(power_model(target), study.device_model())
            confine(target)
            context = RunContext(study, target, measurement, session.zero_s, devices, board)
            own = measurement.processes
            with sharing_cores(target.threads, target.accelerator.kind_here, own):
                return _Run(context, claimed, past, session, screen, limits).carry_out()


def _who(
    config: RunConfig, target: Target, opened: OpenedData, board: Board | None
) -> dict[str, Any]:
    """Return what the run is recognised by, with what trains if it is not this program."""
    facts = identity(config, target, opened.facts())
    return facts if board is None else {**facts, "trainer": board.words}


def _past(claimed: ClaimedFolder, target: Target) -> RunPast:
    """Return what earlier sessions left; torn last lines are cut off on the way."""
    path = claimed.folder.path
    try:
        sessions = read_sessions(claimed.manifest)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise DamagedRunError(
            f"{path / 'manifest.json'}: its sessions lack {error}", RESTORE
        ) from None
    read = cache(lambda session: recorded(path, session, target.meter))
    return RunPast(path, sessions, read_events(path), read)


class _Run:
    """Hold the state of one run while it goes on."""

    def __init__(
        self,
        context: RunContext,
        claimed: ClaimedFolder,
        past: RunPast,
        session: RunSession,
        screen: RunDisplay,
        limits: Limits,
    ) -> None:
        self._context = context
        self._config = context.study.config
        self._folder = claimed.folder
        self._note = claimed.note
        self._past = past
        self._session = session
        self._screen = screen
        self._budget = Budget(limits, time.monotonic, SpentMeter(context).spent)
        self._still_there = claimed.still_there
        self._manifest: dict[str, Any] = dict(read_manifest(self._folder.path))
        self._resumed = bool(past.sessions)
        self._idle = {
            int(s["number"]): read_idle(s.get("idle")) for s in self._manifest.get("sessions", [])
        }
        self._idle[session.number] = IdlePower()
        workload = find_workload(self._config.workload)
        facts = RunFacts(
            str(self._manifest["run_id"]), context.target.profile.name, context.target.matches,
            workload.name, workload.objective, context.session.describe,
        )  # fmt: skip
        self._segments = 0
        writing = Writing(facts, context.study, self._config.reference, self._between)
        self._writer = RunWriter(self._folder, writing, session, matrix(self._config))
        self._between_cells = BetweenCells(
            parse_cool_down(self._config.cool_down), context.target.accelerator, context.session
        )
        self._last_cell_s = 0.0
        self._library: Library | None = None

    def carry_out(self) -> RunSummary:
        stopped: Literal["", "user", "budget"] = ""
        reason = ""
        try:
            self._begin()
            self._cells()
            self._remember_idle("after")
            self._writer.settle(self._idle)
            self._end("done")
        except KeyboardInterrupt:
            stopped, reason = "user", STOPPED_BY_USER
            self._end("interrupted", reason)
        except BudgetReachedError as error:
            stopped, reason = "budget", str(error)
            self._end("interrupted", reason)
        except BaseException as error:
            with contextlib.suppress(HarnessError):  # the first failure is the one to report
                self._end("failed", reason=str(error).splitlines()[0] if str(error) else "")
            raise
        return RunSummary(self._folder.path, self._writer.rows, stopped, reason)

    def _begin(self) -> None:
        if not self._manifest.get("sessions"):
            self._manifest |= describe_run(self._context)
        self._manifest |= {"status": "running", "reason": ""}
        self._manifest.setdefault("sessions", []).append(self._session.as_dict())
        self._save_manifest()
        rows = repair_tables(self._folder.path)
        self._writer.take_up(rows, self._past.events)
        self._writer.event("resumed" if self._resumed else "started")
        if self._note:
            self._screen.note(self._note)
        if self._context.board is not None:
            self._screen.note(
                f"Clients train under {self._context.board.words}; the estimate was timed here."
            )
        self._screen.run_started(self._folder.path, resumed=self._resumed)

    def _end(self, status: str, reason: str = "") -> None:
        """Write what is still to be written; only then is a run done."""
        self._manifest |= {"status": status, "reason": reason}
        self._manifest["meter"] = self._context.session.describe()
        if self._context.devices is not None:
            self._manifest["fleet"] = self._context.devices.describe()
        if status != "done":
            self._save_manifest()
        self._writer.run_phases()
        self._writer.event(status, reason=reason)
        if status == "done":
            self._manifest["files"] = seal(self._folder.path)
            self._save_manifest()
            with contextlib.suppress(OSError):  # what belongs to cells is in their traces
                shutil.rmtree(self._folder.path / SAMPLES)

    def _save_manifest(self) -> None:
        own = self._idle[self._session.number].as_dict()
        self._manifest["sessions"][-1]["idle"] = own
        first = self._manifest["sessions"][0]["idle"]
        self._manifest["idle"] = {"before_w": first["before_w"], "after_w": own["after_w"]}
        self._folder.manifest(self._manifest)

    def _prepare(self) -> None:
        """Take the idle baseline, then warm up so that the first cell pays for nothing extra."""
        self._remember_idle("before")
        self._between_cells.begin()
        accelerator, options = self._context.target.accelerator, self._config.as_dict()
        with (
            self._context.session.log.phase(Label("warm-up")),
            stops_when_full(accelerator, options, "warm-up"),
        ):
            self._context.study.warm_up()

    def _remember_idle(self, when: Literal["before", "after"]) -> None:
        self._context.session.look(when, self._config.idle_s)
        self._idle[self._session.number] = self._context.session.idle
        self._save_manifest()

    def _cells(self) -> None:
        config = self._config
        cells = running_order(config)
        finished = {str(row["cell"]) for row in self._writer.rows}
        left = [cell for cell in cells if cell.name not in finished]
        block: tuple[int, int] | None = None
        if left:
            self._prepare()
        for cell in left:
            if block != (cell.seed, cell.repeat):
                block = cell.seed, cell.repeat
                self._library = self._context.study.library()
            warm = False
            if cell is not left[0]:
                self._budget.check()
                warm = not self._cool_down()
            self._still_there()
            self._screen.cell_started(cell, cells.index(cell) + 1, len(cells))
            result = self._one_cell(cell, warm=warm)
            if result.stops is not None:
                raise result.stops
            if result.status == "interrupted":
                self._budget.check()
                if result.reason != STOPPED_BY_USER:  # no device is left: it can go on later
                    raise BudgetReachedError(result.reason)
                raise KeyboardInterrupt

    def _one_cell(self, cell: Cell, *, warm: bool) -> CellResult:
        path = self._folder.path / "checkpoints" / (cell.name + SUFFIX)
        checkpoints = CellCheckpoints(path)
        past = self._past.cell(cell.name, checkpoints, self._context.accountant)
        if warm:
            past = replace(past, flags=(*past.flags, WARM_START))
        self._writer.event("cell started", cell=cell.name)
        record = CellRecord(
            checkpoints, past, self._session.number, self._round_done, self._check,
            self._screen.disturbed, self._library,
        )  # fmt: skip
        began_s = time.monotonic()
        result = self._judged(run_cell(self._context, cell, record))
        checkpoints.settle()
        self._last_cell_s = time.monotonic() - began_s
        if self._library is not None and result.status == "done":
            self._library.add(result.to_share())
        report = self._context.study.report(result)  # holds the weights: made once for all
        if report.notes:
            self._manifest.setdefault("cells", {})[cell.name] = dict(report.notes)
            self._save_manifest()
        self._writer.cell(result, report, past, self._idle)
        if result.status != "interrupted":
            checkpoints.remove()
        self._screen.cell_done(result, report)
        return result

    def _round_done(self, progress: Progress) -> None:
        """Show how far the cell is, and what is drawn now."""
        live = self._context.session.meters.now()
        if live is not None:
            progress = replace(progress, power_w=live.power_w, energy_j=live.energy_j)
        self._screen.round_done(progress)

    def _between(self) -> list[SegmentCost]:
        """Return the cost of what belongs to no cell and was not asked for yet."""
        context = self._context
        segments = context.session.log.segments
        fresh = [s for s in segments[self._segments :] if not s.label.cell]
        self._segments = len(segments)
        return context.session.costs(fresh)

    def _check(self) -> None:
        """Stop the cell at a round's end: the folder is gone, or a limit is reached."""
        self._still_there()
        self._budget.check()

    def _cool_down(self) -> bool:
        """Let the device cool down; say whether the next cell begins as the first one did."""
        between = self._between_cells
        if self._context.target.meter is None and between.how.auto:
            return True
        found = between.cool_down(self._last_cell_s)
        self._writer.event("cooled down", **between.recorded(found))
        return found.calm is not False

    def _judged(self, result: CellResult) -> CellResult:
        """Return the result, failed if a meter is required and gave no valid figure."""
        unmeasured = result.status == "done" and result.cost.energy_j is None
        if self._config.require_meter and unmeasured:
            return replace(result, status="failed", reason=result.cost.energy_reason)
        return result
