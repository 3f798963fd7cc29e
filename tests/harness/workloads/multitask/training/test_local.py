"""Check whole jobs of the local engine: determinism, the split's continuity, work and metrics."""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from harness.federated import trainers as module
from harness.federated.observer import SilentObserver
from harness.records.work import Work
from harness.workloads.multitask.federation import LocalEngine
from harness.workloads.multitask.job import Job, Outcome, restricted
from harness.workloads.multitask.work import looking_ahead, training
from models.multitask.measures import MEASURES
from models.multitask.network import build


def _engine(source, architecture, federation, seed=0, observer=None) -> LocalEngine:
    return LocalEngine(source, architecture, federation, seed, observer or SilentObserver())


def _same(one: Outcome, two: Outcome) -> bool:
    a, b = one.weights.tensors, two.weights.tensors
    return a.keys() == b.keys() and all(torch.equal(v, b[k]) for k, v in a.items())


def test_same_seed_same_bits(tiny_source, tiny_architecture, federation) -> None:
    """A job repeated in one process, with other work between, ends with identical weights."""
    engine = _engine(tiny_source, tiny_architecture, federation)
    first = engine.run(Job("sd", 3))
    torch.rand(7)
    engine.run(Job("n", 1))

    assert _same(engine.run(Job("sd", 3)), first)
    assert not _same(
        _engine(tiny_source, tiny_architecture, federation, 1).run(Job("sd", 3)), first
    )


def test_same_seed_same_bits_in_any_process(tmp_path) -> None:
    """Processes with different hash seeds print the same digest of a trained model."""
    script = Path(__file__).with_name("digest_of_a_job.py")
    digests = {
        subprocess.run(
            [sys.executable, str(script)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path.cwd())},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("0", "1")
    }

    assert len(digests) == 1
    assert len(digests.pop()) == 64


def test_measuring_affinity_does_not_change_training(
    tiny_source, tiny_architecture, federation
) -> None:
    """Weights, batch-norm statistics and losses are bit-identical with look-ahead on and off."""
    engine = _engine(tiny_source, tiny_architecture, federation)
    plain = engine.run(Job("sdn", 3))
    measured = engine.run(Job("sdn", 3, measure_affinity=True))

    assert _same(plain, measured)
    assert plain.losses == measured.losses
    assert plain.affinity is None
    assert [r.round for r in measured.affinity.rounds] == [0, 1, 2]
    assert measured.affinity.mean.shape == (3, 3)
    # every second batch of two images in each of 2 epochs: sizes 6, 4, 8, 5 give 2·(2, 1, 2, 1)
    for measured_round in measured.affinity.rounds:
        counts = [(c.client, c.count) for c in measured_round.clients]
        assert counts == [(c, 2 * (2, 1, 2, 1)[c]) for c, _ in counts]
        assert len(counts) == 2
        assert measured_round.count == sum(count for _, count in counts)


def test_a_job_in_two_parts_is_the_whole_job(tiny_source, tiny_architecture, federation) -> None:
    """Two rounds, then three from their weights, equal five: clients and learning rate go on."""
    engine = _engine(tiny_source, tiny_architecture, federation)
    whole = engine.run(Job("sd", 5))
    first = engine.run(Job("sd", 2, horizon=5))
    second = engine.run(Job("sd", 3, start=first.weights, first_round=2))

    assert _same(second, whole)
    assert second.losses == whole.losses


def test_groups_begin_with_the_merged_models_outputs(
    tiny_source, tiny_architecture, federation
) -> None:
    """Right after the split each group reproduces the merged model's outputs bit for bit."""
    merged = _engine(tiny_source, tiny_architecture, federation).run(Job("sdnkt", 2))
    images = torch.rand(2, 3, 8, 8)
    whole = build(tiny_architecture, "sdnkt", 0).eval()
    whole.load_state_dict(dict(merged.weights.tensors))
    expected = whole(images)

    for group in ("ds", "nkt", "t"):
        net = build(tiny_architecture, group, 9).eval()
        net.load_state_dict(dict(restricted(merged.weights, group).tensors))
        assert all(torch.equal(y, expected[task]) for task, y in net(images).items())


def test_training_one_group_leaves_the_others_start_alone(
    tiny_source, tiny_architecture, federation
) -> None:
    """A job never writes into the checkpoint it starts from."""
    engine = _engine(tiny_source, tiny_architecture, federation)
    merged = engine.run(Job("sd", 1, horizon=3))
    before = {k: v.clone() for k, v in merged.weights.tensors.items()}

    engine.run(Job("s", 2, restricted(merged.weights, "s"), 1))

    assert all(torch.equal(v, before[k]) for k, v in merged.weights.tensors.items())


def test_identical_clients_make_one_client(make_source, tiny_architecture, federation) -> None:
    """With equal data of equal size everywhere, one client a round learns what two learn."""
    source = make_source((4, 4), identical=True)
    single = replace(federation, clients_per_round=1)
    orders = module.random_stream
    module.random_stream = lambda seed, name, index, _client: orders(seed, name, index, 0)
    try:
        two = _engine(source, tiny_architecture, federation).run(Job("sd", 2))
        one = _engine(source, tiny_architecture, single).run(Job("sd", 2))
    finally:
        module.random_stream = orders

    for name, value in one.weights.tensors.items():
        assert torch.allclose(value.double(), two.weights.tensors[name].double(), atol=1e-5), name


class _Counting(SilentObserver):
    def __init__(self) -> None:
        self.total = Work()
        self.metrics: Counter[str] = Counter()

    def work(self, done: Work) -> None:
        self.total = self.total + done

    def metric(self, rounds_done, phase, name, task, value) -> None:
        assert np.isfinite(value)
        self.metrics[name] += 1


def test_work_is_what_was_executed(make_source, tiny_architecture, federation) -> None:
    """Passes equal rounds × clients × epochs × images; look-aheads are charged on top."""
    source = make_source((6, 6, 6))
    observer = _Counting()
    _engine(source, tiny_architecture, federation, observer=observer).run(
        Job("sd", 3, measure_affinity=True)
    )

    images = 3 * 2 * 2 * 6
    looked = 3 * 2 * 2 * 2 * 2  # rounds × clients × epochs × batches 0 and 2 × batch size
    test_images = 2 * 3 * 3 + 3 * 3 + 4  # test in rounds 2 and 3, validation and unseen at the end
    assert observer.total.passes("encoder") == images
    assert observer.total.passes("decoders") == 2 * images
    assert observer.total.forwards["encoder"] == (
        training("sd", images).forwards["encoder"]
        + looking_ahead("sd", looked).forwards["encoder"]
        + test_images
    )
    names = {t: [prefix + m.name for prefix in ("", "unseen_") for m in MEASURES[t]] for t in "sd"}
    assert observer.metrics == {
        "learning_rate": 3, "train_loss": 6, "test_loss": 4, "test_unseen_loss": 2,
        "validation_loss": 2, **dict.fromkeys(names["s"] + names["d"], 1),
    }  # fmt: skip


def test_a_client_smaller_than_a_batch_is_one_batch(
    make_source, tiny_architecture, federation
) -> None:
    """Three images with batches of sixteen still train, as one batch of three."""
    training_settings = replace(federation.training, batch_size=16, epochs=1)
    small = replace(federation, training=training_settings, clients_per_round=1)
    observer = _Counting()
    _engine(make_source((3, 3)), tiny_architecture, small, observer=observer).run(Job("d", 1))

    assert observer.total.passes("encoder") == 3
