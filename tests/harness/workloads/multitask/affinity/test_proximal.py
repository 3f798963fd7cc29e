"""Check steps taken in parts against closed forms and against weights that are really moved."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from harness.core.errors import UsageError
from harness.federated.job import Checkpoint
from harness.federated.observer import SilentObserver
from harness.federated.random_streams import random_stream
from harness.records.work import Work
from harness.workloads.multitask.affinity.matrix import Affinity
from harness.workloads.multitask.affinity.measure import LookAhead, look_ahead
from harness.workloads.multitask.affinity.proximal import StepInParts
from harness.workloads.multitask.affinity.rule import AffinityRule
from harness.workloads.multitask.job import Job, Outcome
from harness.workloads.multitask.methods.registry import parse
from harness.workloads.multitask.methods.schedule import Setting
from harness.workloads.multitask.planning.plan import random_batch
from harness.workloads.multitask.sharing import JobLibrary
from harness.workloads.multitask.training.batches import ClientBatches
from harness.workloads.multitask.training.client import LocalTraining, RoundSettings, train_client
from harness.workloads.multitask.training.local_rule import Proximal
from harness.workloads.multitask.work import ENCODER
from models.execution import Execution
from models.multitask.network import MultiTaskNet, build
from models.multitask.registry import architecture
from models.multitask.weighting import Balanced

W = np.array([1.0, 2.0])
CENTRES = {"a": np.array([0.0, 0.0]), "b": np.array([0.0, 1.5])}
PROXIMAL = AffinityRule("proximal")


class _Point(nn.Module):
    """An encoder whose output is its two parameters, whatever the image."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(W))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.w.expand(len(images), 2)


def _squared(_task: str, prediction: torch.Tensor, centre: torch.Tensor) -> torch.Tensor:
    return 0.5 * ((prediction - centre) ** 2).sum(1).mean()


def _loss(w: np.ndarray, task: str) -> float:
    return 0.5 * float(((w - CENTRES[task]) ** 2).sum())


@pytest.mark.parametrize("turns", [(0, 1), (1, 0)])
def test_each_part_is_credited_to_its_own_task(turns: tuple[int, int]) -> None:
    """L_j = ½‖w − c_j‖², w = (1, 2): parts of size η/√2 towards c_a and c_b, one after the other.

    The recipient is in the row. As released, losses before a part are compared with those before
    the part before it, which credits the second task with what the first one did.
    """
    net = MultiTaskNet(_Point(), {name: nn.Identity() for name in CENTRES}, _squared)
    batch = torch.zeros(1, 3, 2, 2), {k: torch.tensor(c) for k, c in CENTRES.items()}
    order, rate = ["ab"[turn] for turn in turns], 0.3
    places = [W]
    for task in order:
        places.append(places[-1] - rate / np.sqrt(2) * (places[-1] - CENTRES[task]))
    wanted = {
        (j, i): 1 - _loss(places[k + 1], j) / _loss(places[k], j)
        for k, i in enumerate(order)
        for j in "ab"
    }

    step = StepInParts(net, batch, LookAhead(rate), turns)
    z = step.finish()
    losses = step.give()

    for (j, i), value in wanted.items():
        assert z["ab".index(j), "ab".index(i)] == pytest.approx(value, rel=1e-12), (j, i)
    assert abs(wanted["b", "a"] - wanted["b", "b"]) > 0.1
    assert net.encoder.w.tolist() == W.tolist()
    assert net.encoder.w.grad.numpy() * rate == pytest.approx(W - places[-1], rel=1e-12)
    assert {task: float(loss) for task, loss in losses.items()} == pytest.approx(
        {task: _loss(W, task) for task in "ab"}
    )


def test_a_task_without_labels_shows_no_effect() -> None:
    net = MultiTaskNet(_Point(), {name: nn.Identity() for name in "ab"}, _squared)
    batch = torch.zeros(1, 3, 2, 2), {"a": torch.tensor(W), "b": torch.tensor([0.0, 1.5])}

    z = StepInParts(net, batch, LookAhead(0.3), (0, 1)).finish()

    assert z[0].tolist() == [0.0, 0.0]
    assert z[1, 1] > 0


def _really_moved(net, batch, rate: float, turns, rule: Balanced | None):
    """Return Z, and the net with every part's step taken, by autograd and plain SGD."""
    images, targets = batch
    own = copy.deepcopy(net)
    tasks, factors, slopes = own.tasks, np.ones(len(own.tasks)), np.ones(len(own.tasks))

    def losses():
        passing = copy.deepcopy(own)
        with torch.no_grad():
            found = passing(images)
            return np.array([float(own.loss(t, found[t], targets[t])) for t in tasks])

    def at_features(task):
        features = own.encoder(images)
        shared = features.detach().requires_grad_()
        loss = own.loss(task, own.decoders[task](shared), targets[task])
        return features, loss, shared

    if rule is not None:
        found = [at_features(task)[1:] for task in tasks]
        norms = np.array([float(torch.autograd.grad(x, at)[0].norm()) for x, at in found])
        if rule.logs:
            slopes = np.array([1 / (loss.item() + 1e-8) for loss, _ in found])
        pull = np.array([rule.detail if t in "kta" else 1.0 for t in tasks])
        factors = pull * (slopes * norms).max() / norms
    z = np.zeros((len(tasks),) * 2)
    for place in turns:
        task, before = tasks[place], losses()
        parts = [*own.encoder.parameters(), *own.decoders[task].parameters()]
        optimizer = torch.optim.SGD(parts, lr=rate)
        optimizer.zero_grad()
        features, loss, shared = at_features(task)
        (slopes[place] * loss).backward()
        scale = factors[place] / slopes[place] / np.sqrt(len(tasks))
        features.backward(shared.grad * scale)
        optimizer.step()
        z[:, place] = 1 - losses() / before
    return z, own


@pytest.mark.parametrize("rule", [None, Balanced(1.5), Balanced(1.5, logs=True)])
@pytest.mark.parametrize("name", ["tiny", "small"])
def test_parts_are_what_moving_the_weights_gives(name, rule, tiny_architecture) -> None:
    """Every entry, and the sum of the gradients; of the network itself only statistics move."""
    network = tiny_architecture if name == "tiny" else architecture(name)
    images, targets = random_batch("sdnk", 3, 32)
    batch = images.double(), {t: y if t == "s" else y.double() for t, y in targets.items()}
    net = build(network, "sdnk", 1).double().train()
    passed, before, turns = copy.deepcopy(net), copy.deepcopy(net), [2, 0, 3, 1]
    passed(batch[0])
    wanted, moved = _really_moved(net, batch, 0.05, turns, rule)

    step = StepInParts(net, batch, LookAhead(0.05), turns, rule)
    z = step.finish()
    assert all(torch.equal(v, before.state_dict()[n]) for n, v in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    step.give()

    assert z == pytest.approx(wanted, rel=1e-8, abs=1e-11)
    for (key, p), q in zip(net.named_parameters(), moved.parameters(), strict=True):
        assert torch.allclose(p - 0.05 * p.grad, q, rtol=1e-9, atol=1e-12), key
    for key, buffer in net.named_buffers():
        assert torch.allclose(buffer.double(), passed.get_buffer(key).double()), key


def test_small_parts_are_look_aheads(tiny_architecture) -> None:
    """As η falls what was moved before a part no longer matters: off the diagonal Z is that of
    exact look-aheads; on it the decoder has moved as well.
    """
    images, targets = random_batch("sdn", 3, 16)
    batch = images.double(), {t: y if t == "s" else y.double() for t, y in targets.items()}
    net = build(tiny_architecture, "sdn", 0).double().train()
    off = ~np.eye(3, dtype=bool)

    exact = look_ahead(net, batch, LookAhead(1e-5))
    z = StepInParts(net, batch, LookAhead(1e-5), [1, 2, 0]).finish()

    assert z[off] == pytest.approx(exact[off], rel=1e-2)
    assert (np.diag(z) > np.diag(exact)).all()


def test_published_statistics_see_every_pass(tiny_architecture) -> None:
    net = build(tiny_architecture, "sdn", 0).train()
    step = StepInParts(
        net, random_batch("sdn", 3, 16), LookAhead(0.05, moves_statistics=True), (0, 1, 2)
    )
    step.finish()
    step.give()
    assert int(net.state_dict()["encoder.1.num_batches_tracked"]) == 4
    assert int(net.state_dict()["decoders.d.1.num_batches_tracked"]) == 4


def test_effects_are_seen_in_fp32_whatever_a_step_is_taken_in() -> None:
    """A part's effect is far below the rounding of a loss in bf16."""
    batch = random_batch("sdnkt", 4, 32)
    found = [
        StepInParts(
            build(architecture("small"), "sdnkt", 0).execute_as(how).train(), batch,
            LookAhead(1e-4), range(5),
        ).finish()
        for how in (Execution(), Execution("bf16", "channels-last", "fused"))
    ]  # fmt: skip
    assert found[1] == pytest.approx(found[0], abs=0.02 * np.abs(found[0]).max())


def test_a_clients_round_ends_where_the_sum_of_the_parts_leads(tiny_architecture, tiny_source):
    """One measured batch, then one without: momentum and weight decay are the optimizer's own."""
    net = build(tiny_architecture, "dn", 0).double().train()
    twin = copy.deepcopy(net)
    batches = ClientBatches(tiny_source, "train", 0, "dn")
    read = batches.read
    batches.read = lambda rows: _double(read(rows))
    settings = LocalTraining(1, 3, momentum=0.9, weight_decay=0.01, affinity=PROXIMAL)

    result = train_client(
        net, batches, RoundSettings(settings, 0.1, True), random_stream(5), SilentObserver(), 0
    )

    first, second = list(batches.epoch(3, random_stream(5)))
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    found = []
    for turns in ([0, 1], [1, 0]):
        z, moved = _really_moved(twin, first, 0.1, turns, None)
        found.append((np.abs(z - result.affinity.mean).max(), z, moved))
    _, z, moved = min(found, key=lambda one: one[0])
    assert result.affinity.mean == pytest.approx(z, rel=1e-9)
    for p, q in zip(twin.parameters(), moved.parameters(), strict=True):
        p.grad = (p.detach() - q.detach()) / 0.1
    optimizer.step()
    optimizer.zero_grad()
    images, targets = second
    features = twin.encoder(images)
    shared = features.detach().requires_grad_()
    sum(twin.loss(t, twin.decoders[t](shared), targets[t]) for t in "dn").backward()
    features.backward(shared.grad / np.sqrt(2))
    optimizer.step()
    for (name, p), q in zip(net.named_parameters(), twin.parameters(), strict=True):
        assert torch.allclose(p, q, rtol=1e-9, atol=1e-12), name


def _double(batch):
    images, targets = batch
    return images.double(), {task: target.double() for task, target in targets.items()}


@pytest.mark.parametrize("rule", [None, Balanced(), Proximal(0.1)])
@pytest.mark.parametrize("tasks", ["d", "sdn"])
def test_work_is_the_passes_that_are_counted(
    tasks, rule, tiny_architecture, tiny_source, monkeypatch
) -> None:
    """A forward of a part is worth one, a backward two, one that only reaches its input one."""
    net = build(tiny_architecture, tasks, 0)
    counted = _count_passes(net, monkeypatch)
    heard = Work()

    class _Heard(SilentObserver):
        def work(self, done: Work) -> None:
            nonlocal heard
            heard = heard + done

    settings = LocalTraining(2, 2, look_ahead_every=2, rule=rule, affinity=PROXIMAL)
    train_client(
        net, ClientBatches(tiny_source, "train", 0, tasks), RoundSettings(settings, 0.1, True),
        random_stream(0), _Heard(), 0,
    )  # fmt: skip

    assert heard.forwards == {part: 2.0 * passes for part, passes in counted.items()}


def _count_passes(net, monkeypatch) -> dict[str, float]:
    """Count by part, in batches; gradients of weights show where they are asked for or kept."""
    counted, backward = dict.fromkeys([ENCODER, *net.tasks], 0.0), []

    def watch(part: nn.Module, name: str, worth: float) -> None:
        def passed(gradient):
            counted[name] += worth
            backward.append(name)
            return gradient

        def forward(_module, _inputs, output) -> None:
            counted[name] += 1
            if output.requires_grad:
                output.register_hook(passed)

        part.register_forward_hook(forward)

    watch(net.encoder, ENCODER, 2.0)
    for task, decoder in net.decoders.items():
        watch(decoder, task, 1.0)
        weight = next(decoder.parameters())
        weight.register_hook(lambda g, t=task: counted.update({t: counted[t] + 1.0}) or g)
    grad = torch.autograd.grad

    def watched(outputs, inputs, *others, **options):
        backward.clear()
        found = grad(outputs, inputs, *others, **options)
        if not isinstance(inputs, torch.Tensor) and backward[0] != ENCODER:
            counted[backward[0]] += 1.0  # to the weights too
        return found

    monkeypatch.setattr(torch.autograd, "grad", watched)
    return counted


def _finished(job: Job) -> SimpleNamespace:
    affinity = Affinity(job.tasks, ()) if job.measured_rounds else None
    return SimpleNamespace(
        trained=[Outcome(job, Checkpoint({}), {}, affinity)], session_costs=[], values=[],
        flags=[], peak_memory_bytes=0, peak_gpu_memory_bytes=0,
    )  # fmt: skip


def test_training_that_differs_is_shared_only_with_what_measures_alike(federation) -> None:
    """Rounds measured by look-aheads serve who measures none; those of steps in parts do not."""
    plain, looked = Job("sd", 3), Job("sd", 3, measure_affinity=True)
    parted = replace(looked, affinity=PROXIMAL)
    fewer = replace(parted, affinity_rounds=2)

    def lends(lent: Job, asked: Job) -> bool:
        library = JobLibrary(federation)
        library.add(_finished(lent))
        return library.shared(asked, "other") is not None

    assert lends(looked, plain)
    assert lends(parted, parted)
    assert lends(fewer, fewer)
    for lent, asked in [(parted, plain), (plain, parted), (looked, parted), (parted, looked),
                        (parted, fewer), (fewer, parted)]:  # fmt: skip
        assert not lends(lent, asked), (lent.affinity_rounds, asked.affinity_rounds)


def test_momentum_is_refused() -> None:
    (problem,) = parse("mas-plus:affinity=proximal,momentum=yes").problems(Setting("sdn", 10))
    assert isinstance(problem, UsageError)
    assert "no step" in problem.message
