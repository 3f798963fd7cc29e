"""Say before a run what it is expected to take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.running.target import power_model
from harness.workloads.base import Expectation
from harness.workloads.unlearning.methods.attention import BATCH, ROUNDS

if TYPE_CHECKING:
    from harness.workloads.unlearning.methods.registry import UnlearningMethod
    from harness.workloads.unlearning.study import UnlearningStudy

OVERHEAD = 1.3
"""Of judging, and of files."""


def expected(study: UnlearningStudy) -> Expectation:
    """Return seconds, modelled joules and bytes of the whole run."""
    config = study.config
    cells = len(config.seeds) * config.repeats
    per_cell = [_cell_s(study, spec) for spec in config.method_specs()]
    references = 2 * (config.batch + bool(config.stream)) * _learn_s(study) * len(config.seeds)
    windows = 0.0
    if study.target.meter is not None:
        windows = study.window_s * (config.batch + bool(config.stream)) * len(per_cell) * cells
    time_s = OVERHEAD * (sum(per_cell) * cells + references) + windows
    model = power_model(study.target)
    joules = model.energy_on_host_j(time_s, time_s)
    rows = study.interactions(config.seeds[0]).user_count
    items = study.interactions(config.seeds[0]).item_count
    models = sum(rows + spec.shards * items for spec in config.method_specs())
    return Expectation(time_s, joules, 0.0, 2.0 * 4 * config.width * models * cells + 200_000)


def _learn_s(study: UnlearningStudy, share: float = 1.0) -> float:
    pairs = len(study.interactions(study.config.seeds[0]).train)
    return study.training.steps(int(pairs * share)) * study.timing.step_s


def _cell_s(study: UnlearningStudy, spec: UnlearningMethod) -> float:
    """Return seconds of a cell: being ready, the batch, and the stream."""
    config = study.config
    whole = _learn_s(study)
    shard = _learn_s(study, 1.0 / spec.shards)
    pairs = len(study.interactions(config.seeds[0]).train)
    attention = ROUNDS * -(-pairs // BATCH) * study.timing.attention_s
    extra = attention if spec.name == "receraser" else 0.0
    setup = shard * spec.shards + extra + (whole if spec.name in {"receraser", "ultrare"} else 0.0)
    single = {"finetune": whole / 10, "scif": 0.001, "influence": 0.1 * whole}.get(spec.name, shard)
    batch = shard * spec.shards if spec.known.guarantee == "exact" else single
    return setup + config.batch * (batch + extra) + config.stream * (single + extra)
