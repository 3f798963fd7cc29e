"""Check what a job may ask for: local rules, few clients, its own rate, a partial start."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.federated.job import Checkpoint
from harness.federated.observer import SilentObserver
from harness.federated.random_streams import random_stream
from harness.records.work import Work
from harness.workloads.multitask.federation import LocalEngine
from harness.workloads.multitask.job import Job, restricted
from harness.workloads.multitask.training.batches import ClientBatches
from harness.workloads.multitask.training.local_rule import GradNorm, ProjectedGradients, Proximal
from harness.workloads.multitask.training.steps import training_step
from models.multitask.losses import task_loss
from models.multitask.network import build

RULES = [Proximal(0.1), GradNorm(1.5, 0.1), ProjectedGradients()]


class _Listening(SilentObserver):
    def __init__(self) -> None:
        self.total = Work()
        self.clients: list[int] = []
        self.rates: list[float] = []

    def phase(self, name, *, round_index=None, client=None):
        if client is not None:
            self.clients.append(client)
        return super().phase(name, round_index=round_index, client=client)

    def work(self, done: Work) -> None:
        self.total = self.total + done

    def metric(self, rounds_done, phase, name, task, value) -> None:
        if name == "learning_rate":
            self.rates.append(value)


@pytest.fixture
def run(tiny_source, tiny_architecture, federation):
    """Return a function that runs a job and gives its outcome and what was heard."""

    def run_job(job: Job):
        heard = _Listening()
        engine = LocalEngine(tiny_source, tiny_architecture, federation, 0, heard)
        return engine.run(job), heard

    return run_job


def _same(one: Checkpoint, two: Checkpoint) -> bool:
    return all(torch.equal(v, two.tensors[k]) for k, v in one.tensors.items())


@pytest.mark.parametrize("rule", RULES, ids=lambda r: type(r).__name__)
def test_a_rule_is_deterministic_and_changes_the_weights(run, rule) -> None:
    """Twice the same rule gives the same bits; they are not those of plain training."""
    one, heard = run(Job("sdn", 2, local=rule))
    two, _ = run(Job("sdn", 2, local=rule))
    plain, plainly = run(Job("sdn", 2))

    assert _same(one.weights, two.weights)
    assert not _same(one.weights, plain.weights)
    assert heard.clients == plainly.clients
    assert heard.total.passes("encoder") == plainly.total.passes("encoder")


def test_a_rule_without_effect_is_plain_training(run) -> None:
    """mu = 0, a step of 0, and one task to project leave training as it is, to rounding.

    Batches come in the same order under every rule, or this could not hold.
    """
    for rule, tasks in [(Proximal(0.0), "sd"), (GradNorm(1.5, 0.0), "sd"),
                        (ProjectedGradients(), "d")]:  # fmt: skip
        ours, plain = run(Job(tasks, 2, local=rule))[0], run(Job(tasks, 2))[0]
        for name, value in ours.weights.tensors.items():
            wanted = plain.weights.tensors[name]
            assert torch.allclose(value, wanted, rtol=1e-4, atol=1e-5), (rule, name)


def test_drawing_projections_leaves_the_order_of_batches_alone(
    tiny_source, tiny_architecture
) -> None:
    """A step draws from a child of the client's generator, whose own state does not move."""
    order = random_stream(0, "order", 0, 1)
    before = order.bit_generator.state
    net = build(tiny_architecture, "sdn", 0).train()
    step = training_step(net, ProjectedGradients(), order)

    step(*ClientBatches(tiny_source, "train", 1, "sdn").read(np.arange(3)))

    assert order.bit_generator.state == before


def test_fedprox_is_training_on_the_loss_with_its_proximal_term(
    make_source, tiny_architecture, federation
) -> None:
    """One client's round equals SGD written out here, on the loss plus (μ/2)‖θ − θ_global‖²."""
    source, mu, rate = make_source((6, 6)), 0.5, federation.learning_rate
    job = Job("d", 1, clients=(1,), local=Proximal(mu))
    engine = LocalEngine(source, tiny_architecture, federation, 0, SilentObserver())
    ours = engine.run(job).weights

    net = build(tiny_architecture, "d", 0).train()
    start = copy.deepcopy(list(net.parameters()))
    settings = federation.training
    optimizer = torch.optim.SGD(
        net.parameters(), rate, momentum=settings.momentum, weight_decay=settings.weight_decay
    )
    order = random_stream(0, "order", 0, 1)
    batches = ClientBatches(source, "train", 1, "d")
    for _ in range(settings.epochs):
        for images, targets in batches.epoch(settings.batch_size, order):
            optimizer.zero_grad()
            loss = task_loss("d", net(images)["d"], targets["d"])
            pull = sum(((p - q.detach()) ** 2).sum() for p, q in
                       zip(net.parameters(), start, strict=True))  # fmt: skip
            (loss + mu / 2 * pull).backward()
            optimizer.step()

    for name, value in net.state_dict().items():
        assert torch.allclose(ours.tensors[name].double(), value.double(), atol=1e-5), name


def test_projected_gradients_cost_an_encoder_backward_per_task(run) -> None:
    """Work of a step: encoder 1 + 2n instead of 3, decoders 3 as ever; testing is the same."""
    projected, plain = (run(Job("sdn", 1, local=rule))[1].total for rule in (RULES[2], None))
    images = plain.passes("encoder")

    assert projected.forwards["encoder"] - plain.forwards["encoder"] == images * (1 + 2 * 3 - 3)
    assert projected.forwards["d"] == plain.forwards["d"]
    assert projected.passes("decoders") == plain.passes("decoders") == 3 * images


def test_gradnorm_starts_anew_with_every_client_and_round(run) -> None:
    """A job in two parts equals the whole: no weight outlives a client's round."""
    rule = GradNorm(1.5, 0.2)
    whole, _ = run(Job("sd", 3, local=rule))
    first, _ = run(Job("sd", 1, horizon=3, local=rule))
    second, _ = run(Job("sd", 2, first.weights, first_round=1, local=rule))

    assert _same(second.weights, whole.weights)


def test_only_the_clients_asked_for_train(run, federation) -> None:
    """With fewer clients than a round has, all of them train; others never do."""
    _, alone = run(Job("d", 3, clients=(2,)))
    _, pair = run(Job("d", 3, clients=(1, 3)))
    _, three = run(Job("d", 6, clients=(0, 1, 3)))

    assert alone.clients == [2, 2, 2]
    assert sorted(pair.clients) == [1, 1, 1, 3, 3, 3]
    assert set(three.clients) == {0, 1, 3}
    assert len(three.clients) == 6 * federation.clients_per_round


def test_all_clients_named_is_the_whole_federation(run) -> None:
    """Naming everyone changes nothing; the job's name then lists them."""
    everyone = Job("d", 2, clients=(0, 1, 2, 3))

    assert _same(run(everyone)[0].weights, run(Job("d", 2))[0].weights)
    assert (everyone.name, Job("d", 2).name) == ("d@0+1+2+3", "d")
    assert Job("d", 2, clients=(1,)).travels is False
    assert everyone.travels


def test_learning_rate_goes_on_or_begins_anew(run, federation) -> None:
    """lr0·(1 − r/R)^0.9 counts from round 0, or from the round where the job's schedule starts."""
    base = federation.learning_rate
    _, on = run(Job("d", 3, first_round=2))
    _, anew = run(Job("d", 3, first_round=2, rate_start=2))

    assert on.rates == pytest.approx([base * (1 - r / 5) ** 0.9 for r in (2, 3, 4)])
    assert anew.rates == pytest.approx([base * (1 - r / 3) ** 0.9 for r in (0, 1, 2)])


def test_affinity_is_measured_in_the_first_rounds_only(run) -> None:
    """Rounds 4 and 5 of a job that begins at 4 are measured, later ones are not nor paid for."""
    few, heard = run(Job("sd", 4, first_round=4, measure_affinity=True, affinity_rounds=2))
    full, heard_all = run(Job("sd", 4, first_round=4, measure_affinity=True))

    assert [r.round for r in few.affinity.rounds] == [4, 5]
    assert _same(few.weights, full.weights)
    assert np.array_equal(few.affinity.rounds[0].mean, full.affinity.rounds[0].mean)
    assert heard.total.forwards["encoder"] < heard_all.total.forwards["encoder"]


def test_parts_that_a_start_lacks_begin_with_the_seed(run, tiny_architecture) -> None:
    """From an encoder alone, before any training step moves it, the decoder is the seed's own."""
    merged, _ = run(Job("sd", 2, horizon=4))
    encoder = restricted(merged.weights, "")
    assert set(encoder.tensors) == {k for k in merged.weights.tensors if k.startswith("encoder.")}

    fresh = build(tiny_architecture, "d", 0).state_dict()
    both = Checkpoint({**fresh, **encoder.tensors})
    from_encoder, _ = run(Job("d", 2, encoder, first_round=2))
    from_both, _ = run(Job("d", 2, both, first_round=2))

    assert _same(from_encoder.weights, from_both.weights)


def test_a_start_of_another_network_is_refused(run) -> None:
    """Weights of a task that the job does not have raise, instead of being dropped."""
    merged, _ = run(Job("sd", 1))

    with pytest.raises(RuntimeError, match=r"decoders\.s"):
        run(Job("d", 1, merged.weights))


def test_outcomes_carry_the_loss_on_unseen_buildings(run, tiny_source, tiny_architecture) -> None:
    """The outcome's unseen loss is that of its weights on the buildings nobody owns."""
    outcome, _ = run(Job("dn", 2))
    net = build(tiny_architecture, "dn", 0).eval()
    net.load_state_dict(dict(outcome.weights.tensors))
    images, targets = next(ClientBatches(tiny_source, "test_unseen", 0, "dn").in_order(4))

    with torch.no_grad():
        expected = {t: float(task_loss(t, y, targets[t])) for t, y in net(images).items()}

    assert outcome.unseen_losses == pytest.approx(expected)
    assert not any(math.isclose(v, outcome.losses[t]) for t, v in expected.items())


def test_settings_of_a_federation_are_not_changed_by_a_job(run, federation) -> None:
    """A rule belongs to its job: the next plain job is plain again."""
    first, _ = run(Job("sd", 1))
    run(Job("sd", 1, local=RULES[0]))

    assert _same(run(Job("sd", 1))[0].weights, first.weights)
    assert federation.training == replace(federation.training, rule=None)
