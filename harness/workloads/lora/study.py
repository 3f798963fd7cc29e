"""Be the workload of fine-tuning for one run: settle, open, train, report."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from harness.core.errors import DataError, DivergedError, StepRefusedError
from harness.federated.keeping import Keeper
from harness.federated.observer import Observer, SilentObserver
from harness.federated.trainers import Trainers
from harness.measurement.cost import DeviceModel
from harness.measurement.memory import memory_errors
from harness.records.cells import CellReport, CellResult
from harness.running.prepare import prepare_torch
from harness.running.target import Target, power_model
from harness.workloads.base import DataScreen, Expectation, PlanScreen, Settling
from harness.workloads.lora import timing
from harness.workloads.lora.aggregation.adapters import check_rank, numbers
from harness.workloads.lora.base.opening import OpenedModel, open_corpus, open_model
from harness.workloads.lora.codec import LoraCodec
from harness.workloads.lora.config import LoraConfig
from harness.workloads.lora.data.corpus import Corpus
from harness.workloads.lora.federation import FineTuningEngine, FineTuningSetting, FineTuningTask
from harness.workloads.lora.job import FineTuning
from harness.workloads.lora.judging import judge_state
from harness.workloads.lora.memory import Forecast, forecast
from harness.workloads.lora.methods import METHODS, LoraSpec
from harness.workloads.lora.report import cell_report
from harness.workloads.lora.rules import Fitting
from harness.workloads.lora.training import LocalTraining


def local_training(config: LoraConfig, precision: str = "") -> LocalTraining:
    """Return how clients train, but for a method's rate."""
    return LocalTraining(
        0.0, config.epochs, config.batch_size, config.steps, "both", config.train_on_prompt,
        precision or config.precision,
    )  # fmt: skip


def job_of(config: LoraConfig, spec: LoraSpec) -> FineTuning:
    """Return the job that a method asks for."""
    parameters = {name: spec.parameter(name) for name in METHODS[spec.name].parameters}
    return FineTuning(spec.name, config.rounds, config.rate_of(spec), parameters)


@dataclass(frozen=True)
class LoraDraft:
    """Hold model and rows before a run; implements `harness.workloads.base.Draft`."""

    config: LoraConfig
    target: Target
    forecast: Forecast
    opened: OpenedModel
    corpus: Corpus
    timing: timing.StepTiming

    def expected(self) -> Expectation:
        """Return what training of the whole run will take."""
        config = self.config
        tokens = timing.planned_tokens(
            self.corpus, [spec.name for spec in config.method_specs()], local_training(config),
            config.rounds, config.per_round,
        )  # fmt: skip
        tokens *= len(config.seeds) * config.repeats
        seconds = tokens * self.timing.token_s
        power = power_model(self.target)
        device = timing.device_model(self.target, self.timing)
        if device is None:
            joules = power.energy_on_host_j(seconds, seconds * self.target.threads)
        else:
            joules = power.energy_elsewhere_j(seconds * device.forward_s["tokens"]
                                              / self.timing.token_s)  # fmt: skip
        cells = len(config.methods) * len(config.seeds) * config.repeats
        weights = 4 * sum(m * n for m, n in self.opened.model.shapes.values())
        return Expectation(seconds, joules, 0.0, cells * (1.2 * weights + 200_000.0))

    def open(self, screen: DataScreen) -> LoraData:
        """Return the draft with its data, which are there."""
        screen.making_data(1, 1)
        return LoraData(self)


@dataclass(frozen=True)
class LoraData:
    """Hold a draft and its data; implements `harness.workloads.base.OpenedData`."""

    draft: LoraDraft

    def facts(self) -> Mapping[str, Any]:
        """Return what a run is recognised by."""
        return {
            "data": self.draft.corpus.checksum, "model": self.draft.opened.checksum,
            "torch": str(torch.__version__),
        }  # fmt: skip

    @property
    def clients(self) -> int:
        """Return how many clients the data have."""
        return len(self.draft.corpus.clients)

    def study(self, manifest: Mapping[str, Any]) -> LoraStudy:
        """Return the study, with the timing of a run that goes on."""
        draft = self.draft
        steps = timing.recorded(manifest) or draft.timing
        base = _recorded_base(manifest) or base_values(draft.opened, draft.corpus)
        return LoraStudy(
            draft.config, draft.target, draft.forecast, draft.opened, draft.corpus, steps, base
        )


Values = Mapping[str, Mapping[str, float]]


def _recorded_base(manifest: Mapping[str, Any]) -> Values | None:
    try:
        return {
            str(name): {str(what): float(value) for what, value in values.items()}
            for name, values in manifest["base"]["judged"].items()
        }
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def base_values(opened: OpenedModel, corpus: Corpus) -> Values:
    """Return how the base itself does, before any tuning."""
    return judge_state(opened.model, corpus, [Fitting()], final=True).judged


@dataclass(frozen=True)
class LoraStudy:
    """Train cells of fine-tuning; implements `harness.workloads.base.Study`."""

    config: LoraConfig
    target: Target
    forecast: Forecast
    opened: OpenedModel
    corpus: Corpus
    timing: timing.StepTiming
    base: Values

    codec = LoraCodec()

    @property
    def threads(self) -> int:
        """Return the threads of a training step."""
        return self.target.threads

    def device_model(self) -> DeviceModel | None:
        """Return the time model of a device that is not the host; None if it is."""
        return timing.device_model(self.target, self.timing)

    @property
    def ranks(self) -> tuple[int, ...]:
        """Return the rank of every client."""
        return self.forecast.ranks

    def setting(self, *, remote: bool = False) -> FineTuningSetting:
        """Return what all jobs share."""
        config = self.config
        return FineTuningSetting(
            self.opened.model, self.corpus, self.ranks, config.scale, config.per_round,
            local_training(config, self.timing.precision), config.evaluate_every, remote,
        )  # fmt: skip

    def describe(self) -> Mapping[str, Any]:
        """Return model, ranks, data and timing for the manifest."""
        model, shapes = self.opened.model, self.opened.model.shapes
        return {
            "token_timing": self.timing.as_dict(),
            "host_timing": self.timing.as_dict()["host_timing"],
            "base": {
                "checksum": self.opened.checksum,
                "parameters": model.base_parameters,
                "bytes": 4 * model.base_parameters,
                "targets": list(self.opened.targets),
                "layers": {name: list(shape) for name, shape in shapes.items()},
                "judged": {name: dict(values) for name, values in self.base.items()},
            },
            "adapters": {
                "ranks": list(self.ranks),
                "boards": list(self.forecast.boards),
                "parameters": [numbers(shapes, rank) for rank in self.ranks],
                "expected_peak_bytes": list(self.forecast.peaks),
                "notes": [*self.forecast.notes, *self.opened.notes],
            },
            "data": {
                "name": self.corpus.name,
                "checksum": self.corpus.checksum,
                "clients": len(self.corpus.clients),
                "rows": [len(c.train) for c in self.corpus.clients],
                "truncated_rows": self.corpus.truncated,
            },
        }

    def asked_config(self) -> LoraConfig:
        """Return the configuration as asked for."""
        return self.config

    def warm_up(self) -> None:
        """Train one step of one client and throw it away."""
        setting = self.setting()
        setting = replace(setting, training=replace(setting.training, steps=1), per_round=1)
        engine = FineTuningEngine(FineTuningTask(setting), 0, SilentObserver())
        with contextlib.suppress(DataError, DivergedError):
            engine.run(FineTuning("zeropad", 1, 1e-4))

    def engine(
        self, seed: int, observer: Observer, keeper: Keeper, trainers: Trainers | None
    ) -> FineTuningEngine:
        """Return the engine of a cell; trainers are given where devices train."""
        task = FineTuningTask(self.setting(remote=trainers is not None))
        return FineTuningEngine(task, seed, observer, keeper, trainers)

    def carry_out(self, spec: LoraSpec, seed: int, engine: Any) -> Any:  # noqa: ANN401, ARG002
        """Ask for the method's fine-tuning."""
        return engine.run(job_of(self.config, spec))

    def report(self, result: CellResult) -> CellReport:
        """Return losses, bytes, tokens and adapters of a cell."""
        return cell_report(self, result)

    def gains(
        self,
        own: Mapping[str, Any],  # noqa: ARG002
        reference: Mapping[str, Any],  # noqa: ARG002
    ) -> Mapping[str, float | None]:
        """Return nothing: columns of gains are those of tasks."""
        return {}

    def library(self) -> None:
        """Return nothing: methods of a seed have no job in common."""
        return


def draft(
    config: LoraConfig,
    target: Target,
    manifest: Mapping[str, Any],
    settling: Settling,
    screen: PlanScreen,
) -> LoraDraft:
    """Settle ranks by a forecast of memory, open model and rows, time a step.

    Raises:
        MemoryExceededError: if a board or this device cannot hold the model.
        UsageError: if a rank does not fit a layer.
        StepRefusedError: if bf16 was asked for and computes something else.
        DataError: if model or rows cannot be read.
    """
    found = forecast(config, target)
    screen.say("Memory", found.words(target))
    for note in found.notes:
        screen.say("Note", note)
    prepare_torch(target.threads, target.accelerator.kind_here)
    with memory_errors():
        opened = open_model(config)
        for rank in dict.fromkeys(found.ranks):
            check_rank(opened.model.shapes, rank)
        corpus = open_corpus(config, opened)
        for note in (*opened.notes, *corpus.notes):
            screen.say("Note", note)
        steps = timing.recorded(manifest) or timing.take(
            opened.model, corpus, local_training(config), max(found.ranks)
        )
    if steps.fault:
        words = (
            f"under PyTorch {steps.agreement['torch']} bf16 computes something else here than fp32"
            f" ({steps.fault})"
        )
        if steps.precision == "bf16" and settling.remote:
            screen.say("Note", f"{words}; every device compares it itself before it trains so")
        elif steps.precision == "bf16":
            raise StepRefusedError(f"--precision bf16: {words}", "Use --precision fp32 or auto.")
        else:
            screen.say("Note", f"bf16 is not taken: {words}")
    screen.say("Step", _step_words(steps, config))
    return LoraDraft(config, target, found, opened, corpus, steps)


def _step_words(steps: timing.StepTiming, config: LoraConfig) -> str:
    asked = " (the faster here)" if config.precision == "auto" else ""
    return f"{steps.precision}{asked}, {1.0 / steps.token_s / 2.0:,.0f} tokens/s through adapters"
