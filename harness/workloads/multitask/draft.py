"""Settle how a run of multi-task models is trained, say so, and open its data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from harness.measurement.memory import memory_errors
from harness.running.core_sharing import sharing_cores
from harness.running.prepare import prepare_torch
from harness.running.target import Target
from harness.workloads.base import Expectation, PlanScreen, Settling
from harness.workloads.multitask.board import MultitaskBoardClients
from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.data.dataset import open_data
from harness.workloads.multitask.data.store import Store
from harness.workloads.multitask.planning.calibration import RunTiming, recorded_timing
from harness.workloads.multitask.planning.disk import results_bytes
from harness.workloads.multitask.planning.modelling import estimate
from harness.workloads.multitask.planning.plan import planned_run
from harness.workloads.multitask.planning.step_check import BoardExaminer, checked
from harness.workloads.multitask.planning.step_choice import StepChoice, recorded_choice
from harness.workloads.multitask.planning.training_setup import TrainingSetup
from harness.workloads.multitask.settings import task_loss
from harness.workloads.multitask.study import MultitaskStudy
from harness.workloads.multitask.training.constants import (
    constant_predictor_losses,
    recorded_constants,
)
from harness.workloads.on_board import ComparesSteps
from models.execution import PLAIN
from models.multitask.registry import architecture


@dataclass(frozen=True)
class MultitaskDraft:
    """Hold how a run is trained on a host; implements `harness.workloads.base.Draft`.

    `earlier` is the manifest of the run to go on with, which step and timing were taken from, and
    `done` what need not be trained any more.
    """

    setup: TrainingSetup
    step: StepChoice
    timing: RunTiming
    earlier: Mapping[str, Any] = field(default_factory=dict)
    done: Mapping[str, float] = field(default_factory=dict)

    def expected(self) -> Expectation:
        """Return what training and tests will take, of a run that goes on what is left of them."""
        asked, taken = self.setup.config, self.setup.applied(self.step).config
        target, network = self.setup.target, self.setup.network
        found = estimate(taken, target, network, self.timing, self.done)
        whole_s = self.timing.calibration.time_s(planned_run(taken))
        needed = results_bytes(asked, network, whole_s)
        return Expectation(
            found.time_s, found.energy_model_j, found.disk_bytes, needed, found.time_model_s,
            self.timing.foreign_cores, rest=bool(self.done),
        )  # fmt: skip

    def own_step(self) -> StepChoice:
        """Return how steps are executed in a new run, which another run does not decide."""
        return self.step if recorded_choice(self.earlier) is None else self.setup.choose()

    def own_timing(self, step: StepChoice) -> RunTiming:
        """Return the timing of a new run, which is never another run's."""
        return self.timing if recorded_timing(self.earlier) is None else self.setup.timed(step)

    def open(self, screen: PlanScreen) -> MultitaskData:
        """Open the data set, making it first if it is not in the cache, and check every file.

        A new run's way of executing steps is compared with plain fp32 then, on a real batch.

        Raises:
            DataError: if it cannot be made, does not fit the disk, or is damaged.
            UsageError: if the way that was asked for computes something else.
        """
        config = self.setup.config
        store = open_data(config, screen)
        if config.dealing:
            screen.say("Clients", config.dealing.words)
        if recorded_choice(self.earlier) is not None:
            return MultitaskData(self, store)
        step = self.setup.compared_with_plain(self.step, store)
        for words in step.refused:
            screen.say("Note", words)
        if step.batch and step.batch.lowered and step.batch != self.step.batch:
            screen.say("Memory", step.batch.words())
        if step.data is not None and not self.setup.remote:
            screen.say("Images", step.data.words())
        if step.execution == self.step.execution:
            return MultitaskData(replace(self, step=step), store)
        screen.say("Step", step.words())
        return MultitaskData(replace(self, step=step, timing=self.setup.timed(step)), store)


@dataclass(frozen=True)
class MultitaskData:
    """Hold a draft and its data; implements `harness.workloads.base.OpenedData`."""

    draft: MultitaskDraft
    store: Store
    elsewhere: BoardExaminer | None = None
    """What compares ways of executing steps if another Python trains."""

    def facts(self) -> Mapping[str, Any]:
        """Return what a run is recognised by."""
        return {"data": self.store.checksum, "torch": str(torch.__version__)}

    @property
    def clients(self) -> int:
        """Return how many clients the data have."""
        return self.store.count("train")

    def for_board(self) -> MultitaskBoardClients:
        """Return what the board's own Python needs to train these clients."""
        return MultitaskBoardClients(self.draft.setup.config, self.store)

    def on_board(self, board: ComparesSteps) -> MultitaskData:
        """Return these data with steps as the board's own Python may execute them.

        A run that goes on was compared when it was begun, under the same PyTorch.

        Raises:
            StepRefusedError: if the way that was asked for computes something else there.
        """
        step = self.draft.step
        config = self.draft.setup.applied(step).config
        data = replace(self, elsewhere=BoardExaminer(config, board))
        if recorded_choice(self.draft.earlier) is not None:
            return data
        return replace(data, draft=replace(self.draft, step=data.checked(step)))

    def checked(self, step: StepChoice) -> StepChoice:
        """Return the choice of a new run, another one if it computes something else."""
        if self.elsewhere is not None:
            return checked(step, self.elsewhere)
        return self.draft.setup.compared_with_plain(step, self.store)

    def study(self, manifest: Mapping[str, Any]) -> MultitaskStudy:
        """Return the study, with what the manifest of a run that goes on tells."""
        draft, config = self.draft, self.draft.setup.config
        # all training labels are read for them: a run that goes on knows them already
        constants = recorded_constants(manifest) or constant_predictor_losses(
            self.store, config.tasks, task_loss(config, self.store)
        )
        step = recorded_choice(manifest) or self._own_step()
        torch.set_num_threads(step.threads)
        timing = recorded_timing(manifest) or draft.own_timing(step)
        return MultitaskStudy(draft.setup.applied(step), self.store, step, timing, constants)

    def _own_step(self) -> StepChoice:
        step = self.draft.own_step()
        settled = step.checked or step.data is not None
        return step if settled else self.checked(step)


def draft(
    config: MultitaskConfig,
    target: Target,
    manifest: Mapping[str, Any],
    settling: Settling,
    screen: PlanScreen,
) -> MultitaskDraft:
    """Settle how steps are executed and time them; a dry run measures no more than that.

    Raises:
        MemoryExceededError: if even the smallest batch does not fit.
    """
    setup = TrainingSetup(config, target, architecture(config.model), settling.remote)
    prepare_torch(target.threads, target.accelerator.kind_here)
    with memory_errors(), sharing_cores(target.threads, target.accelerator.kind_here):
        step = _settled(setup, manifest, settling, screen)
        prepare_torch(step.threads)
        timing = recorded_timing(manifest) or setup.timed(step)
    return MultitaskDraft(setup, step, timing, manifest, settling.done)


def _settled(
    setup: TrainingSetup, manifest: Mapping[str, Any], settling: Settling, screen: PlanScreen
) -> StepChoice:
    """Return how steps are executed and say so."""
    step = recorded_choice(manifest)
    if step is None and settling.dry:
        step = setup.known_choice()
        if step is None:
            screen.say("Step", "not calibrated yet: the estimate below is that of plain steps")
            return StepChoice(PLAIN, setup.target.threads, setup.config.step)
    if step is None:
        if settling.anew or setup.known_choice() is None:
            screen.say(
                "", "Timing training steps to find the fastest way here; later runs know it."
            )
        step = setup.choose(anew=settling.anew)
    _say(step, screen)
    if settling.remote and not step.plain:
        screen.say("", "Every device compares this with plain fp32 itself before it trains so.")
    return step


def _say(step: StepChoice, screen: PlanScreen) -> None:
    screen.say("Step", step.words())
    if step.batch and step.batch.lowered:
        screen.say("Memory", step.batch.words())
    if step.doubtful:
        screen.say(
            "Note",
            "other programs were at work while steps were timed, so the choice may not"
            " be the best and the number of threads was not judged: --calibrate times anew",
        )
