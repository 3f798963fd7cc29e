# ruff: noqa: NPY002 - the published code uses numpy's global generator
"""Check the published protocol: each behaviour against slow code, and a whole run written out."""

from collections import Counter
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from harness.core.errors import UsageError
from harness.federated.observer import SilentObserver
from harness.federated.random_streams import random_stream
from harness.workloads.multitask.config import MultitaskConfig, make_multitask_config
from harness.workloads.multitask.federation import LocalEngine
from harness.workloads.multitask.job import Job, Outcome
from harness.workloads.multitask.methods import registry
from harness.workloads.multitask.methods.parameters import UNLIKE
from harness.workloads.multitask.methods.schedule import Setting, carry_out
from harness.workloads.multitask.protocol import PROTOCOLS, RELEASE, REPAIRED, Protocol
from harness.workloads.multitask.rounds import Draw, published_clients
from harness.workloads.multitask.settings import federation as settings_of
from harness.workloads.multitask.training.batches import ClientBatches
from harness.workloads.multitask.training.client import LocalTraining
from models.multitask.losses import task_loss
from models.multitask.network import build

BASE, MOMENTUM, DECAY = 0.05, 0.9, 1e-4


class _Listening(SilentObserver):
    def __init__(self) -> None:
        self.rates: list[float] = []
        self.clients: list[int] = []

    def phase(self, name, *, round_index=None, client=None):
        if client is not None:
            self.clients.append(client)
        return super().phase(name, round_index=round_index, client=client)

    def metric(self, rounds_done, phase, name, task, value) -> None:
        if name == "learning_rate":
            self.rates.append(value)


class _Keeping:
    def __init__(self, engine) -> None:
        self._engine = engine
        self.outcomes: list[Outcome] = []

    def run(self, job: Job) -> Outcome:
        self.outcomes.append(self._engine.run(job))
        return self.outcomes[-1]


def _carry_out(text, setting, engine) -> list[Outcome]:
    keeping = _Keeping(engine)
    carry_out(registry.parse(text).schedule(setting), keeping)
    return keeping.outcomes


def _global_choice(round_number: int, clients: int, per_round: int) -> list[int]:
    """Draw with numpy's global generator, as the published server does, and put it back."""
    state = np.random.get_state()
    try:
        np.random.seed(round_number)
        return np.random.choice(range(clients), per_round, replace=False).tolist()
    finally:
        np.random.set_state(state)


def test_repaired_has_no_fault_and_release_has_all() -> None:
    """Every field of the default is off; every field of the published protocol is on."""
    names = [f.name for f in fields(Protocol) if f.name != "name"]

    assert not any(getattr(REPAIRED, name) for name in names)
    assert all(getattr(RELEASE, name) for name in names)
    assert Protocol() == REPAIRED
    assert set(PROTOCOLS) == {"repaired", "release"}


@pytest.mark.parametrize("round_number", [0, 1, 7, 99])
def test_published_clients_are_those_of_the_seeded_global_generator(round_number: int) -> None:
    """np.random.seed(round); np.random.choice(clients, K, replace=False), whatever the run's seed;
    and the global generator is left as it was.
    """
    state = np.random.get_state()[1].copy()
    expected = _global_choice(round_number, 32, 5)

    assert published_clients(round_number, 32, 5) == expected
    assert np.array_equal(np.random.get_state()[1], state)
    for seed in (0, 8):
        assert Draw(32, 5, seed, RELEASE).chosen(Job("s", 100), round_number) == expected
        assert Draw(32, 5, seed, REPAIRED).chosen(Job("s", 100), round_number) != expected


def test_published_split_jobs_start_over(tiny_source, tiny_architecture, federation) -> None:
    """After three merged rounds of five, both groups see the clients and rates of rounds 0 and 1
    of a job of two rounds; the merged job's rate ends near zero.
    """
    heard = _Listening()
    settings = replace(federation, training=replace(federation.training, protocol=RELEASE))
    engine = LocalEngine(tiny_source, tiny_architecture, settings, 4, heard)
    _carry_out("mas:exact=yes,merge_rounds=3", Setting("sd", 5, protocol=RELEASE), engine)

    merged, group = ([BASE * (1 - r / of) ** 0.9 for r in range(of)] for of in (3, 2))
    assert heard.rates == pytest.approx(merged + group + group)
    drawn = [_global_choice(r, 4, 2) for r in (0, 1, 2, 0, 1, 0, 1)]
    assert heard.clients == [client for clients in drawn for client in clients]


def test_published_methods_look_ahead_in_every_job() -> None:
    """Every job of every method measures in all its rounds; repaired, those that split by it do."""

    class _Writing:
        def __init__(self) -> None:
            self.jobs: list[Job] = []

        def run(self, job: Job) -> Outcome:
            from harness.workloads.multitask.planning.plan import PaperEngine  # noqa: PLC0415

            self.jobs.append(job)
            return PaperEngine().run(job)

    for text in registry.METHODS:
        engine = _Writing()
        spec = registry.parse(text)
        kinds = ("sd", "n") if registry.METHODS[text].clients == UNLIKE else ()
        setting = Setting("sdn", 20, clients=2, client_tasks=kinds)
        carry_out(spec.schedule(replace(setting, protocol=RELEASE)), engine)
        assert all(job.measured_rounds == job.rounds for job in engine.jobs)
        plain = _Writing()
        carry_out(spec.schedule(setting), plain)
        assert any(job.measured_rounds for job in plain.jobs) == (
            text in ("mas", "mas-plus", "mas-together", "tag")
        )


def test_published_mas_averages_the_first_ten_rounds_and_splits_at_most() -> None:
    """Defaults of mas under release: exact=no, lr=restart, ten rounds of affinity; the split is
    that of the mean over rounds 0 to 9, though all merged rounds are measured.
    """
    from harness.federated.job import Checkpoint  # noqa: PLC0415
    from harness.workloads.multitask.affinity.matrix import Affinity, RoundAffinity  # noqa: PLC0415

    early = np.array([[0, 1, -1], [1, 0, -1], [-1, -1, 0.0]])
    late = 100 * np.array([[0, -1, 1], [-1, 0, -1], [1, -1, 0.0]])

    class _Changing:
        def run(self, job: Job) -> Outcome:
            rounds = tuple(
                RoundAffinity(r, early if r < 10 else late, early, 1)
                for r in range(job.measured_rounds)
            )
            affinity = Affinity(job.tasks, rounds) if rounds and len(job.tasks) == 3 else None
            return Outcome(job, Checkpoint({}), dict.fromkeys(job.tasks, 1.0), affinity)

    def groups(text: str, setting: Setting) -> list[str]:
        served = carry_out(registry.parse(text).schedule(setting), _Changing())
        return [s.tasks for s in served]

    published = Setting("sdn", 60, protocol=RELEASE)
    assert groups("mas:splits=2", published) == ["sd", "n"]
    assert groups("mas:splits=2", Setting("sdn", 60)) == ["sn", "d"]
    assert registry.parse("mas").parameters(published) == {
        **registry.parse("mas").parameters(Setting("sdn", 60)),
        "exact": False, "lr": "restart", "affinity_rounds": 10,
    }  # fmt: skip
    assert registry.parse("mas:merge_rounds=4").parameters(published)["affinity_rounds"] == 4
    assert registry.parse("mas:lr=continue").parameters(published)["lr"] == "continue"


def test_published_look_aheads_never_apply_momentum() -> None:
    """The published code looks for the buffers where they are not; only momentum=yes has them."""
    assert registry.parse("mas").parameters(Setting("sd", 4, protocol=RELEASE))["momentum"] is False
    assert LocalTraining(1, 2, protocol=RELEASE).look_ahead(0.1).momentum == 0.0


def test_protocol_is_an_option_of_a_run() -> None:
    """It reaches methods and clients, brings its loss along, and a wrong name is refused."""
    config = make_multitask_config({"protocol": "release"})

    assert config.setting.protocol is RELEASE
    assert settings_of(config).training.protocol is RELEASE
    assert config.loss == "release"
    assert make_multitask_config({"protocol": "release", "loss": "plain"}).loss == "plain"
    assert MultitaskConfig().setting.protocol is REPAIRED
    assert settings_of(MultitaskConfig()).training.protocol is REPAIRED
    with pytest.raises(UsageError, match="protocol 'relase'"):
        make_multitask_config({"protocol": "relase"})


class _Scaled(torch.autograd.Function):
    """Pass features on, and 1/√n of their gradient back, as the published code does."""

    @staticmethod
    def forward(ctx, features, n):
        ctx.n = n
        return features.view_as(features)

    @staticmethod
    def backward(ctx, gradient):
        return gradient / np.sqrt(ctx.n), None


def _published_look_ahead(net, batch, losses, rate) -> dict[tuple[str, str], float]:
    """Move the real encoder to and fro; entry (j, i) is the effect of i on j, over the rate."""
    images, targets = batch
    found = {}
    kept = [p.data for p in net.encoder.parameters()]
    for source in net.tasks:
        gradients = torch.autograd.grad(losses[source], net.encoder.parameters(), retain_graph=True)
        for p, gradient in zip(net.encoder.parameters(), gradients, strict=True):
            p.data = p.data - rate * (gradient + DECAY * p.data)
        with torch.no_grad():
            predictions = net(images)
        for task, y in predictions.items():
            after = task_loss(task, y, targets[task]).item()
            found[task, source] = (1 - after / losses[task].item()) / rate
        for p, data in zip(net.encoder.parameters(), kept, strict=True):
            p.data = data
    return found


def _published_client(net, batches, order, rate, settings) -> Counter[tuple[str, str]]:
    """Train as the published client does; return its affinities, epochs summed in Counters."""
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), rate, momentum=MOMENTUM, weight_decay=DECAY)
    total: Counter[tuple[str, str]] = Counter()
    for epoch in range(settings.epochs):
        loader = list(batches.epoch(settings.batch_size, order, rest=True, augment="flip"))
        summed: Counter[tuple[str, str]] = Counter()
        for i, (images, targets) in enumerate(loader):
            optimizer.zero_grad()
            features = _Scaled.apply(net.encoder(images), len(net.tasks))
            losses = {t: task_loss(t, net.decoders[t](features), targets[t]) for t in net.tasks}
            if i % settings.look_ahead_every == 0:
                found = _published_look_ahead(net, (images, targets), losses, rate)
                for key, value in found.items():
                    summed[key] += value
            sum(losses.values()).backward()
            optimizer.step()
        for key in summed:
            summed[key] /= len(loader) / settings.look_ahead_every
        total = total + summed if epoch else summed
    return total


def _published_job(source, architecture, settings, tasks, rounds, start, order_from):
    """Run one federated job as published; return its weights and the mean affinity matrix."""
    net = build(architecture, tasks, 0)
    if start is not None:
        state = {k: v for k, v in start.items() if k in net.state_dict()}
        net.load_state_dict(state)
    server = {k: v.clone() for k, v in net.state_dict().items()}
    matrices = []
    for r in range(rounds):
        rate = BASE * (1 - r / rounds) ** 0.9
        chosen = _global_choice(r, source.count("train"), 2)
        total = sum(source.length("train", c) for c in chosen)
        sums = {k: torch.zeros_like(v, dtype=torch.float64) for k, v in server.items()}
        of_clients = []
        for client in chosen:
            net.load_state_dict(server)
            batches = ClientBatches(source, "train", client, tasks)
            order = random_stream(0, "order", order_from + r, client)
            of_clients.append(_published_client(net, batches, order, rate, settings))
            for k, v in net.state_dict().items():
                sums[k] += v.double() * batches.length / total
        server = {k: (sums[k] if v.is_floating_point() else sums[k].round()).to(v.dtype)
                  for k, v in server.items()}  # fmt: skip
        matrices.append([[np.mean([c[j, i] for c in of_clients]) for i in tasks] for j in tasks])
    return server, np.mean(matrices[:10], axis=0)


def test_a_published_run_is_the_pipeline_written_out(
    tiny_source, tiny_architecture, federation
) -> None:
    """`mas` under release against plain loops: merged job, its affinity, and a split-off job."""
    settings = replace(federation, training=replace(federation.training, protocol=RELEASE))
    engine = LocalEngine(tiny_source, tiny_architecture, settings, 0, SilentObserver())
    setting = Setting("sdn", 4, protocol=RELEASE)
    merged, *groups = _carry_out("mas:splits=3,exact=yes,merge_rounds=2", setting, engine)

    slow, affinity = _published_job(
        tiny_source, tiny_architecture, settings.training, "sdn", 2, None, 0
    )
    assert merged.affinity.mean == pytest.approx(affinity, abs=2e-4 * np.abs(affinity).max())
    _assert_close(merged.weights.tensors, slow)
    for outcome in groups:
        tasks = outcome.job.tasks
        after, _ = _published_job(
            tiny_source, tiny_architecture, settings.training, tasks, 2, slow, 2
        )
        _assert_close(outcome.weights.tensors, after)
    assert sorted(o.job.tasks for o in groups) == ["d", "n", "s"]


def _assert_close(ours, theirs) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        wanted = theirs[name].double()
        assert torch.allclose(value.double(), wanted, rtol=1e-3, atol=1e-4), name


def test_behaviours_reach_the_weights(make_source, tiny_architecture, federation) -> None:
    """Each behaviour that reaches a client or the server changes the weights by itself."""
    source = make_source((5, 7, 5, 3))
    plain = LocalEngine(source, tiny_architecture, federation, 0, SilentObserver())
    job = Job("sd", 2, measure_affinity=True)
    expected = plain.run(job).weights.tensors
    changed = set()
    for f in fields(Protocol):
        if f.name in ("name", "affinity_rounds"):
            continue
        protocol = replace(REPAIRED, **{f.name: True})
        settings = replace(federation, training=replace(federation.training, protocol=protocol))
        engine = LocalEngine(source, tiny_architecture, settings, 0, SilentObserver())
        weights = engine.run(job).weights.tensors
        if not all(torch.equal(v, expected[k]) for k, v in weights.items()):
            changed.add(f.name)

    assert changed == {"clients_by_round_number", "looks_move_statistics", "trains_on_rest",
                       "mirrors_images"}  # fmt: skip
