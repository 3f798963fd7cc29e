"""Check steps that weigh tasks against automatic derivatives, torch's Adam and hand calculation."""

import math

import numpy as np
import pytest
import torch

from models.multitask.dual_balance import DualBalancedStep
from models.multitask.gram import GramStep
from models.multitask.gram_weights import gram_weights
from models.multitask.losses import named, task_loss
from models.multitask.network import build
from models.multitask.registry import architecture
from models.multitask.weighted import FamoStep, UncertaintyStep, WeightedStep, famo_slope
from models.multitask.weighting import DualBalanceRule, FamoRule, GramRule

TASKS = "dnk"


def _net():
    return build(architecture("small"), TASKS, 0).double().train()


def _batch(seed: int = 1):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(2, 3, 16, 16, generator=generator, dtype=torch.float64)
    channels = {"d": 1, "n": 3, "k": 1}
    return images, {
        t: torch.rand(2, c, 16, 16, generator=generator, dtype=torch.float64)
        for t, c in channels.items()
    }


def _apart(net, batch):
    """Return each task's loss and its gradient in all parameters, flat, and the encoder's size."""
    losses, rows = [], []
    for task in TASKS:
        loss = task_loss(task, net(batch[0])[task], batch[1][task])
        found = torch.autograd.grad(loss, list(net.parameters()), allow_unused=True)
        rows.append(torch.cat([torch.zeros_like(p).flatten() if g is None else g.flatten()
                               for g, p in zip(found, net.parameters(), strict=True)]))  # fmt: skip
        losses.append(float(loss.detach()))
    return np.array(losses), torch.stack(rows), sum(p.numel() for p in net.encoder.parameters())


def _gradient(net) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in net.parameters()])


def _expected(rows, size, encoder, decoders) -> torch.Tensor:
    """Return Σ w_i·g_i: the encoder's part by one set of weights and 1/√n, the rest by another."""
    shared = torch.as_tensor(np.asarray(encoder)) @ rows[:, :size] / math.sqrt(len(TASKS))
    return torch.cat([shared, torch.as_tensor(np.asarray(decoders)) @ rows[:, size:]])


def test_fixed_weights_are_the_weighted_sum() -> None:
    net, batch = _net(), _batch()
    _, rows, size = _apart(net, batch)

    WeightedStep(net, {"d": 0.5, "n": 2.0, "k": 0.5})(*batch)

    weights = [0.5, 2.0, 0.5]
    assert torch.allclose(_gradient(net), _expected(rows, size, weights, weights), atol=1e-12)


def test_uncertainty_is_the_derivative_of_kendalls_loss() -> None:
    """Weights 1/(2·e^s); s descends on L/(2·e^s) + s/2, differentiated by torch."""
    net, batch = _net(), _batch()
    losses, rows, size = _apart(net, batch)
    state = {"log_variances": torch.tensor([-0.5, 0.2, 1.0], dtype=torch.float64)}
    s = state["log_variances"].clone().requires_grad_()
    (torch.from_numpy(losses) / (2 * s.exp()) + s / 2).sum().backward()

    UncertaintyStep(net, 0.1, state)(*batch)

    weights = (0.5 * torch.exp(-s.detach())).numpy()
    assert torch.allclose(_gradient(net), _expected(rows, size, weights, weights), atol=1e-10)
    assert torch.allclose(state["log_variances"], s.detach() - 0.1 * s.grad, atol=1e-10)


@pytest.mark.parametrize("again", [True, False])
def test_famo_is_its_published_loss_with_torchs_adam(again: bool) -> None:
    """Three steps: gradients of Σ z·log(L)/c, and ξ as torch's own Adam moves it."""
    net = _net()
    state = FamoStep.start(net)
    for name in ("logits", "first_moments", "second_moments"):
        state[name] = state[name].double()
    step = FamoStep(net, FamoRule(most_norm=0.0, again=again), state)
    w = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([w], lr=0.025, weight_decay=0.01)
    before = None

    def move(old, new):
        delta = torch.log(torch.from_numpy(old) + 1e-8) - torch.log(torch.from_numpy(new) + 1e-8)
        (w.grad,) = torch.autograd.grad(torch.softmax(w, -1), w, delta)
        adam.step()

    for number in range(3):
        batch = _batch(number)
        losses, rows, size = _apart(net, batch)
        if not again and before is not None:
            move(before, losses)
        z = torch.softmax(w, -1).detach().numpy()
        weights = z / (losses + 1e-8) / (z / (losses + 1e-8)).sum()
        net.zero_grad()
        step(*batch)
        assert torch.allclose(_gradient(net), _expected(rows, size, weights, weights), atol=1e-9)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.sub_(parameter.grad, alpha=0.1)
        statistics = {n: b.clone() for n, b in net.named_buffers()}
        step.stepped()
        assert all(torch.equal(b, statistics[n]) for n, b in net.named_buffers())
        if again:
            move(losses, _apart(net, batch)[0])
        before = losses
    assert torch.allclose(state["logits"], w.detach(), atol=1e-9)
    assert int(state["steps"]) == (3 if again else 2)


def test_famo_cuts_the_encoders_gradient() -> None:
    net = _net()
    FamoStep(net, FamoRule(most_norm=1e-3), FamoStep.start(net))(*_batch())

    norm = math.sqrt(sum(float((p.grad**2).sum()) for p in net.encoder.parameters()))
    assert norm == pytest.approx(1e-3, rel=1e-3)


def test_famo_leaves_a_task_without_labels_alone() -> None:
    """Its weight is 0 and it shows no fall, whatever its logit."""
    slope = famo_slope(np.zeros(3), np.array([1.0, 0.0, 1.0]), np.array([0.5, 0.0, 1.0]))
    assert slope[1] == pytest.approx(-math.log(2) / 9)  # only by what softmax makes of the others
    images, targets = _batch()
    gaps = {**targets, "d": torch.full_like(targets["d"], torch.nan)}
    net = build(architecture("small"), TASKS, 0, named("masked", masked=True)).double().train()
    step = FamoStep(net, FamoRule(), FamoStep.start(net))
    step(images, gaps)
    step.stepped()
    assert all(p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("sigma", [0.0, 0.5])
def test_db_mtl_is_written_out_slowly(sigma: float) -> None:
    """Log losses, ĝ ← g + β/t^σ·(ĝ − g), equal lengths; two steps, on other weights each."""
    net, beta = _net(), 0.9
    state = DualBalancedStep.start(net)
    smooth = torch.zeros_like(state["smoothed"])
    step = DualBalancedStep(net, DualBalanceRule(beta, sigma), state)
    for number in (1, 2):
        batch = _batch(number)
        losses, rows, size = _apart(net, batch)
        logged = rows / (torch.from_numpy(losses) + 1e-8)[:, None]
        smooth = logged[:, :size] + beta / number**sigma * (smooth - logged[:, :size])
        norms = smooth.norm(dim=1)
        encoder = (norms.max() / norms) @ smooth / math.sqrt(3)
        net.zero_grad()
        step(*batch)

        assert torch.allclose(_gradient(net), torch.cat([encoder, logged[:, size:].sum(0)]),
                              atol=1e-9)  # fmt: skip
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.sub_(parameter.grad, alpha=0.05)


def test_db_mtl_leaves_a_task_without_labels_alone() -> None:
    """What is remembered of it neither fades nor pulls: the step is that of the other tasks."""
    net = build(architecture("small"), TASKS, 0, named("masked", masked=True)).double().train()
    state = DualBalancedStep.start(net)
    step = DualBalancedStep(net, DualBalanceRule(0.5), state)
    step(*_batch())
    remembered = state["smoothed"].clone()
    images, targets = _batch(2)
    targets["n"] = torch.full_like(targets["n"], math.nan)
    net.zero_grad()
    losses = step(images, targets)
    assert float(losses["n"]) == 0.0
    assert torch.equal(state["smoothed"][1], remembered[1])
    assert not torch.equal(state["smoothed"][0], remembered[0])
    seen = state["smoothed"][[0, 2]]
    lengths = seen.norm(dim=1, keepdim=True)
    wanted = (seen * lengths.max() / lengths).sum(0) / math.sqrt(len(TASKS))
    encoder = torch.cat([p.grad.flatten() for p in net.encoder.parameters()])
    assert torch.allclose(encoder, wanted, rtol=1e-9)


@pytest.mark.parametrize("name", ["cagrad", "imtl-g", "nash-mtl", "fairgrad"])
def test_gram_rules_weigh_parameter_gradients(name: str) -> None:
    """The encoder's gradients, task by task; decoders are weighted by Nash-MTL and FairGrad."""
    net, batch = _net(), _batch()
    _, rows, size = _apart(net, batch)
    shared = rows[:, :size]
    weights = gram_weights(name, (shared @ shared.T).numpy(), 0.4)

    GramStep(net, GramRule(name, 0.4))(*batch)

    decoders = weights if name in ("nash-mtl", "fairgrad") else np.ones(3)
    assert torch.allclose(_gradient(net), _expected(rows, size, weights, decoders), atol=1e-9)


def test_gram_rules_at_the_features_weigh_by_gradients_there() -> None:
    """Inner products are those of the gradients at the encoder's output."""
    net, batch = _net(), _batch()
    features = net.encode(batch[0]).detach().requires_grad_()
    at = [torch.autograd.grad(task_loss(t, net.decoders[t](features), batch[1][t]), features)[0]
          for t in TASKS]  # fmt: skip
    there = torch.stack([g.flatten() for g in at])
    weights = gram_weights("mgda", (there @ there.T).numpy(), 0.0)
    _, rows, size = _apart(net, batch)

    GramStep(net, GramRule("mgda", at="features"))(*batch)

    assert torch.allclose(_gradient(net), _expected(rows, size, weights, np.ones(3)), atol=1e-9)
