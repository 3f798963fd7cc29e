"""Be the workload of multi-task models for one run: settle, open, train, report."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch

from devices.accelerator import GPU
from devices.host import usable_cores
from harness.core.errors import DataError, DivergedError
from harness.federated.keeping import Keeper
from harness.federated.observer import Observer, SilentObserver
from harness.federated.trainers import Trainers
from harness.measurement.cost import DeviceModel, GpuModel
from harness.measurement.memory import memory_errors
from harness.records.cells import CellReport, CellResult
from harness.running.core_sharing import sharing_cores
from harness.running.prepare import prepare_torch
from harness.running.target import Target
from harness.workloads.base import ComparesSteps, DataScreen, Expectation, PlanScreen, Settling
from harness.workloads.multitask.board import MultitaskBoardClients
from harness.workloads.multitask.codec import MultitaskCodec
from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.data.catalogue import SCENES
from harness.workloads.multitask.data.dataset import open_data_set
from harness.workloads.multitask.data.dealt import DealtStore
from harness.workloads.multitask.data.store import Store
from harness.workloads.multitask.federation import LocalEngine
from harness.workloads.multitask.job import Job
from harness.workloads.multitask.methods.registry import METHODS, MultitaskMethod
from harness.workloads.multitask.methods.schedule import Served, carry_out
from harness.workloads.multitask.methods.splitting_list import MERGE_ROUNDS
from harness.workloads.multitask.planning.calibration import RunTiming, recorded_timing, take_timing
from harness.workloads.multitask.planning.data_way import (
    choose_data_way,
    fill,
    source_brought,
)
from harness.workloads.multitask.planning.disk import results_bytes
from harness.workloads.multitask.planning.job_trial import try_jobs
from harness.workloads.multitask.planning.modelling import device_model, estimate
from harness.workloads.multitask.planning.plan import cell_setting, planned_run
from harness.workloads.multitask.planning.step_check import BoardExaminer, Examiner, checked
from harness.workloads.multitask.planning.step_choice import (
    StepChoice,
    choose_step,
    executed_here,
    known_choice,
    recorded_choice,
)
from harness.workloads.multitask.report import Standing, cell_report, gains
from harness.workloads.multitask.settings import federation, task_loss
from harness.workloads.multitask.sharing import JobLibrary
from harness.workloads.multitask.training.batches import Source
from harness.workloads.multitask.training.constants import constant_predictor_losses
from harness.workloads.multitask.training.feeding import pinning_fault
from models.execution import PLAIN
from models.multitask.network import Architecture
from models.multitask.registry import architecture


@dataclass(frozen=True)
class MultitaskDraft:
    """Hold how a run is trained on a host; implements `harness.workloads.base.Draft`.

    `earlier` is the manifest of the run to go on with, which step and timing were taken from, and
    `done` what need not be trained any more.
    """

    config: MultitaskConfig
    target: Target
    network: Architecture
    step: StepChoice
    timing: RunTiming
    earlier: Mapping[str, Any] = field(default_factory=dict)
    done: Mapping[str, float] = field(default_factory=dict)
    remote: bool = False

    def expected(self) -> Expectation:
        """Return what training and tests will take, of a run that goes on what is left of them."""
        config = self.step.applied_to(self.config)
        found = estimate(config, self.target, self.network, self.timing, self.done)
        whole_s = self.timing.calibration.time_s(planned_run(config))
        needed = results_bytes(self.config, self.network, whole_s)
        return Expectation(
            found.time_s, found.energy_model_j, found.disk_bytes, needed, found.time_model_s,
            self.timing.foreign_cores, rest=bool(self.done),
        )  # fmt: skip

    def own_step(self) -> StepChoice:
        """Return how steps are executed in a new run, which another run does not decide."""
        if recorded_choice(self.earlier) is None:
            return self.step
        return choose_step(self.config, self.target, self.network, remote=self.remote)

    def own_timing(self, step: StepChoice) -> RunTiming:
        """Return the timing of a new run, which is never another run's."""
        if recorded_timing(self.earlier) is None:
            return self.timing
        return _timed(self.config, self.target, self.network, step, remote=self.remote)

    def open(self, screen: PlanScreen) -> MultitaskData:
        """Open the data set, making it first if it is not in the cache, and check every file.

        A new run's way of executing steps is compared with plain fp32 then, on a real batch.

        Raises:
            DataError: if it cannot be made, does not fit the disk, or is damaged.
            UsageError: if the way that was asked for computes something else.
        """
        store = open_data(self.config, screen)
        if self.config.dealing:
            screen.say("Clients", self.config.dealing.words)
        if recorded_choice(self.earlier) is not None:
            return MultitaskData(self, store)
        step = self.checked(self.step, store)
        for words in step.refused:
            screen.say("Note", words)
        if step.batch and step.batch.lowered and step.batch != self.step.batch:
            screen.say("Memory", step.batch.words())
        if step.data is not None and not self.remote:
            screen.say("Images", step.data.words())
        if step.execution == self.step.execution:
            return MultitaskData(replace(self, step=step), store)
        screen.say("Step", step_words(step))
        timing = _timed(self.config, self.target, self.network, step, remote=self.remote)
        return MultitaskData(replace(self, step=step, timing=timing), store)

    def checked(self, step: StepChoice, store: Store) -> StepChoice:
        """Return the choice of a new run, another one if it computes something else.

        How data come to a GPU is chosen with it.
        """
        if self.config.board_python:  # which trains under another PyTorch
            return step
        config = step.applied_to(self.config)
        if self.remote:  # every device compares it on its own kernels, and nothing is kept here
            return replace(
                step, data=choose_data_way(config, self.target, store, None, pinning_fault)
            )
        with memory_errors(), sharing_cores(step.threads, self.target.accelerator.kind_here):
            found = checked(step, Examiner(config, self.network, store))
            if found.execution != step.execution and found.batch is not None:
                # another way takes other memory
                tried = try_jobs(config, self.target, self.network, found.execution, found.batch)
                found = replace(found, batch=tried)
        batch = found.batch
        way = choose_data_way(config, self.target, store, batch, pinning_fault)
        return replace(found, data=way)


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
        return MultitaskBoardClients(self.draft.config, self.store)

    def on_board(self, board: ComparesSteps) -> MultitaskData:
        """Return these data with steps as the board's own Python may execute them.

        A run that goes on was compared when it was begun, under the same PyTorch.

        Raises:
            StepRefusedError: if the way that was asked for computes something else there.
        """
        step = self.draft.step
        data = replace(self, elsewhere=BoardExaminer(step.applied_to(self.draft.config), board))
        if recorded_choice(self.draft.earlier) is not None:
            return data
        return replace(data, draft=replace(self.draft, step=data.checked(step)))

    def checked(self, step: StepChoice) -> StepChoice:
        """Return the choice of a new run, another one if it computes something else."""
        if self.elsewhere is not None:
            return checked(step, self.elsewhere)
        return self.draft.checked(step, self.store)

    def study(self, manifest: Mapping[str, Any]) -> MultitaskStudy:
        """Return the study, with what the manifest of a run that goes on tells."""
        draft = self.draft
        # all training labels are read for them: a run that goes on knows them already
        constants = recorded_constants(manifest) or constant_predictor_losses(
            self.store, draft.config.tasks, task_loss(draft.config, self.store)
        )
        step = recorded_choice(manifest) or self._own_step()
        torch.set_num_threads(step.threads)
        timing = recorded_timing(manifest) or draft.own_timing(step)
        return MultitaskStudy(
            step.applied_to(draft.config), draft.target, self.store, draft.network, step, timing,
            constants, remote=draft.remote,
        )  # fmt: skip

    def _own_step(self) -> StepChoice:
        step = self.draft.own_step()
        settled = step.checked or step.data is not None
        return step if settled else self.checked(step)


@dataclass(frozen=True)
class MultitaskStudy:
    """Train cells of multi-task models; implements `harness.workloads.base.Study`."""

    config: MultitaskConfig
    target: Target
    store: Store
    network: Architecture
    step: StepChoice
    timing: RunTiming
    constants: Mapping[str, Mapping[str, float]]
    launches: list[Counter[str]] = field(default_factory=list)
    """Steps of the present cell by how they were launched, if graphs are asked for."""
    remote: bool = False

    codec = MultitaskCodec()

    @property
    def threads(self) -> int:
        """Return the threads of a training step."""
        return self.step.threads

    def device_model(self) -> DeviceModel | GpuModel | None:
        """Return the time model of a device that is not the host; None if it is."""
        return device_model(self.target, self.config, self.network, self.timing.host)

    def describe(self) -> Mapping[str, Any]:
        """Return steps, timing, constants, data and merged rounds for the manifest."""
        store = self.store
        return {
            **self.timing.as_dict(),
            "step": self.step.as_dict(),
            "constants": self.constants,
            "data": {
                "name": store.name,
                "version": store.version,
                "protocol": store.description.protocol,
                "checksum": store.checksum,
                "clients": store.count("train"),
                "size_px": store.size_px,
                "label_skew": self.config.dealing.told() if self.config.dealing else None,
            },
            "merge": {
                spec.text: {"merge_rounds": spec.parameters(self.config.setting)["merge_rounds"]}
                for spec in self.config.method_specs()
                if MERGE_ROUNDS in METHODS[spec.name].parameters
            },
        }

    @cached_property
    def source(self) -> Source:
        """Return the data in the way they come to what trains."""
        return source_brought(self.store, self.step.data, self.config)

    def asked_config(self) -> MultitaskConfig:
        """Return the configuration as asked for, before memory lowered the batch."""
        return self.step.taken_from(self.config)

    def warm_up(self) -> None:
        """Train one client of the merged model once, look-ahead included, and throw it away.

        Broken data or a loss that explodes ends it early; the cells that meet them will say so.
        Data that stay on a GPU are brought there first, at the expense of no cell.
        """
        execution = executed_here(self.config, self.step.execution, remote=self.remote)
        settings = replace(federation(self.config, execution), clients_per_round=1)
        engine = LocalEngine(self.source, self.network, settings, 0, SilentObserver())
        with memory_errors():
            fill(self.source, self.config.tasks)
        with contextlib.suppress(DataError, DivergedError):
            engine.run(Job(self.config.tasks, 1, measure_affinity=True))

    def engine(
        self, seed: int, observer: Observer, keeper: Keeper, trainers: Trainers | None
    ) -> LocalEngine:
        """Return the engine of a cell."""
        settings = federation(self.config, self.step.execution)
        found = LocalEngine(self.source, self.network, settings, seed, observer, keeper, trainers)
        self.launches[:] = [found.launches]
        return found

    def carry_out(self, spec: MultitaskMethod, seed: int, engine: Any) -> Sequence[Served]:  # noqa: ANN401
        """Run a method's jobs one after another and return who serves which tasks."""
        return carry_out(spec.schedule(cell_setting(self.config, seed)), engine)

    def report(self, result: CellResult) -> CellReport:
        """Return losses, groups, measures, affinity and weights of a cell."""
        return cell_report(self, result)

    def gains(
        self, own: Mapping[str, Any], reference: Mapping[str, Any]
    ) -> Mapping[str, float | None]:
        """Return Δ of losses and of measures against the reference."""
        return gains(_standing(own), _standing(reference))

    def library(self) -> JobLibrary | None:
        """Return what shares jobs between the methods of a seed, if that is asked for."""
        return JobLibrary(federation(self.config)) if self.config.share_jobs else None


def _standing(plain: Mapping[str, Any]) -> Standing:
    return Standing(plain.get("losses", {}), plain.get("measures", {}))


def open_data(config: MultitaskConfig, screen: DataScreen) -> Store:
    """Open the data set, making it first if it is not in the cache, and check every file's hash.

    Raises:
        DataError: if it cannot be made, does not fit the disk, or is damaged.
    """
    scenes = config.scenes if config.data == SCENES else None
    store = open_data_set(
        config.data, scenes, config.cache_folder, screen.making_data, usable_cores()
    )
    return DealtStore(store, config.dealing) if config.dealing else store


def recorded_constants(manifest: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return the losses of constant predictors that a manifest tells of; none if it tells of none.

    Data, tasks and loss are what a run is recognised by, so these are still right.
    """
    try:
        return {
            str(name): {str(task): float(loss) for task, loss in losses.items()}
            for name, losses in manifest.get("constants", {}).items()
        }
    except (AttributeError, TypeError, ValueError, OverflowError, RecursionError):
        return {}


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
    network = architecture(config.model)
    prepare_torch(target.threads, target.accelerator.kind_here)
    with memory_errors(), sharing_cores(target.threads, target.accelerator.kind_here):
        step = _settled(config, target, network, manifest, settling, screen)
        prepare_torch(step.threads)
        timing = recorded_timing(manifest) or _timed(
            config, target, network, step, remote=settling.remote
        )
    return MultitaskDraft(
        config, target, network, step, timing, manifest, settling.done, settling.remote
    )


def _timed(
    config: MultitaskConfig,
    target: Target,
    network: Architecture,
    step: StepChoice,
    *,
    remote: bool,
) -> RunTiming:
    by_processor = not target.matches and target.modelled != GPU
    execution = executed_here(config, step.execution, remote=remote)
    return take_timing(step.applied_to(config), network, execution, models_device=by_processor)


def _settled(
    config: MultitaskConfig,
    target: Target,
    network: Architecture,
    manifest: Mapping[str, Any],
    settling: Settling,
    screen: PlanScreen,
) -> StepChoice:
    """Return how steps are executed and say so."""
    step = recorded_choice(manifest)
    if step is None and settling.dry:
        step = known_choice(config, target, remote=settling.remote)
        if step is None:
            screen.say("Step", "not calibrated yet: the estimate below is that of plain steps")
            return StepChoice(PLAIN, target.threads, config.step)
    if step is None:
        if settling.anew or known_choice(config, target, remote=settling.remote) is None:
            screen.say(
                "", "Timing training steps to find the fastest way here; later runs know it."
            )
        step = choose_step(config, target, network, anew=settling.anew, remote=settling.remote)
    _say(step, screen)
    if settling.remote and not step.plain:
        screen.say("", "Every device compares this with plain fp32 itself before it trains so.")
    return step


def _say(step: StepChoice, screen: PlanScreen) -> None:
    screen.say("Step", step_words(step))
    if step.batch and step.batch.lowered:
        screen.say("Memory", step.batch.words())
    if step.doubtful:
        screen.say(
            "Note",
            "other programs were at work while steps were timed, so the choice may not"
            " be the best and the number of threads was not judged: --calibrate times anew",
        )


def step_words(step: StepChoice) -> str:
    """Say how steps are executed, by how much that is faster than plain, and why it is so."""
    words = "plain" if step.plain else step.execution.text.replace("+", ", ")
    words += f", {step.threads} thread{'' if step.threads == 1 else 's'}"
    if step.gain is None:
        return f"{words} (nothing faster was looked for)"
    date = str(step.calibrated.get("made", ""))[:10]
    gain = f"{step.gain:.2f}× the speed of plain" if step.gain != 1.0 else "nothing is faster"
    return f"{words} ({gain}, by a calibration of {date}; manifest: step)"
