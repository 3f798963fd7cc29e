"""Choose how a run executes its training steps: as asked, or by a short calibration of this host.

The choice holds for all cells of a run and stands in its manifest; a run that goes on keeps it.
What was calibrated is kept in the cache, by host, network and batch, so that the same command gives
the same numbers again; `--calibrate` measures anew.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from devices.board_counters import read_counters
from harness.core.clean_text import without_home
from harness.core.errors import StorageError, UsageError
from harness.run_folder.results import json_text, write_atomically
from harness.running.accelerator import GPU
from harness.running.target import Target
from harness.workloads.multitask.config import AUTO, MultitaskConfig
from harness.workloads.multitask.planning.batch_fit import BatchFit, fit_batch
from harness.workloads.multitask.planning.data_way import DataWay
from harness.workloads.multitask.planning.job_trial import try_jobs
from harness.workloads.multitask.planning.step_cache import (
    VERSION,
    facts_of,
    file_of,
    read_kept,
)
from harness.workloads.multitask.planning.step_timing import (
    MARGIN,
    Timed,
    Way,
    barred,
    compare,
    executions,
    fewer_threads,
)
from models.execution import PLAIN, Execution, parse_execution
from models.multitask.network import Architecture

BUSY_CORES = 0.25
"""With more work of others than this, the number of threads is not judged: fewer seem faster."""

COMPILATION = (
    "not used: compiling takes a C++ compiler and minutes on the device, anew for every group of"
    " tasks, which no run of this length gets back"
)


@dataclass(frozen=True)
class StepChoice:
    """Hold how steps are executed, on how many threads, and from what that follows.

    `calibrated` is what was measured, empty if nothing was; `file` keeps it for later runs. `batch`
    is the batch size taken; None as long as nobody asked whether it fits. `checked` is how far ways
    agreed with plain fp32 on a real batch; empty before that, and for plain steps. `data` is how
    images come to a GPU; None on a processor, and as long as the data are not opened.
    """

    execution: Execution
    threads: int
    asked: str
    calibrated: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""
    batch: BatchFit | None = None
    checked: Mapping[str, Any] = field(default_factory=dict)
    data: DataWay | None = None

    @property
    def refused(self) -> list[str]:
        """Return in words which ways were not taken as they compute something else."""
        return [
            f"{str(way['execution']).replace('+', ', ')} is not taken: under PyTorch"
            f" {self.checked['torch']} it {refusal(way)} ({way['fault']})"
            for way in self.checked.get("ways", ())
            if way["fault"]
        ]

    @property
    def plain(self) -> bool:
        """Say whether steps are executed the plain way."""
        return self.execution == PLAIN

    @property
    def gain(self) -> float | None:
        """Return by what the calibration found steps faster than the plain ones; None without."""
        gain = self.calibrated.get("gain")
        return None if gain is None else float(gain)

    @property
    def doubtful(self) -> bool:
        """Say whether other programs were at work while it was calibrated."""
        return float(self.calibrated.get("foreign_cores") or 0.0) > BUSY_CORES

    def applied_to(self, config: MultitaskConfig) -> MultitaskConfig:
        """Return a configuration with the batch size taken."""
        return replace(config, batch_size=self.batch.taken) if self.batch else config

    def taken_from(self, config: MultitaskConfig) -> MultitaskConfig:
        """Return a configuration with the batch size asked for."""
        return replace(config, batch_size=self.batch.asked) if self.batch else config

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "execution": self.execution.text,
            "threads": self.threads,
            "asked": self.asked,
            "calibrated": dict(self.calibrated) or None,
            "file": self.file,
            "compilation": COMPILATION,
            "batch": self.batch.as_dict() if self.batch else None,
            "checked": dict(self.checked) or None,
            **({"data": self.data.as_dict()} if self.data else {}),
        }


def refusal(way: Mapping[str, Any]) -> str:
    """Say in what a way that was looked at failed: in what it computes, or in computing at all."""
    compared = way.get("agreement")
    return "computes something else here" if compared else "cannot be executed here"


def recorded_choice(manifest: Mapping[str, Any]) -> StepChoice | None:
    """Return the choice that a manifest tells of; None if it tells of none."""
    told = manifest.get("step")
    if not isinstance(told, dict):
        return None
    try:
        return StepChoice(
            parse_execution(str(told["execution"])),
            int(told["threads"]),
            str(told["asked"]),
            told.get("calibrated") or {},
            str(told.get("file", "")),
            BatchFit(**told["batch"]) if told.get("batch") else None,
            _read_checks(told.get("checked")),
            DataWay(**told["data"]) if told.get("data") else None,
        )
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return None


def _read_checks(told: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return what a manifest tells of checks; empty if it tells of none.

    Raises:
        KeyError, TypeError: if it is nothing of the kind.
    """
    if not told:
        return {}
    return {
        "torch": str(told["torch"]),
        "ways": [
            {**way, "execution": str(way["execution"]), "fault": str(way["fault"])}
            for way in told["ways"]
        ],
    }


def known_choice(
    config: MultitaskConfig, target: Target, *, remote: bool = False
) -> StepChoice | None:
    """Return the choice if nothing has to be measured for it: asked for, or kept from before.

    What `remote` devices can do, each of them finds itself.

    Raises:
        UsageError: if what trains cannot do what is asked.
    """
    if config.board_python and config.step == AUTO:  # ways are timed under this PyTorch alone
        return StepChoice(PLAIN, target.threads, config.step)
    if config.step != AUTO:
        return StepChoice(_asked_for(config, target, remote=remote), target.threads, config.step)
    kept = read_kept(config, target)
    return None if kept is None else _from_calibration(*kept)


def _asked_for(config: MultitaskConfig, target: Target, *, remote: bool) -> Execution:
    """Return the way that is asked for by name.

    What the board's own PyTorch can do, it is asked itself before it trains.

    Raises:
        UsageError: if this processor or GPU cannot do it.
    """
    execution, accelerator = parse_execution(config.step), target.accelerator
    if remote or config.board_python:
        fault = execution.barred(gpu=remote or accelerator.is_gpu)
    else:
        fault = barred(execution, gpu=accelerator.kind_here == GPU)
    if fault:
        raise UsageError(f"--step {config.step}: {fault}", "Use --step plain or --step auto.")
    return execution


def choose_step(
    config: MultitaskConfig,
    target: Target,
    architecture: Architecture,
    *,
    anew: bool = False,
    remote: bool = False,
) -> StepChoice:
    """Return the choice, measuring if it is not known; `anew` measures in any case.

    First the batch size is lowered if it does not fit the memory; on a GPU again if the largest
    jobs of the run do not, executed in the way chosen. Where the cache cannot be written the choice
    holds for this run alone.
    """
    asked = PLAIN if config.step == AUTO else parse_execution(config.step)
    fixed = executed_here(config, asked, remote=remote)
    batch = fit_batch(config, target, architecture, fixed)
    measuring = anew and config.step == AUTO and not config.board_python
    while True:
        config = replace(config, batch_size=batch.taken)
        known = None if measuring else known_choice(config, target, remote=remote)
        choice = known or _calibrated_choice(config, target, architecture)
        own = executed_here(config, choice.execution, remote=remote)
        found = try_jobs(config, target, architecture, own, batch)
        if found.taken == batch.taken:
            return replace(choice, batch=found)
        batch = found  # of another batch another way may be the fastest


def _calibrated_choice(
    config: MultitaskConfig, target: Target, architecture: Architecture
) -> StepChoice:
    calibrated = calibrate_step(config, target, architecture)
    path = file_of(config, target)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (json_text(calibrated, 2) + "\n").encode())
    except (OSError, StorageError):
        return _from_calibration(calibrated, "")
    return _from_calibration(calibrated, without_home(str(path)))


def executed_here(
    config: MultitaskConfig, execution: Execution, *, remote: bool = False
) -> Execution:
    """Return how this process executes the steps that it takes itself, to time them or warm up.

    Where `remote` devices or the board's own Python train they are plain: another way is for those.
    """
    return PLAIN if remote or config.board_python else execution


def calibrate_step(
    config: MultitaskConfig, target: Target, architecture: Architecture
) -> dict[str, Any]:
    """Time the ways on this host and return what was found, chosen and why, as plain values."""
    before = read_counters()
    allowed = target.threads
    gpu = target.accelerator.kind_here == GPU
    ways = (PLAIN, *executions(gpu=gpu))
    timed = compare(architecture, config, [Way(e, allowed) for e in ways])
    foreign = read_counters().foreign_cores(before)
    best = fastest(timed)
    fewer: list[Timed] = []
    if not gpu and not config.threads and (foreign is None or foreign <= BUSY_CORES):
        counts = [allowed, *fewer_threads(allowed)]
        fewer = compare(architecture, config, [Way(best.way.execution, n) for n in counts])[1:]
    chosen = fastest([Timed(best.way, gains={"": [1.0]}), *fewer])
    return {
        "version": VERSION,
        "facts": facts_of(config, target),
        "made": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        "execution": chosen.way.execution.text,
        "threads": chosen.way.threads,
        "gain": best.gain * chosen.gain,
        "margin": MARGIN,
        "foreign_cores": foreign,
        "candidates": [one.as_dict() for one in timed],
        "fewer_threads": [one.as_dict() for one in fewer],
    }


def fastest(timed: list[Timed]) -> Timed:
    """Return the way with the largest gain over the first, which stays unless it is clear."""
    return max((one for one in timed[1:] if one.clear), key=lambda one: one.gain, default=timed[0])


def _from_calibration(calibrated: Mapping[str, Any], file: str) -> StepChoice:
    execution = parse_execution(str(calibrated["execution"]))
    return StepChoice(execution, int(calibrated["threads"]), AUTO, calibrated, file)
