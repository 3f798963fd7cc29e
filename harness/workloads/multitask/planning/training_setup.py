"""Say what trains which network for a run, and choose there how its steps are executed.

Steps are executed as asked, or as a short calibration of this host found fastest. What was
calibrated is kept in the cache, by host, network and batch, so that the same command gives the same
numbers again; `--calibrate` measures anew.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any

from devices.board_counters import read_counters
from harness.core.clean_text import without_home
from harness.core.errors import StorageError, UsageError
from harness.measurement.memory import memory_errors
from harness.run_folder.results import json_text, write_atomically
from harness.running.accelerator import GPU
from harness.running.core_sharing import sharing_cores
from harness.running.target import Target
from harness.workloads.multitask.config import AUTO, MultitaskConfig
from harness.workloads.multitask.data.store import Store
from harness.workloads.multitask.planning.batch_fit import fit_batch
from harness.workloads.multitask.planning.calibration import RunTiming, take_timing
from harness.workloads.multitask.planning.data_way import choose_data_way
from harness.workloads.multitask.planning.job_trial import try_jobs
from harness.workloads.multitask.planning.step_cache import VERSION, facts_of, file_of, read_kept
from harness.workloads.multitask.planning.step_check import Examiner, checked
from harness.workloads.multitask.planning.step_choice import (
    BUSY_CORES,
    StepChoice,
    calibrated_choice,
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


@dataclass(frozen=True)
class TrainingSetup:
    """Hold which network is trained, by which configuration and for which target.

    With `remote` clients train on other devices, and here models are averaged and tested.
    """

    config: MultitaskConfig
    target: Target
    network: Architecture
    remote: bool = False

    def applied(self, step: StepChoice) -> TrainingSetup:
        """Return the setup with the batch size that a choice takes."""
        return replace(self, config=step.applied_to(self.config))

    def executed_here(self, execution: Execution) -> Execution:
        """Return how this process executes the steps that it takes itself, to time or warm up.

        Plain where other devices or the board's own Python train: another way is for those.
        """
        return PLAIN if self.remote or self.config.board_python else execution

    def known_choice(self) -> StepChoice | None:
        """Return the choice if nothing has to be measured for it: asked for, or kept from before.

        What other devices can do, each of them finds itself.

        Raises:
            UsageError: if what trains cannot do what is asked.
        """
        asked, threads = self.config.step, self.target.threads
        if asked != AUTO:
            return StepChoice(self._asked_for(), threads, asked)
        if self.config.board_python:  # ways are timed under this PyTorch alone
            return StepChoice(PLAIN, threads, asked)
        kept = read_kept(self.config, self.target)
        return None if kept is None else calibrated_choice(*kept)

    def _asked_for(self) -> Execution:
        """Return the way that is asked for by name.

        What the board's own PyTorch can do, it is asked itself before it trains.

        Raises:
            UsageError: if this processor or GPU cannot do it.
        """
        asked, accelerator = self.config.step, self.target.accelerator
        execution = parse_execution(asked)
        if self.remote or self.config.board_python:
            fault = execution.barred(gpu=self.remote or accelerator.is_gpu)
        else:
            fault = barred(execution, gpu=accelerator.kind_here == GPU)
        if fault:
            raise UsageError(f"--step {asked}: {fault}", "Use --step plain or --step auto.")
        return execution

    def choose(self, *, anew: bool = False) -> StepChoice:
        """Return the choice, measuring if it is not known; `anew` measures in any case.

        First the batch size is lowered if it does not fit the memory; on a GPU again if the largest
        jobs of the run do not, executed in the way chosen. Where the cache cannot be written the
        choice holds for this run alone.
        """
        config = self.config
        asked = PLAIN if config.step == AUTO else parse_execution(config.step)
        batch = fit_batch(config, self.target, self.network, self.executed_here(asked))
        measuring = anew and config.step == AUTO and not config.board_python
        while True:
            sized = replace(self, config=replace(config, batch_size=batch.taken))
            known = None if measuring else sized.known_choice()
            choice = known or sized.newly_calibrated()
            own = self.executed_here(choice.execution)
            found = try_jobs(sized.config, self.target, self.network, own, batch)
            if found.taken == batch.taken:
                return replace(choice, batch=found)
            batch = found  # of another batch another way may be the fastest

    def newly_calibrated(self) -> StepChoice:
        """Return the choice by a new calibration, and keep that for later runs."""
        calibrated = self.calibrate()
        path = file_of(self.config, self.target)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, (json_text(calibrated, 2) + "\n").encode())
        except (OSError, StorageError):
            return calibrated_choice(calibrated, "")
        return calibrated_choice(calibrated, without_home(str(path)))

    def calibrate(self) -> dict[str, Any]:
        """Time the ways on this host and return what was found, chosen and why, as plain values."""
        config, network = self.config, self.network
        before = read_counters()
        allowed = self.target.threads
        gpu = self.target.accelerator.kind_here == GPU
        ways = (PLAIN, *executions(gpu=gpu))
        timed = compare(network, config, [Way(e, allowed) for e in ways])
        foreign = read_counters().foreign_cores(before)
        best = fastest(timed)
        fewer: list[Timed] = []
        if not gpu and not config.threads and (foreign is None or foreign <= BUSY_CORES):
            counts = [allowed, *fewer_threads(allowed)]
            fewer = compare(network, config, [Way(best.way.execution, n) for n in counts])[1:]
        chosen = fastest([Timed(best.way, gains={"": [1.0]}), *fewer])
        return {
            "version": VERSION,
            "facts": facts_of(config, self.target),
            "made": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
            "execution": chosen.way.execution.text,
            "threads": chosen.way.threads,
            "gain": best.gain * chosen.gain,
            "margin": MARGIN,
            "foreign_cores": foreign,
            "candidates": [one.as_dict() for one in timed],
            "fewer_threads": [one.as_dict() for one in fewer],
        }

    def timed(self, step: StepChoice) -> RunTiming:
        """Time this host's steps as chosen, also for the model of another device if one is meant.

        A device with a GPU is modelled by its kernels, of which the processor's times say nothing.
        """
        by_processor = not self.target.matches and self.target.modelled != GPU
        execution = self.executed_here(step.execution)
        config = step.applied_to(self.config)
        return take_timing(config, self.network, execution, models_device=by_processor)

    def compared_with_plain(self, step: StepChoice, store: Store) -> StepChoice:
        """Return the choice of a new run, another one if it computes something else on its data.

        How data come to a GPU is chosen with it. Other devices compare it on their own kernels, and
        keep nothing here; the board's own Python does so under another PyTorch.

        Raises:
            StepRefusedError: if the way that was asked for by name computes something else.
        """
        if self.config.board_python:
            return step
        found = step if self.remote else self.applied(step)._compared_here(step, store)
        batch = None if self.remote else found.batch
        return replace(found, data=choose_data_way(store, self.config.tasks, self.target, batch))

    def _compared_here(self, step: StepChoice, store: Store) -> StepChoice:
        with memory_errors(), sharing_cores(step.threads, self.target.accelerator.kind_here):
            found = checked(step, Examiner(self.config, self.network, store))
            if found.execution == step.execution or found.batch is None:
                return found
            # another way takes other memory
            batch = try_jobs(self.config, self.target, self.network, found.execution, found.batch)
            return replace(found, batch=batch)


def fastest(timed: list[Timed]) -> Timed:
    """Return the way with the largest gain over the first, which stays unless it is clear."""
    return max((one for one in timed[1:] if one.clear), key=lambda one: one.gain, default=timed[0])
