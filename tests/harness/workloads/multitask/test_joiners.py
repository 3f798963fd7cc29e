"""Ways of joining clients' models in whole jobs, against loops that do the same slowly."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, save

from harness.federated.controlled import uncontrolled
from harness.federated.job import Checkpoint
from harness.federated.observer import SilentObserver
from harness.federated.random_streams import random_stream
from harness.federated.server_rules import Adaptive, Momentum
from harness.records.cells import FinishedCell
from harness.workloads.multitask.federation import LocalEngine
from harness.workloads.multitask.job import Job, restricted
from harness.workloads.multitask.joiners import joiner
from harness.workloads.multitask.methods.in_step import in_step
from harness.workloads.multitask.methods.registry import parse
from harness.workloads.multitask.methods.schedule import Setting, carry_out
from harness.workloads.multitask.rounds import job_rate
from harness.workloads.multitask.sharing import JobLibrary
from harness.workloads.multitask.training.batches import ClientBatches
from harness.workloads.multitask.training.joining import (
    SERVERS,
    AveragedMomentum,
    Controlled,
    Normalised,
)
from harness.workloads.multitask.wire import MultitaskWire
from models.multitask.network import build
from models.multitask.step import accumulate_gradients


class Kept:
    """Keep the last state, and go on from one that was kept."""

    def __init__(self, state=None):
        self.state = state

    def recall(self, job):
        return self.state

    def announce(self, job):
        return 0

    def keep(self, job, state):
        copies = {name: tensor.clone() for name, tensor in state.weights.tensors.items()}
        self.state = replace(state, weights=type(state.weights)(copies))


@pytest.fixture
def make_engine(tiny_source, tiny_architecture, federation):
    def make(**changes):
        keeper = changes.pop("keeper", None)
        settings = replace(federation, **changes)
        return LocalEngine(tiny_source, tiny_architecture, settings, 0, SilentObserver(), keeper)

    return make


def _equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(t, other[n]) for n, t in one.items())


@pytest.mark.parametrize("joining", [Momentum(1.0, 0.0), Normalised()])
def test_ways_that_come_to_the_mean_come_to_fedavg(
    make_source, tiny_architecture, federation, joining
) -> None:
    """Momentum of 0 is the mean; so is FedNova where all clients take as many steps."""
    source = make_source((4, 4, 4))
    engine = LocalEngine(source, tiny_architecture, federation, 0, SilentObserver())
    plain, ours = (engine.run(Job("sd", 3, joining=how)) for how in (None, joining))
    for name, tensor in plain.weights.tensors.items():
        assert torch.allclose(ours.weights.tensors[name], tensor, rtol=1e-4, atol=1e-6), name


def test_the_first_corrected_round_is_a_plain_one(make_engine) -> None:
    """All variates begin at zero, so SCAFFOLD departs from FedAvg in the second round only."""
    one, two = (
        [
            make_engine().run(Job("sd", rounds, joining=j)).weights.tensors
            for j in (None, Controlled())
        ]
        for rounds in (1, 2)
    )
    assert _equal(*one)
    assert not _equal(*two)


def test_variates_are_mean_gradients_of_the_round(
    make_engine, tiny_source, tiny_architecture, federation
) -> None:
    """Without momentum and decay c_k⁺ = (x − y_k)/(K·η) after a first round, c their mean.

    That of the clients of the job, which are all it may choose from.
    """
    training = replace(federation.training, momentum=0.0, weight_decay=0.0)
    keeper = Kept()
    job = Job("d", 1, clients=(0, 2), joining=Controlled(), horizon=4)
    make_engine(training=training, keeper=keeper).run(job)
    state = keeper.state.weights.tensors
    start = build(tiny_architecture, "d", 0).state_dict()
    alone = {
        client: make_engine(training=training)
        .run(Job("d", 1, clients=(client,), horizon=4))
        .weights.tensors
        for client in (0, 2)
    }
    steps = {
        c: 2 * (tiny_source.length("train", c) // 2) for c in alone
    }  # two epochs, batches of 2
    for name in [n for n in state if n.startswith("control@0.")]:
        bare = name.removeprefix("control@0.")
        wanted = {
            c: (start[bare] - end[bare]) / (steps[c] * federation.learning_rate)
            for c, end in alone.items()
        }
        for client, variate in wanted.items():
            assert torch.allclose(state[f"control@{client}.{bare}"], variate, rtol=1e-3, atol=1e-5)
        common = (wanted[0] + wanted[2]) / len(job.clients)
        assert torch.allclose(state[f"control.{bare}"], common, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in SERVERS if name != "fedavg"])
def test_a_job_goes_on_from_what_was_kept_to_the_same_bits(make_engine, name) -> None:
    joining = SERVERS[name]
    whole = make_engine(joining=joining).run(Job("sd", 4))
    keeper = Kept()
    make_engine(joining=joining, keeper=keeper).run(Job("sd", 2, horizon=4))
    again = make_engine(joining=joining, keeper=Kept(keeper.state)).run(Job("sd", 4))
    assert _equal(again.weights.tensors, whole.weights.tensors)


@pytest.mark.parametrize("method", ["fedhca2", "mat-fl"])
def test_groups_that_exchange_go_on_from_files_to_the_same_bits(make_engine, method) -> None:
    """Files hold tensors in an order of their own, and what is exchanged is a sum over tensors."""
    setting = Setting("sdn", 4, clients=4, client_tasks=("sd", "dn", "sd", "dn"))
    first = _Files()
    whole = carry_out(parse(method).schedule(setting), make_engine(keeper=first))
    assert len(first.kept) > 5
    again = carry_out(parse(method).schedule(setting), make_engine(keeper=_Files(first.kept[:5])))
    for one, other in zip(whole, again, strict=True):
        assert _equal(one.outcome.weights.tensors, other.outcome.weights.tensors)


class _Files:
    """Keep the ends of jobs as files do; begin with those of the first jobs of a run."""

    def __init__(self, found=()):
        self.found, self.kept = list(found), []

    def recall(self, job):
        return self.found.pop(0) if self.found else None

    def announce(self, job):
        return 0

    def keep(self, job, state):
        if state.rounds_done == job.last_round:
            tensors = {k: t.contiguous() for k, t in state.weights.tensors.items()}
            self.kept.append(replace(state, weights=Checkpoint(load(save(tensors)))))


@pytest.mark.parametrize("name", list(SERVERS))
def test_what_comes_of_a_job_is_the_model_alone(make_engine, tiny_architecture, name) -> None:
    outcome = make_engine(joining=SERVERS[name]).run(Job("sd", 2))
    assert outcome.weights.tensors.keys() == build(tiny_architecture, "sd", 0).state_dict().keys()


def _by_hand(engine_source, architecture, settings, job):
    """Train a job of averaged momentum slowly, with velocities in plain dictionaries."""
    training, net = settings.training, build(architecture, job.tasks, 0)
    state = {name: t.clone() for name, t in net.state_dict().items()}
    moving = {name: torch.zeros_like(p) for name, p in net.named_parameters()}
    for index in range(job.rounds):
        rate = job_rate(settings.learning_rate, job, index, settings.descent)
        chosen = settings.draw(engine_source.count("train"), 0).chosen(job, index)
        images = {c: engine_source.length("train", c) for c in chosen}
        states, velocities = [], []
        for client in chosen:
            net.load_state_dict(state)
            net.train()
            own = {name: v.clone() for name, v in moving.items()}
            order = random_stream(0, "order", index, client)
            batches = ClientBatches(engine_source, "train", client, job.tasks)
            for _ in range(training.epochs):
                for batch in batches.epoch(training.batch_size, order):
                    net.zero_grad()
                    accumulate_gradients(net, *batch)
                    for name, p in net.named_parameters():
                        own[name] = (
                            training.momentum * own[name]
                            + p.grad
                            + training.weight_decay * p.detach()
                        )
                        p.data -= rate * own[name]
            share = images[client] / sum(images.values())
            states.append({n: t.clone().double() * share for n, t in net.state_dict().items()})
            velocities.append({n: v.double() * share for n, v in own.items()})
        state = {n: sum(s[n] for s in states).to(t.dtype) for n, t in state.items()}
        moving = {n: sum(v[n] for v in velocities).float() for n in moving}
    return state, moving


def test_velocities_go_on_where_the_mean_of_the_round_before_was(
    tiny_source, tiny_architecture, federation, make_engine
) -> None:
    job = Job("sd", 3, joining=AveragedMomentum())
    outcome = make_engine().run(job)
    weights, moving = _by_hand(tiny_source, tiny_architecture, federation, job)
    for name, tensor in weights.items():
        if tensor.is_floating_point():
            assert torch.allclose(outcome.weights.tensors[name], tensor, rtol=1e-3, atol=1e-5)
    for name, velocity in moving.items():
        assert torch.allclose(outcome.memory[f"velocity.{name}"], velocity, rtol=1e-3, atol=1e-5)


def test_the_first_round_of_averaged_momentum_is_a_plain_one(make_engine) -> None:
    one, two = (
        [
            make_engine().run(Job("sd", rounds, joining=j)).weights.tensors
            for j in (None, AveragedMomentum())
        ]
        for rounds in (1, 2)
    )
    assert _equal(*one)
    assert not _equal(*two)


def test_without_momentum_nothing_survives_the_round(make_engine, federation) -> None:
    training = replace(federation.training, momentum=0.0)
    plain, ours = (
        make_engine(training=training).run(Job("sd", 3, joining=j)).weights.tensors
        for j in (None, AveragedMomentum())
    )
    assert _equal(plain, ours)


@pytest.mark.parametrize("name", list(SERVERS))
def test_what_is_remembered_survives_a_split_into_one_group(make_engine, name) -> None:
    """A job that goes on from another's state comes to what one job would, to the last bit."""
    engine = make_engine(joining=SERVERS[name])
    whole = engine.run(Job("sd", 4))
    first = engine.run(Job("sd", 2, horizon=4))
    start = restricted(first.state, "sd")
    second = engine.run(Job("sd", 2, start, first_round=2, horizon=4))
    assert _equal(second.weights.tensors, whole.weights.tensors)
    assert _equal(second.memory, whole.memory)
    assert not any("decoders.d" in name for name in restricted(first.state, "s").tensors)


@pytest.mark.parametrize("name", list(SERVERS))
def test_measuring_until_a_split_is_sure_changes_no_weight(make_engine, name) -> None:
    """Rounds that are jobs of their own hand on what is remembered beside the model."""
    merged = {}
    for asked in ("mas:splits=1,merge_rounds=4", "mas:splits=1,merge_rounds=4,sure=0.99"):
        (served,) = carry_out(
            parse(asked).schedule(Setting("sd", 4)), make_engine(joining=SERVERS[name])
        )
        merged[asked] = served.outcome.weights.tensors
    assert _equal(*merged.values())


@pytest.mark.parametrize("name", list(SERVERS))
def test_groups_in_step_that_exchange_nothing_are_their_own_jobs(make_engine, name) -> None:
    engine = make_engine(joining=SERVERS[name])
    jobs = [Job("s", 3, clients=(0, 2)), Job("d", 3, clients=(1, 3))]
    served = carry_out(in_step(jobs, _Silence()), engine)
    for job, one in zip(jobs, served, strict=True):
        wanted = engine.run(job)
        assert one.outcome.losses == wanted.losses
        assert _equal(one.outcome.weights.tensors, wanted.weights.tensors)


class _Silence:
    """Exchange nothing."""

    def joined(self, before, after):
        return [dict(model) for model in after]


@pytest.mark.parametrize("name", list(SERVERS))
def test_a_lent_beginning_brings_what_its_state_holds(make_engine, federation, name) -> None:
    """A job that goes on from a lent shorter one comes to what it would alone."""
    engine = make_engine(joining=SERVERS[name])
    lent, wanted = Job("sd", 2, horizon=4), Job("sd", 4)
    library = JobLibrary(replace(federation, joining=SERVERS[name]))
    library.add(FinishedCell([engine.run(lent)], [], []))
    found = library.shared(wanted, "other")
    assert found is not None
    again = make_engine(joining=SERVERS[name], keeper=Kept(found.state)).run(wanted)
    assert _equal(again.weights.tensors, engine.run(wanted).weights.tensors)


@pytest.mark.parametrize("name", list(SERVERS))
def test_the_state_before_the_first_round_can_be_kept(make_engine, monkeypatch, name) -> None:
    """A job of no rounds is kept as it begins: files of tensors refuse such as share memory."""
    kept = []

    def keep(job, state):
        kept.append(save({k: t.contiguous() for k, t in state.weights.tensors.items()}))

    keeper = Kept()
    monkeypatch.setattr(keeper, "keep", keep)
    outcome = make_engine(joining=SERVERS[name], keeper=keeper).run(Job("s", 0))
    assert load(kept[0]).keys() == outcome.state.tensors.keys()


def test_what_a_server_remembers_never_travels(tiny_architecture) -> None:
    model = build(tiny_architecture, "s", 0).state_dict()
    parameters = [name for name, _ in build(tiny_architecture, "s", 0).named_parameters()]
    own = joiner(Adaptive(), parameters, 4)
    state = own.begin(model)
    assert len(state) == len(model) + 2 * len(parameters)
    assert own.sent(state, 1).keys() == model.keys()


def test_bytes_are_those_of_what_travels(make_engine, tiny_architecture) -> None:
    net = build(tiny_architecture, "s", 0)
    model = sum(t.numel() * t.element_size() for t in net.state_dict().values())
    variate = sum(p.numel() * p.element_size() for p in net.parameters())
    traffic = {
        name: make_engine(joining=joining).run(Job("s", 1)).traffic
        for name, joining in SERVERS.items()
    }
    assert traffic["fedadam"] == traffic["fedavg"]
    assert traffic["fedavg"].upload_bytes == traffic["fedavg"].download_bytes == 2 * model
    assert traffic["fednova"].upload_bytes == 2 * (model + 8)
    moving = traffic["averaged-momentum"]
    assert moving.upload_bytes == moving.download_bytes == 2 * (model + variate)
    assert traffic["muon"] == moving
    assert traffic["scaffold"].upload_bytes == 2 * (model + variate)
    assert traffic["scaffold"].download_bytes == 2 * (model + 2 * variate)


def test_a_client_alone_has_no_server(make_engine) -> None:
    plain = make_engine().run(Job("s", 2, clients=(1,)))
    ours = make_engine(joining=Controlled()).run(Job("s", 2, clients=(1,)))
    assert _equal(ours.weights.tensors, plain.weights.tensors)
    assert ours.traffic.download_bytes == 0


@pytest.mark.parametrize("name", list(SERVERS))
def test_a_device_is_told_how_models_are_joined(federation, name) -> None:
    settings = replace(federation, joining=SERVERS[name]).round_settings(Job("s", 2), 0)
    assert MultitaskWire.read_settings(MultitaskWire.settings(settings)) == settings


def test_the_model_of_a_state_with_variates(tiny_architecture) -> None:
    net = build(tiny_architecture, "s", 0)
    own = joiner(Controlled(), [n for n, _ in net.named_parameters()], 3)
    state = own.begin(net.state_dict())
    assert own.model(state).keys() == uncontrolled(state).keys() == net.state_dict().keys()
