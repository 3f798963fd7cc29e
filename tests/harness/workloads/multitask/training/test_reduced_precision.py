"""Federated jobs in bf16: repeatable, untouched by measuring, and with affinities that mean it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.federated.observer import SilentObserver
from harness.records.work import Work
from harness.workloads.multitask.affinity.measure import LookAhead, MeasuredStep, affinity
from harness.workloads.multitask.affinity.rule import AffinityRule
from harness.workloads.multitask.federation import LocalEngine
from harness.workloads.multitask.job import Job
from harness.workloads.multitask.methods.cost import Load, job_cost
from harness.workloads.multitask.planning.plan import random_batch
from harness.workloads.multitask.rounds import Draw
from models.execution import PLAIN, Execution
from models.multitask.network import build
from models.multitask.registry import architecture

BF16 = Execution("bf16", "channels-last", "fused")


class Adding(SilentObserver):
    def __init__(self) -> None:
        self.total = Work()

    def work(self, done: Work) -> None:
        self.total = self.total + done


@pytest.fixture
def run(tiny_source, federation):
    def job(execution: Execution, observer=None, **options):
        training = replace(federation.training, execution=execution)
        engine = LocalEngine(
            tiny_source, architecture("small"), replace(federation, training=training), 0,
            observer or SilentObserver(),
        )  # fmt: skip
        return engine.run(Job("sdn", 2, **options))

    return job


def same(first, second) -> bool:
    return all(torch.equal(v, second.weights.tensors[k]) for k, v in first.weights.tensors.items())


def test_the_same_seed_gives_the_same_weights_bit_for_bit(run) -> None:
    first, again = run(BF16), run(BF16)
    assert same(first, again)
    assert first.losses == again.losses
    assert not same(first, run(PLAIN))


def test_measuring_changes_no_weight(run) -> None:
    assert same(run(BF16), run(BF16, measure_affinity=True))


@pytest.mark.parametrize("mode", ["exact", "linear"])
def test_counted_passes_are_the_planned_ones(run, tiny_source, federation, mode: str) -> None:
    """A look-ahead takes the losses before the step anew in fp32, and that is in the plan."""
    heard = Adding()
    options = {"measure_affinity": True, "affinity": AffinityRule(mode=mode)}
    job = run(BF16, heard, **options).job
    training = federation.training
    load = Load(tiny_source.sizes["train"], Draw(4, 2, 0), training.epochs, training.batch_size,
                training.look_ahead_every, rounded=True)  # fmt: skip
    tested = heard.total.forwards["encoder"] - job_cost(job, load).work.forwards["encoder"]
    assert tested == 4 * 3 + 4 * 3 + 4  # one test of 4 × 3 images, at the end others too


@pytest.mark.parametrize(("rate", "mode"), [(1e-4, "exact"), (1e-2, "exact"), (1e-2, "linear")])
def test_affinities_of_bf16_steps_are_those_of_fp32_steps(rate: float, mode: str) -> None:
    """With a small rate effects are far below the rounding of a bf16 loss; they still agree."""
    found = {}
    batch = random_batch("sdnkt", 4, 32)
    for execution in (PLAIN, BF16):
        net = build(architecture("small"), "sdnkt", 0).execute_as(execution).train()
        apart = MeasuredStep(net, batch).apart()
        found[execution] = affinity(net, batch, LookAhead(rate, mode=mode), apart)
    plain, ours = found[PLAIN], found[BF16]
    assert np.abs(plain).max() < 60 * rate
    assert np.abs(ours - plain).max() < 0.05 * np.abs(plain).max()
    assert np.corrcoef(ours.ravel(), plain.ravel())[0, 1] > 0.99
