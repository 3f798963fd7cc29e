"""Linear affinity is taken exactly too by one client of a job, which changes nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from harness.federated.observer import SilentObserver
from harness.workloads.multitask.affinity.matrix import CheckedLooks
from harness.workloads.multitask.affinity.rule import AffinityRule
from harness.workloads.multitask.codec import MultitaskCodec
from harness.workloads.multitask.federation import LocalEngine
from harness.workloads.multitask.job import Job
from harness.workloads.multitask.training.local_rule import ProjectedGradients

JOB = Job("sd", 2, measure_affinity=True, affinity=AffinityRule("linear", every=1))


@pytest.fixture
def outcome(tiny_source, tiny_architecture, federation):
    """Return what carries out a job."""

    def run(job):
        return LocalEngine(tiny_source, tiny_architecture, federation, 0, SilentObserver()).run(job)

    return run


@pytest.mark.parametrize("local", [None, ProjectedGradients()])
def test_they_are_those_of_a_job_that_measures_exactly(outcome, local) -> None:
    """Same weights, batches and steps: entries of both ways are the same to the last bit."""
    linear = outcome(replace(JOB, local=local))
    exact = outcome(replace(JOB, local=local, affinity=AffinityRule("exact", every=1)))
    first = linear.affinity.rounds[0].clients[0]
    client, checked = linear.affinity.checked
    assert client == first.client
    assert np.array_equal(checked.linear, first.mean)
    assert np.array_equal(checked.exact, exact.affinity.rounds[0].clients[0].mean)
    others = [c for r in linear.affinity.rounds for c in r.clients][1:]
    assert others
    assert all(c.checked is None for c in others)
    assert exact.affinity.checked is None


def test_weights_and_affinity_are_the_same_with_and_without(outcome, monkeypatch) -> None:
    with_check = outcome(JOB)
    monkeypatch.setattr(Job, "checking", lambda *_: None)
    without = outcome(JOB)
    assert np.array_equal(with_check.affinity.mean, without.affinity.mean)
    assert with_check.weights.tensors.keys() == without.weights.tensors.keys()
    for name, tensor in with_check.weights.tensors.items():
        assert tensor.equal(without.weights.tensors[name])


def test_they_come_back_from_a_journal(outcome) -> None:
    kept = outcome(JOB).affinity.rounds[0]
    read = MultitaskCodec.read_measured(MultitaskCodec.measured(kept))
    assert np.array_equal(read.clients[0].checked.exact, kept.clients[0].checked.exact)
    assert np.array_equal(read.clients[0].checked.linear, kept.clients[0].checked.linear)
    assert read.clients[1].checked is None


def test_agreement_is_of_pairs_of_unlike_tasks() -> None:
    """Off the diagonal: 1, -2, 3, -4, 5, -6 against four of the same sign; sizes 42 over 21."""
    exact = np.array([[9.0, 1, -2], [3, 9, -4], [5, -6, 9]])
    linear = np.array([[0.0, 2, -4], [6, 0, 8], [-10, -12, 0]])
    looks = CheckedLooks(exact, linear)
    assert looks.signs_alike == pytest.approx(4 / 6)
    assert looks.size_ratio == pytest.approx(2.0)
