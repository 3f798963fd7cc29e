"""Check look-aheads against closed forms and brute force, what they cost, and what they leave."""

import copy
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn

from harness.federated.observer import SilentObserver
from harness.federated.random_streams import random_stream
from harness.records.work import Work
from harness.workloads.multitask.affinity.measure import (
    Apart,
    LookAhead,
    MeasuredStep,
    affinity,
    look_ahead,
    velocity_of,
)
from harness.workloads.multitask.affinity.rule import AffinityRule
from harness.workloads.multitask.planning.plan import random_batch
from harness.workloads.multitask.protocol import Protocol
from harness.workloads.multitask.training.batches import ClientBatches
from harness.workloads.multitask.training.client import LocalTraining, RoundSettings, train_client
from harness.workloads.multitask.training.local_rule import ProjectedGradients, Proximal
from harness.workloads.multitask.work import ENCODER
from models.multitask.balance import BalancedStep
from models.multitask.network import MultiTaskNet, build
from models.multitask.registry import architecture
from models.multitask.step import accumulate_gradients
from models.multitask.weighting import Balanced


class _Point(nn.Module):
    """An encoder whose output is its two parameters, whatever the image."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0, 2.0]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.w.expand(len(images), 2)


def _squared(_task: str, prediction: torch.Tensor, centre: torch.Tensor) -> torch.Tensor:
    return 0.5 * ((prediction - centre) ** 2).sum(1).mean()


def _points(**centres: list[float]):
    """Return a net of two free points, its batch, and the centres of its quadratic losses."""
    net = MultiTaskNet(_Point(), {name: nn.Identity() for name in centres}, _squared)
    return net, (torch.zeros(1, 3, 2, 2), {k: torch.tensor(c) for k, c in centres.items()})


def _measured(net, batch, ahead: LookAhead, velocity=None) -> np.ndarray:
    """Return the affinity that falls off a training step."""
    return affinity(net, batch, ahead, MeasuredStep(net, batch).apart(), velocity)


@pytest.mark.parametrize("measure", [look_ahead, _measured])
def test_quadratic_losses_give_the_closed_form(monkeypatch, measure) -> None:
    """L_j = ½‖w − c_j‖² gives Z[i→j] = (η g_i·g_j − ½η²‖g_i‖²) / L_j.

    With w = (1, 2), c_a = (0, 0), c_b = (2, 0), η = 0.1: Z_aa = Z_bb = .19, Z_ab = Z_ba = .11.
    Linear lacks the second term: .2 and .12.
    """
    net, batch = _points(a=[0.0, 0.0], b=[2.0, 0.0])
    monkeypatch.setattr(MultiTaskNet, "encoder_gradient_scale", 1.0)

    exact = measure(net, batch, LookAhead(0.1))
    linear = measure(net, batch, LookAhead(0.1, mode="linear"))

    assert exact == pytest.approx(np.array([[0.19, 0.11], [0.11, 0.19]]), abs=1e-6)
    assert linear == pytest.approx(np.array([[0.2, 0.12], [0.12, 0.2]]), abs=1e-6)


def test_asymmetric_quadratics_put_the_recipient_in_the_row() -> None:
    """Entry [j, i] is the effect on j of i's step: with unlike losses the transpose differs."""
    centres = {"a": np.array([0.0, 0.0]), "b": np.array([0.0, 1.5])}
    net, batch = _points(a=[0.0, 0.0], b=[0.0, 1.5])
    w, rate = np.array([1.0, 2.0]), 0.1
    step = rate / np.sqrt(2)  # the encoder sees 1/√n of a gradient
    expected, slope = np.empty((2, 2)), np.empty((2, 2))
    for j, recipient in enumerate("ab"):
        for i, source in enumerate("ab"):
            moved = w - step * (w - centres[source])
            before = 0.5 * ((w - centres[recipient]) ** 2).sum()
            expected[j, i] = 1 - 0.5 * ((moved - centres[recipient]) ** 2).sum() / before
            slope[j, i] = step * (w - centres[source]) @ (w - centres[recipient]) / before

    assert look_ahead(net, batch, LookAhead(rate)) == pytest.approx(expected, abs=1e-6)
    assert _measured(net, batch, LookAhead(rate)) == pytest.approx(expected, abs=1e-6)
    assert _measured(net, batch, LookAhead(rate, mode="linear")) == pytest.approx(slope, abs=1e-6)
    assert expected[0, 1] != pytest.approx(expected[1, 0], abs=1e-3)


def test_velocity_and_weight_decay_join_the_step() -> None:
    """The step is η(g_i/√2 + wd·w + μ·v); with v the same for all i every column moves by it."""
    net, batch = _points(a=[0.0, 0.0], b=[0.0, 1.5])
    w, v = np.array([1.0, 2.0]), np.array([0.4, -3.0])
    centres = {"a": np.array([0.0, 0.0]), "b": np.array([0.0, 1.5])}
    ahead = LookAhead(0.1, weight_decay=0.2, momentum=0.9)
    expected, slope = np.empty((2, 2)), np.empty((2, 2))
    for i, source in enumerate("ab"):
        step = 0.1 * ((w - centres[source]) / np.sqrt(2) + 0.2 * w + 0.9 * v)
        for j, recipient in enumerate("ab"):
            before = 0.5 * ((w - centres[recipient]) ** 2).sum()
            expected[j, i] = 1 - 0.5 * ((w - step - centres[recipient]) ** 2).sum() / before
            slope[j, i] = step @ (w - centres[recipient]) / before
    velocity = [torch.tensor(v, dtype=torch.float32)]

    assert _measured(net, batch, ahead, velocity) == pytest.approx(expected, abs=1e-6)
    linear = LookAhead(0.1, 0.2, 0.9, "linear")
    assert _measured(net, batch, linear, velocity) == pytest.approx(slope, abs=1e-6)
    assert look_ahead(net, batch, linear, velocity) == pytest.approx(slope, abs=1e-6)
    without = _measured(net, batch, LookAhead(0.1, 0.2), velocity)
    assert np.sign(without[0, 0]) != np.sign(expected[0, 0])


def test_momentum_looks_where_the_optimizer_would_step() -> None:
    """After some steps, each look-ahead is what SGD itself makes of one task's encoder gradient."""
    net, batch = _conv_net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)
    assert velocity_of(net, optimizer) is None
    for _ in range(3):
        optimizer.zero_grad()
        accumulate_gradients(net, *batch)
        optimizer.step()
    ahead = LookAhead(0.05, 0.01, 0.9)

    z = look_ahead(net, batch, ahead, velocity_of(net, optimizer))
    plain = look_ahead(net, batch, LookAhead(0.05, 0.01))

    for i, source in enumerate("dn"):
        twin = copy.deepcopy(net)
        theirs = torch.optim.SGD(twin.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)
        theirs.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        weight = twin.encoder.weight
        (gradient,) = torch.autograd.grad(_loss(twin, batch, source), weight)
        for parameter in twin.parameters():
            parameter.grad = None
        weight.grad = gradient / np.sqrt(2)
        theirs.step()
        for j, recipient in enumerate("dn"):
            before, after = _loss(net, batch, recipient).item(), _loss(twin, batch, recipient)
            assert z[j, i] == pytest.approx(1 - after.item() / before, rel=1e-9)
    assert not np.allclose(z, plain, rtol=0.1)


def _conv_net():
    torch.manual_seed(0)
    net = MultiTaskNet(
        nn.Conv2d(3, 4, 1, bias=False),
        {"d": nn.Conv2d(4, 1, 1, bias=False), "n": nn.Conv2d(4, 3, 1, bias=False)},
    ).double()
    images = torch.rand(2, 3, 4, 4).double()
    targets = {"d": torch.rand(2, 1, 4, 4).double(), "n": torch.rand(2, 3, 4, 4).double()}
    return net, (images, targets)


def _loss(model: MultiTaskNet, batch, task: str) -> torch.Tensor:
    images, targets = batch
    return (model.decoders[task](model.encoder(images)) - targets[task]).abs().mean()


@pytest.mark.parametrize("measure", [look_ahead, _measured])
def test_linear_encoder_agrees_with_brute_force(measure) -> None:
    """On a linear encoder with two heads every entry equals the loss after a step done by hand."""
    net, batch = _conv_net()
    rate, decay = 0.05, 0.01
    z = measure(net, batch, LookAhead(rate, decay))

    for i, source in enumerate("dn"):
        moved = copy.deepcopy(net)
        (gradient,) = torch.autograd.grad(_loss(moved, batch, source), moved.encoder.weight)
        with torch.no_grad():
            weight = moved.encoder.weight
            weight -= rate * (gradient / np.sqrt(2) + decay * weight)
        for j, recipient in enumerate("dn"):
            before, after = _loss(net, batch, recipient).item(), _loss(moved, batch, recipient)
            assert z[j, i] == pytest.approx(1 - after.item() / before, rel=1e-9)


@pytest.mark.parametrize("tasks", ["d", "sd", "sdnkt"])
def test_measured_step_is_the_plain_step_and_its_affinity_the_pure_one(tasks: str) -> None:
    """Gradients, losses and batch-norm statistics are those of the plain step to the last bit;
    the matrix equals that of a look-ahead that computes everything anew to 1e-5 of its size.
    """
    batch = random_batch(tasks, 4, 32)
    plain, ours, pure = (build(architecture("small"), tasks, 0).train() for _ in range(3))
    losses = accumulate_gradients(plain, *batch)

    step = MeasuredStep(ours, batch)

    assert all(torch.equal(loss, step.losses[t]) for t, loss in losses.items())
    for (name, p), q in zip(plain.named_parameters(), ours.parameters(), strict=True):
        assert torch.equal(p.grad, q.grad), name
    for mode in ("exact", "linear"):
        ahead = LookAhead(0.5, 1e-4, mode=mode)
        z = affinity(ours, batch, ahead, step_of(ours, batch).apart())
        again = look_ahead(pure, batch, ahead)
        assert z == pytest.approx(again, abs=1e-5 * np.abs(again).max())
    assert all(torch.equal(v, plain.state_dict()[k]) for k, v in ours.state_dict().items()
               if "running" not in k and "num_batches" not in k)  # fmt: skip


@pytest.mark.parametrize(
    ("tasks", "rule"),
    [("d", Balanced()), ("sdnkt", Balanced()), ("sdnkt", Balanced(1.5)),
     ("sdnkt", Balanced(1.5, logs=True))],
)  # fmt: skip
def test_measured_balanced_step_is_the_balanced_step(tasks: str, rule: Balanced) -> None:
    """Gradients, losses and batch-norm statistics are those of balanced training, bit for bit."""
    batch = random_batch(tasks, 4, 32)
    plain, ours = (build(architecture("small"), tasks, 0).train() for _ in range(2))
    losses = BalancedStep(plain, rule)(*batch)

    step = MeasuredStep(ours, batch, rule)

    assert all(torch.equal(loss, step.losses[t]) for t, loss in losses.items())
    for (name, p), q in zip(plain.named_parameters(), ours.parameters(), strict=True):
        assert torch.equal(p.grad, q.grad), name


def test_balanced_affinity_tries_the_steps_that_are_taken() -> None:
    """L_j = ½‖w − c_j‖², w = (1, 2), c_a = 0, c_b = (0, 1.5): gradients (1, 2) and (1, .5).

    Balanced, b's gradient grows to the norm of a's, √5 / √1.25 = 2 times. With η = 0.1 and the
    scale 1/√2, exact is the closed form after that step, linear its slope.
    """
    net, batch = _points(a=[0.0, 0.0], b=[0.0, 1.5])
    gradients = {"a": np.array([1.0, 2.0]), "b": np.array([2.0, 1.0])}
    w, centres = np.array([1.0, 2.0]), {"a": np.zeros(2), "b": np.array([0.0, 1.5])}
    step = 0.1 / np.sqrt(2)
    for mode in ("exact", "linear"):
        ahead = LookAhead(0.1, mode=mode)
        z = affinity(net, batch, ahead, MeasuredStep(net, batch, Balanced()).apart())
        for j, recipient in enumerate("ab"):
            own = w - centres[recipient]
            before = 0.5 * own @ own
            for i, source in enumerate("ab"):
                moved = own - step * gradients[source]
                slope = step * gradients[source] @ own / before
                wanted = 1 - 0.5 * moved @ moved / before if mode == "exact" else slope
                assert z[j, i] == pytest.approx(wanted, rel=1e-5), (mode, recipient, source)


def step_of(net, batch) -> MeasuredStep:
    """Return a step on a net whose gradients do not matter."""
    net.zero_grad(set_to_none=True)
    return MeasuredStep(net, batch)


def test_a_measured_step_updates_batch_norm_once(tiny_architecture, tiny_source) -> None:
    """Running statistics after a measured step are those of one plain step, bit for bit."""
    batch = ClientBatches(tiny_source, "train", 0, "sdn").read(np.arange(4))
    plain, ours = (build(tiny_architecture, "sdn", 0).train() for _ in range(2))
    accumulate_gradients(plain, *batch)

    _measured(ours, batch, LookAhead(0.1, 1e-4))

    assert all(torch.equal(v, plain.state_dict()[k]) for k, v in ours.state_dict().items())
    assert int(ours.state_dict()["encoder.1.num_batches_tracked"]) == 1


def test_published_look_aheads_update_batch_norm_n_more_times(tiny_architecture, tiny_source):
    """1 + n updates; the statistics are those of a net that is really moved n times and back."""
    images, targets = batch = ClientBatches(tiny_source, "train", 0, "sdn").read(np.arange(4))
    ours, slow = (build(tiny_architecture, "sdn", 0).train() for _ in range(2))
    ahead = LookAhead(0.1, 1e-4, moves_statistics=True)
    clean = _measured(build(tiny_architecture, "sdn", 0).train(), batch, LookAhead(0.1, 1e-4))

    z = _measured(ours, batch, ahead)

    start = copy.deepcopy(dict(slow.encoder.named_parameters()))
    predictions = slow(images)
    gradients = [
        torch.autograd.grad(
            slow.loss(t, predictions[t], targets[t]), slow.encoder.parameters(), retain_graph=True
        )
        for t in "sdn"
    ]
    for gradient in gradients:
        with torch.no_grad():
            for (name, p), g in zip(slow.encoder.named_parameters(), gradient, strict=True):
                p.copy_(start[name] - 0.1 * (g / np.sqrt(3) + 1e-4 * start[name]))
            slow(images)
    for name, buffer in ours.named_buffers():
        assert torch.allclose(buffer.double(), slow.get_buffer(name).double(), atol=1e-5), name
    assert int(ours.state_dict()["encoder.1.num_batches_tracked"]) == 1 + 3
    assert int(ours.state_dict()["decoders.d.1.num_batches_tracked"]) == 1 + 3
    assert z == pytest.approx(clean, abs=1e-7)


@pytest.mark.parametrize("name", ["small", "xception"])
def test_linear_is_the_limit_of_small_steps(name: str) -> None:
    """As η falls every entry meets the exact one, sign and size; brute force gives the same."""
    tasks = "sdn"
    batch = random_batch(tasks, 2, 32 if name == "xception" else 16)
    batch = (batch[0].double(), {t: y if t == "s" else y.double() for t, y in batch[1].items()})
    net = build(architecture(name), tasks, 0).double().train()
    rate = 1e-6 if name == "small" else 1e-9
    exact = look_ahead(net, batch, LookAhead(rate))
    parameters = list(net.encoder.parameters())
    velocity = [torch.randn_like(p) for p in parameters]
    linear = look_ahead(net, batch, LookAhead(rate, mode="linear"))
    drifting = look_ahead(net, batch, LookAhead(rate, 0.1, 0.9, "linear"), velocity)
    pairs = zip(parameters, velocity, strict=True)
    drift = torch.cat([(0.1 * p.detach() + 0.9 * v).flatten() for p, v in pairs]).numpy()

    assert linear == pytest.approx(exact, rel=2e-2, abs=1e-12)
    flat = {}
    for task in tasks:
        loss = net.loss(task, net.decoders[task](net.encoder(batch[0])), batch[1][task])
        gradients = torch.autograd.grad(loss, parameters)
        flat[task] = loss.item(), torch.cat([g.flatten() for g in gradients]).numpy()
    for j, (loss, own) in enumerate(flat.values()):
        for i, (_, other) in enumerate(flat.values()):
            assert linear[j, i] == pytest.approx(rate / np.sqrt(3) / loss * own @ other, rel=1e-9)
            step = other / np.sqrt(3) + drift
            assert drifting[j, i] == pytest.approx(rate / loss * own @ step, rel=1e-9)


def test_a_batch_without_labels_shows_no_effect() -> None:
    """A task whose loss is 0 as nothing is labelled has 0 in its row, in both modes."""
    net, batch = _points(a=[1.0, 2.0], b=[0.0, 1.5])

    for mode in ("exact", "linear"):
        z = _measured(net, batch, LookAhead(0.1, mode=mode))
        assert z[0].tolist() == [0.0, 0.0]
        assert z[1, 1] > 0


def test_look_ahead_leaves_no_trace(tiny_architecture, tiny_source) -> None:
    """Weights, gradients, optimizer state, batch-norm buffers and random state stay bit for bit."""
    net = build(tiny_architecture, "sdn", 0).train()
    batch = ClientBatches(tiny_source, "train", 0, "sdn").read(np.arange(4))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    accumulate_gradients(net, *batch)
    optimizer.step()
    snapshot = copy.deepcopy((net.state_dict(), optimizer.state_dict()))
    gradients = [p.grad.clone() for p in net.parameters()]
    random_state = torch.get_rng_state()

    for mode in ("exact", "linear"):
        look_ahead(net, batch, LookAhead(0.1, 1e-4, 0.9, mode), velocity_of(net, optimizer))

    assert all(torch.equal(v, snapshot[0][k]) for k, v in net.state_dict().items())
    assert optimizer.state_dict()["state"].keys() == snapshot[1]["state"].keys()
    for index, state in optimizer.state_dict()["state"].items():
        assert torch.equal(state["momentum_buffer"], snapshot[1]["state"][index]["momentum_buffer"])
    for parameter, before in zip(net.parameters(), gradients, strict=True):
        assert torch.equal(parameter.grad, before)
    assert torch.equal(torch.get_rng_state(), random_state)


def test_apart_leaves_the_steps_gradients_alone(tiny_architecture, tiny_source) -> None:
    """What the optimizer is about to use does not change while the look-ahead runs."""
    net = build(tiny_architecture, "sdn", 0).train()
    batch = ClientBatches(tiny_source, "train", 0, "sdn").read(np.arange(4))
    step = MeasuredStep(net, batch)
    before = [p.grad.clone() for p in net.parameters()]

    parts: Apart = step.apart()
    affinity(net, batch, LookAhead(0.1), parts)

    for parameter, gradient in zip(net.parameters(), before, strict=True):
        assert torch.equal(parameter.grad, gradient)
    for parameter, pieces in zip(net.encoder.parameters(), zip(*parts.gradients, strict=True),
                                 strict=True):  # fmt: skip
        assert torch.allclose(parameter.grad, sum(pieces), rtol=1e-4, atol=1e-6)


class _Passes(SilentObserver):
    """Add up the work that is reported, by phase, as the innermost open phase gets it."""

    def __init__(self) -> None:
        self.by_phase: dict[str, Work] = {}
        self._open = ["train"]

    @contextmanager
    def phase(self, name, *, round_index=None, client=None):
        self._open.append(name)
        yield
        self._open.pop()

    def work(self, done: Work) -> None:
        self.by_phase[self._open[-1]] = self.by_phase.get(self._open[-1], Work()) + done


RULES = [
    (None, "exact"), (None, "linear"), (Proximal(0.1), "exact"), (ProjectedGradients(), "linear"),
    (Balanced(), "exact"), (Balanced(), "linear"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "mode"), RULES)
@pytest.mark.parametrize("tasks", ["d", "sdn"])
def test_work_is_the_passes_that_hooks_count(
    tasks, rule, mode, tiny_architecture, tiny_source
) -> None:
    """Every forward and backward of encoder and decoders, one round of one client.

    A backward to the weights is worth two forwards; one that goes only to a decoder's input, one.
    """
    net = build(tiny_architecture, tasks, 0)
    counted = _count_passes(net)
    heard = _Passes()
    settings = LocalTraining(2, 2, look_ahead_every=2, rule=rule, affinity=AffinityRule(mode))
    batches = ClientBatches(tiny_source, "train", 0, tasks)  # 6 images: 3 batches of 2

    train_client(net, batches, RoundSettings(settings, 0.1, True), random_stream(0), heard, 0)

    reported = sum(heard.by_phase.values(), Work()).forwards
    assert reported[ENCODER] == 2 * (counted["forward"] + 2 * counted["backward"])
    for task in tasks:
        passes = counted[f"{task} forward"] + counted[f"{task} backward"]
        assert reported[task] == 2 * (passes + counted[f"{task} weights"])
    assert heard.by_phase["train"].passes("encoder") == 2 * 6


def _count_passes(net: MultiTaskNet) -> Counter[str]:
    """Count forward passes, backward passes, and those that reach a decoder's own weights."""
    counted: Counter[str] = Counter()

    def watch(module: nn.Module, prefix: str) -> None:
        def forward(_module, _inputs, output) -> None:
            counted[prefix + "forward"] += 1
            if output.requires_grad:
                output.register_hook(lambda g: counted.update([prefix + "backward"]) or g)

        module.register_forward_hook(forward)

    watch(net.encoder, "")
    for task, decoder in net.decoders.items():
        watch(decoder, f"{task} ")
        weight = next(decoder.parameters())
        weight.register_hook(lambda g, t=task: counted.update([f"{t} weights"]) or g)
    return counted


def test_published_training_takes_the_rest_of_the_batches(tiny_architecture, make_source) -> None:
    """5 images in batches of 2 are two steps; with `trains_on_rest` three, the last of one image
    and looked ahead on as batch 2 of an epoch.
    """
    source = make_source((5,))
    seen = {}
    for protocol in (Protocol(), Protocol(trains_on_rest=True)):
        heard = _Passes()
        settings = LocalTraining(1, 2, look_ahead_every=2, protocol=protocol)
        batches = ClientBatches(source, "train", 0, "d")
        net = build(tiny_architecture, "d", 0)
        result = train_client(
            net, batches, RoundSettings(settings, 0.1, True), random_stream(0), heard, 0
        )
        seen[protocol.trains_on_rest] = (heard.by_phase["train"].passes("encoder"),
                                         result.affinity.count)  # fmt: skip

    assert seen == {False: (4, 1), True: (5, 2)}


def test_published_training_mirrors_images(tiny_architecture, tiny_source) -> None:
    """Training with mirrored images differs, and is the same every time."""
    ends = []
    for mirrors in (False, True, True):
        net = build(tiny_architecture, "n", 0)
        settings = LocalTraining(1, 2, protocol=Protocol(mirrors_images=mirrors))
        batches = ClientBatches(tiny_source, "train", 0, "n")
        train_client(
            net, batches, RoundSettings(settings, 0.1, True), random_stream(0), SilentObserver()
        )
        ends.append(next(net.encoder.parameters()).detach())

    assert not torch.equal(ends[0], ends[1])
    assert torch.equal(ends[1], ends[2])
