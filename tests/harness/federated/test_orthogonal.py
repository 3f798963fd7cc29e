"""The server's orthogonalised step, against singular value decompositions and closed forms."""

from __future__ import annotations

import pytest
import torch

from harness.federated.orthogonal import OrthogonalAverage, evened

SHAPES = ((6, 6), (4, 30), (30, 4), (1, 9), (48, 108))


@pytest.mark.parametrize("shape", SHAPES)
def test_directions_stay_and_become_about_equally_long(shape) -> None:
    """Uᵀ·X·V of the matrix's own U and V is diagonal, and its entries are within 2.2 of another.

    The matrix is made of lengths from 1 to 40, drawn bases and no code of ours.
    """
    generator = torch.Generator().manual_seed(3)
    rank = min(shape)
    u, v = (torch.linalg.qr(torch.randn(size, rank, generator=generator, dtype=torch.float64))[0]
            for size in shape)  # fmt: skip
    lengths = torch.logspace(0.0, 1.6, rank, dtype=torch.float64)
    change = (u * lengths) @ v.T
    kept = u.T @ evened(change.float()).double() @ v
    assert torch.allclose(kept, torch.diag(kept.diagonal()), atol=1e-4 * float(lengths.norm()))
    assert 0 < kept.diagonal().min() <= kept.diagonal().max() <= 2.2 * kept.diagonal().min()
    assert float(kept.norm()) == pytest.approx(float(lengths.norm()), rel=1e-4)


def test_what_is_even_already_stays_as_it_is() -> None:
    angle = torch.tensor(0.7)
    turn = torch.stack([torch.stack([angle.cos(), -angle.sin()]),
                        torch.stack([angle.sin(), angle.cos()])])  # fmt: skip
    assert torch.allclose(evened(0.03 * turn), 0.03 * turn, atol=1e-6)
    line = torch.outer(torch.tensor([3.0, 4.0]), torch.tensor([0.6, 0.8, 0.0]))
    assert torch.allclose(evened(line), line, atol=1e-3)
    assert torch.equal(evened(torch.zeros(3, 5)), torch.zeros(3, 5))


def _joined(before, clients, stretch=1.5):
    average = OrthogonalAverage(sum(w for _, w in clients), before, ("kernel", "bias"), stretch)
    work = [average.add(model, weight) for model, weight in clients]
    return average.result().tensors, work


def test_a_mean_change_that_is_even_is_stretched() -> None:
    """Two clients, weighing 1 and 3, of a kernel of two output channels and one input channel."""
    axes = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]).view(2, 1, 2, 2)
    before = {"kernel": torch.full((2, 1, 2, 2), 5.0), "bias": torch.tensor([1.0, 2.0]),
              "running_mean": torch.tensor([0.0])}  # fmt: skip
    one = {"kernel": before["kernel"] + 4 * axes, "bias": torch.tensor([2.0, 2.0]),
           "running_mean": torch.tensor([4.0])}  # fmt: skip
    found, work = _joined(before, [(one, 1.0), (before, 3.0)])
    assert torch.allclose(found["kernel"], before["kernel"] + 1.5 * axes, atol=1e-5)
    assert found["bias"].tolist() == [1.25, 2.0]
    assert found["running_mean"].tolist() == [1.0]
    first, second = (w.bytes_moved for w in work)
    assert first > second > 0


def test_a_kernel_keeps_its_shape_in_any_memory_format() -> None:
    """A tall kernel in channels-last strides steps as the same numbers in the usual ones do."""
    generator = torch.Generator().manual_seed(1)
    before = {"kernel": torch.randn(40, 2, 3, 3, generator=generator), "bias": torch.zeros(2)}
    model = {"kernel": torch.randn(40, 2, 3, 3, generator=generator), "bias": torch.zeros(2)}
    last = {"kernel": model["kernel"].contiguous(memory_format=torch.channels_last),
            "bias": torch.zeros(2)}  # fmt: skip
    plain, _ = _joined(before, [(model, 2.0)])
    strided, _ = _joined(before, [(last, 2.0)])
    assert plain["kernel"].shape == (40, 2, 3, 3)
    assert torch.equal(plain["kernel"], strided["kernel"])


def test_a_round_in_which_nothing_changed_changes_nothing() -> None:
    before = {"kernel": torch.ones(3, 2, 1, 1), "bias": torch.ones(3)}
    found, _ = _joined(before, [(before, 1.0)])
    assert all(torch.equal(found[name], tensor) for name, tensor in before.items())
