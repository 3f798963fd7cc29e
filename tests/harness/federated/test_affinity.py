"""Check look-ahead affinity against closed forms and brute force, and that it leaves no trace."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from harness.federated.affinity import combine_clients, look_ahead
from harness.federated.batches import ClientBatches
from models.network import MultiTaskNet, build


class _Point(nn.Module):
    """An encoder whose output is its two parameters, whatever the image."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0, 2.0]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.w.expand(len(images), 2)


def _squared(_task: str, prediction: torch.Tensor, centre: torch.Tensor) -> torch.Tensor:
    return 0.5 * ((prediction - centre) ** 2).sum(1).mean()


def test_quadratic_losses_give_the_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """L_j = ½‖w − c_j‖² gives Z[i→j] = (η g_i·g_j − ½η²‖g_i‖²) / L_j.

    With w = (1, 2), c_a = (0, 0), c_b = (2, 0), η = 0.1: Z_aa = Z_bb = .19, Z_ab = Z_ba = .11.
    """
    net = MultiTaskNet(_Point(), {"a": nn.Identity(), "b": nn.Identity()}, _squared)
    monkeypatch.setattr(MultiTaskNet, "encoder_gradient_scale", 1.0)
    targets = {"a": torch.tensor([0.0, 0.0]), "b": torch.tensor([2.0, 0.0])}

    z = look_ahead(net, torch.zeros(1, 3, 2, 2), targets, 0.1)

    assert z == pytest.approx(np.array([[0.19, 0.11], [0.11, 0.19]]), abs=1e-6)


def test_asymmetric_quadratics_put_the_recipient_in_the_row() -> None:
    """Entry [j, i] is the effect on j of i's step: with unlike losses the transpose differs."""
    net = MultiTaskNet(_Point(), {"a": nn.Identity(), "b": nn.Identity()}, _squared)
    centres = {"a": np.array([0.0, 0.0]), "b": np.array([0.0, 1.5])}
    targets = {k: torch.tensor(c, dtype=torch.float32) for k, c in centres.items()}
    w, rate = np.array([1.0, 2.0]), 0.1
    step = rate / np.sqrt(2)  # the encoder sees 1/√n of a gradient
    expected = np.empty((2, 2))
    for j, recipient in enumerate("ab"):
        for i, source in enumerate("ab"):
            moved = w - step * (w - centres[source])
            before = 0.5 * ((w - centres[recipient]) ** 2).sum()
            expected[j, i] = 1 - 0.5 * ((moved - centres[recipient]) ** 2).sum() / before

    z = look_ahead(net, torch.zeros(1, 3, 2, 2), targets, rate)

    assert z == pytest.approx(expected, abs=1e-6)
    assert z[0, 1] != pytest.approx(z[1, 0], abs=1e-3)


def test_linear_encoder_agrees_with_brute_force() -> None:
    """On a linear encoder with two heads every entry equals the loss after a step done by hand."""
    torch.manual_seed(0)
    net = MultiTaskNet(
        nn.Conv2d(3, 4, 1, bias=False),
        {"d": nn.Conv2d(4, 1, 1, bias=False), "n": nn.Conv2d(4, 3, 1, bias=False)},
    ).double()
    images = torch.rand(2, 3, 4, 4).double()
    targets = {"d": torch.rand(2, 1, 4, 4).double(), "n": torch.rand(2, 3, 4, 4).double()}
    rate, decay = 0.05, 0.01
    z = look_ahead(net, images, targets, rate, decay)

    def loss(model: MultiTaskNet, task: str) -> torch.Tensor:
        return (model.decoders[task](model.encoder(images)) - targets[task]).abs().mean()

    for i, source in enumerate("dn"):
        moved = copy.deepcopy(net)
        (gradient,) = torch.autograd.grad(loss(moved, source), moved.encoder.weight)
        with torch.no_grad():
            weight = moved.encoder.weight
            weight -= rate * (gradient / np.sqrt(2) + decay * weight)
        for j, recipient in enumerate("dn"):
            expected = 1 - (loss(moved, recipient) / loss(net, recipient)).item()
            assert z[j, i] == pytest.approx(expected, rel=1e-9)


def test_look_ahead_leaves_no_trace(tiny_architecture, tiny_source) -> None:
    """Weights, gradients, optimizer state, batch-norm buffers and random state stay bit for bit."""
    net = build(tiny_architecture, "sdn", 0).train()
    images, targets = ClientBatches(tiny_source, "train", 0, "sdn").read(np.arange(4))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net(images)["d"].abs().mean().backward()
    optimizer.step()
    snapshot = copy.deepcopy((net.state_dict(), optimizer.state_dict()))
    gradients = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    random_state = torch.get_rng_state()

    look_ahead(net, images, targets, 0.1, 1e-4)

    for now, then in ((net.state_dict(), snapshot[0]), (optimizer.state_dict()["state"],) * 2):
        assert now.keys() == then.keys()
    assert all(torch.equal(v, snapshot[0][k]) for k, v in net.state_dict().items())
    for index, state in optimizer.state_dict()["state"].items():
        before = snapshot[1]["state"][index]["momentum_buffer"]
        buffer = state["momentum_buffer"]
        assert (buffer is None and before is None) or torch.equal(buffer, before)
    for parameter, before in zip(net.parameters(), gradients, strict=True):
        assert (parameter.grad is None) == (before is None)
        assert before is None or torch.equal(parameter.grad, before)
    assert torch.equal(torch.get_rng_state(), random_state)


def test_negative_values_survive_averaging_and_clients_count_alike() -> None:
    """Mean over a client's look-aheads first, then over clients, with nothing clipped at zero."""
    one = [np.array([[0.0, 0.7], [0.1, 0.0]]), np.array([[0.0, -0.9], [0.1, 0.0]])]
    two = [np.array([[0.0, -0.5], [0.3, 0.0]])]

    result = combine_clients(4, [one, two])

    assert result.mean == pytest.approx(np.array([[0, (-0.1 - 0.5) / 2], [0.2, 0]]))
    assert result.std[0, 1] == pytest.approx(np.std([-0.1, -0.5], ddof=1))
    assert (result.round, result.count) == (4, 3)


def test_one_client_has_no_spread() -> None:
    """The spread between clients of a single client is not available, not zero."""
    result = combine_clients(0, [[np.eye(2)]])

    assert np.isnan(result.std).all()
