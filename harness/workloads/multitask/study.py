"""Train the cells of a multi-task run, and tell what they came to."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from harness.core.errors import DataError, DivergedError
from harness.federated.keeping import Keeper
from harness.federated.observer import Observer, SilentObserver
from harness.federated.trainers import Trainers
from harness.measurement.cost import DeviceModel, GpuModel
from harness.measurement.memory import memory_errors
from harness.records.cells import CellReport, CellResult
from harness.workloads.multitask.codec import MultitaskCodec
from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.data.store import Store
from harness.workloads.multitask.federation import LocalEngine
from harness.workloads.multitask.job import Job
from harness.workloads.multitask.methods.registry import METHODS, MultitaskMethod
from harness.workloads.multitask.methods.schedule import Served, carry_out
from harness.workloads.multitask.methods.splitting_list import MERGE_ROUNDS
from harness.workloads.multitask.planning.calibration import RunTiming
from harness.workloads.multitask.planning.data_way import fill, source_brought
from harness.workloads.multitask.planning.modelling import device_model
from harness.workloads.multitask.planning.plan import cell_setting
from harness.workloads.multitask.planning.step_choice import StepChoice
from harness.workloads.multitask.planning.training_setup import TrainingSetup
from harness.workloads.multitask.report import Standing, cell_report, gains
from harness.workloads.multitask.settings import federation
from harness.workloads.multitask.sharing import JobLibrary
from harness.workloads.multitask.training.batches import Source


@dataclass(frozen=True)
class MultitaskStudy:
    """Train cells of multi-task models; implements `harness.workloads.base.Study`.

    `setup` has the batch size that is trained with, which may be smaller than the one asked for.
    """

    setup: TrainingSetup
    store: Store
    step: StepChoice
    timing: RunTiming
    constants: Mapping[str, Mapping[str, float]]
    launches: list[Counter[str]] = field(default_factory=list)
    """Steps of the present cell by how they were launched, if graphs are asked for."""

    codec = MultitaskCodec()

    @property
    def config(self) -> MultitaskConfig:
        """Return the configuration as it is trained."""
        return self.setup.config

    @property
    def threads(self) -> int:
        """Return the threads of a training step."""
        return self.step.threads

    def device_model(self) -> DeviceModel | GpuModel | None:
        """Return the time model of a device that is not the host; None if it is."""
        return device_model(self.setup.target, self.config, self.setup.network, self.timing.host)

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
        execution = self.setup.executed_here(self.step.execution)
        settings = replace(federation(self.config, execution), clients_per_round=1)
        engine = LocalEngine(self.source, self.setup.network, settings, 0, SilentObserver())
        with memory_errors():
            fill(self.source, self.config.tasks)
        with contextlib.suppress(DataError, DivergedError):
            engine.run(Job(self.config.tasks, 1, measure_affinity=True))

    def engine(
        self, seed: int, observer: Observer, keeper: Keeper, trainers: Trainers | None
    ) -> LocalEngine:
        """Return the engine of a cell."""
        settings = federation(self.config, self.step.execution)
        found = LocalEngine(
            self.source, self.setup.network, settings, seed, observer, keeper, trainers
        )
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
