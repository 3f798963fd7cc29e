"""Check that balanced training gives every task the same pull at the encoder, and no more."""

import math

import pytest
import torch

from models.multitask.balance import BalancedStep, added, factors, pulls
from models.multitask.network import build
from models.multitask.registry import architecture
from models.multitask.step import accumulate_gradients
from models.multitask.weighting import Balanced


def _batch(seed: int = 1) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(3, 3, 64, 64, generator=generator)
    targets = {
        "s": torch.randint(1, 18, (3, 64, 64), generator=generator),
        "n": torch.rand(3, 3, 64, 64, generator=generator),
        "t": torch.rand(3, 1, 64, 64, generator=generator),
    }
    return images, targets


def test_every_gradient_grows_to_the_largest_norm() -> None:
    """Norms 5, 1 and 0.1 become 5 each; directions stay."""
    gradients = [torch.tensor(g) for g in ([3.0, 4.0], [1.0, 0.0], [0.0, 0.1])]

    grown = [g * f for g, f in zip(gradients, factors(gradients), strict=True)]

    assert [g.tolist() for g in grown] == [
        pytest.approx([3.0, 4.0]), pytest.approx([5.0, 0.0]), pytest.approx([0.0, 5.0]),
    ]  # fmt: skip


def test_tasks_of_fine_structure_pull_as_much_harder_as_said() -> None:
    """Of s, k, t with norms 4, 1, 2 all come to 4, those of k and t then to 6."""
    gradients = [torch.tensor([4.0]), torch.tensor([1.0]), torch.tensor([2.0])]

    found = pulls("skt", gradients, 1.5)

    assert (found * torch.tensor([4.0, 1.0, 2.0])).tolist() == pytest.approx([4.0, 6.0, 6.0])
    assert torch.equal(pulls("skt", gradients, 1.0), factors(gradients))


def test_a_task_without_labels_does_not_train_the_encoder() -> None:
    gradients = [torch.tensor([0.0, 2.0]), torch.zeros(2)]

    assert factors(gradients).tolist() == [1.0, 0.0]


def test_the_sum_leaves_its_parts_alone() -> None:
    parts = [torch.tensor([1.0]), torch.tensor([2.0])]

    assert added(parts).tolist() == [3.0]
    assert [p.tolist() for p in parts] == [[1.0], [2.0]]


def test_encoder_gradient_is_the_sum_of_normalised_single_task_gradients() -> None:
    """Brute force: one automatic differentiation per task, scaled by hand at the features."""
    images, targets = _batch()
    net = build(architecture("small"), "snt", 0)
    reference = build(architecture("small"), "snt", 0)
    BalancedStep(net, Balanced())(images, targets)

    features = reference.encoder(images)
    losses = [net.loss(t, reference.decoders[t](features), targets[t]) for t in "snt"]
    at_features = [torch.autograd.grad(x, features, retain_graph=True)[0] for x in losses]
    norms = [math.sqrt(float((g.double() ** 2).sum())) for g in at_features]
    assert max(norms) / min(norms) > 2.0  # else nothing would be balanced here
    expected = [torch.zeros_like(p) for p in reference.encoder.parameters()]
    for gradient, norm in zip(at_features, norms, strict=True):
        single = torch.autograd.grad(
            features, list(reference.encoder.parameters()), gradient, retain_graph=True
        )
        for total, part in zip(expected, single, strict=True):
            total.add_(part * (max(norms) / norm / math.sqrt(3)))
    for parameter, wanted in zip(net.encoder.parameters(), expected, strict=True):
        scale = float(wanted.abs().max())
        assert torch.allclose(parameter.grad, wanted, rtol=1e-3, atol=1e-4 * scale)


def test_log_losses_are_differentiated_and_then_made_equally_long() -> None:
    """Brute force: automatic differentiation of log L_i, for decoders and at the features."""
    images, targets = _batch()
    net = build(architecture("small"), "snt", 0)
    reference = build(architecture("small"), "snt", 0)
    told = BalancedStep(net, Balanced(2.0, logs=True))(images, targets)

    features = reference.encoder(images)
    losses = [net.loss(t, reference.decoders[t](features), targets[t]) for t in "snt"]
    logs = [loss.log() for loss in losses]
    at_features = [torch.autograd.grad(x, features, retain_graph=True)[0] for x in logs]
    norms = [float(g.double().norm()) for g in at_features]
    values = [loss.item() for loss in losses]
    plain = [norm * value for norm, value in zip(norms, values, strict=True)]
    assert max(norms) > 1.1 * max(plain)  # else logs would change no length
    merged = sum(
        g * (pull * max(norms) / norm / math.sqrt(3))
        for g, norm, pull in zip(at_features, norms, (1.0, 1.0, 2.0), strict=True)
    )
    encoder = torch.autograd.grad(
        features, list(reference.encoder.parameters()), merged, retain_graph=True
    )
    decoders = torch.autograd.grad(sum(logs), list(reference.decoders.parameters()))
    ours = [*net.encoder.parameters(), *net.decoders.parameters()]
    for parameter, wanted in zip(ours, [*encoder, *decoders], strict=True):
        scale = float(wanted.abs().max())
        assert torch.allclose(parameter.grad, wanted, rtol=1e-3, atol=1e-4 * scale)
    assert [float(told[t]) for t in "snt"] == pytest.approx(values, rel=1e-5)


def test_decoders_and_losses_are_those_of_the_plain_step() -> None:
    images, targets = _batch()
    nets = [build(architecture("small"), "snt", 0) for _ in range(2)]

    balanced = BalancedStep(nets[0], Balanced())(images, targets)
    plain = accumulate_gradients(nets[1], images, targets)

    assert {t: float(v) for t, v in balanced.items()} == {t: float(v) for t, v in plain.items()}
    pairs = zip(nets[0].decoders.parameters(), nets[1].decoders.parameters(), strict=True)
    assert all(torch.equal(a.grad, b.grad) for a, b in pairs)


@pytest.mark.parametrize("logs", [False, True])
def test_a_single_task_is_trained_as_ever(logs) -> None:
    """With one task there is nothing to balance: bit for bit the plain step."""
    images, targets = _batch()
    nets = [build(architecture("small"), "n", 0) for _ in range(2)]
    BalancedStep(nets[0], Balanced(logs=logs))(images, targets)
    accumulate_gradients(nets[1], images, targets)

    pairs = zip(nets[0].parameters(), nets[1].parameters(), strict=True)
    assert all(torch.equal(a.grad, b.grad) for a, b in pairs)
