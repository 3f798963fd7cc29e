"""Check the memory-lean merged step against automatic differentiation of the summed loss."""

import math

import pytest
import torch

from models.multitask.losses import task_loss
from models.multitask.network import build
from models.multitask.registry import architecture
from models.multitask.step import accumulate_gradients
from models.multitask.tasks import TASKS


def _batch(tasks: str) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(3, 3, 64, 64, generator=generator)
    targets = {
        t: torch.randint(0, 18, (3, 64, 64), generator=generator)
        if TASKS[t].loss == "cross-entropy"
        else torch.rand(3, TASKS[t].channels, 64, 64, generator=generator)
        for t in tasks
    }
    return images, targets


@pytest.mark.parametrize("tasks", ["d", "sd", "sdnkt", "sdnkterca"])
def test_gradients_are_those_of_the_summed_loss_with_the_encoder_scaled(tasks: str) -> None:
    """Decoders get the plain gradient, the encoder 1/√n of it, to 1e-5 of the largest entry."""
    images, targets = _batch(tasks)
    net = build(architecture("small"), tasks, 0).double()
    images, targets = (
        images.double(),
        {t: y if TASKS[t].loss == "cross-entropy" else y.double() for t, y in targets.items()},
    )
    losses = accumulate_gradients(net, images, targets)
    reference = build(architecture("small"), tasks, 0).double()
    expected = {t: task_loss(t, y, targets[t]) for t, y in reference(images).items()}
    torch.stack(list(expected.values())).sum().backward()

    scales = {"encoder": 1 / math.sqrt(len(tasks)), "decoders": 1.0}
    pairs = zip(net.named_parameters(), reference.parameters(), strict=True)
    for (name, ours), theirs in pairs:
        wanted = theirs.grad * scales[name.split(".")[0]]
        assert torch.allclose(ours.grad, wanted, rtol=1e-5, atol=1e-5 * float(wanted.abs().max()))
    assert {t: float(v) for t, v in losses.items()} == pytest.approx(
        {t: v.item() for t, v in expected.items()}
    )


def test_class_zero_carries_no_loss() -> None:
    """Cross entropy skips pixels of id 0: only the others are averaged."""
    prediction = torch.zeros(1, 18, 2, 2)
    prediction[0, 3, 0, 0] = 2.0
    target = torch.tensor([[[3, 0], [0, 0]]])

    expected = math.log(math.exp(2.0) + 17) - 2.0
    assert float(task_loss("s", prediction, target)) == pytest.approx(expected)


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_coarse_class_scores_count_for_their_blocks(factor: int) -> None:
    """The loss equals torch's cross entropy of scores enlarged to the labels' size."""
    generator = torch.Generator().manual_seed(2)
    scores = torch.randn(3, 18, 8 // factor, 8 // factor, generator=generator)
    ids = torch.randint(0, 18, (3, 8, 8), generator=generator)
    enlarged = scores.repeat_interleave(factor, 2).repeat_interleave(factor, 3)

    expected = torch.nn.functional.cross_entropy(enlarged, ids, ignore_index=0)
    assert float(task_loss("s", scores, ids)) == pytest.approx(float(expected), rel=1e-6)
