"""Means over images, as numbers taken one by one give them, to the last bit."""

import torch

from harness.workloads.multitask.training.losses_seen import mean_losses


def test_means_are_those_of_numbers_taken_one_by_one() -> None:
    generator = torch.Generator().manual_seed(0)
    passed = [
        (images, {task: torch.rand((), generator=generator) for task in "sd"})
        for images in (8, 8, 3, 1)
    ]
    sums = dict.fromkeys("sd", 0.0)
    for images, losses in passed:
        for task, loss in losses.items():
            sums[task] += float(loss) * images
    assert mean_losses(("s", "d"), passed) == {task: total / 20 for task, total in sums.items()}


def test_a_loss_is_weighted_by_its_images() -> None:
    """(3 × 1 + 1 × 5) / 4 = 2."""
    passed = [(3, {"s": torch.tensor(1.0)}), (1, {"s": torch.tensor(5.0)})]
    assert mean_losses("s", passed) == {"s": 2.0}
