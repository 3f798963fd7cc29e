"""What a GPU would be given is counted operation by operation, from shapes that are known."""

import torch
from torch import nn

from models.kernels import kernels_of


def counted(step):
    """Return the number of kernels and their FLOP."""
    found = kernels_of(step)
    return sum(k.count for k in found), sum(k.count * k.flop for k in found)


def test_convolution_forward_counts_two_per_multiplication():
    """Four filters of 3 × 3 × 3 over 6 × 6 places of two images; it reads and writes each once."""
    layer, images = nn.Conv2d(3, 4, 3, bias=False), torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        (kernel,) = kernels_of(lambda: layer(images))
    assert kernel.count == 1
    assert kernel.flop == 2 * 2 * 36 * 4 * 27
    assert kernel.moved_bytes == 4 * (2 * 3 * 64 + 4 * 27 + 2 * 4 * 36)


def test_backward_is_a_kernel_for_weights_and_one_for_what_came_in():
    layer, images = nn.Conv2d(3, 4, 3, bias=False), torch.rand(2, 3, 8, 8)
    output = layer(images)
    assert counted(lambda: output.backward(output.detach())) == (1, 2 * 2 * 36 * 4 * 27)
    images.requires_grad_()
    output, layer.weight.grad = layer(images), None
    assert counted(lambda: output.backward(output.detach())) == (2, 4 * 2 * 36 * 4 * 27)


def test_optimizer_is_counted_and_views_are_not():
    """Without momentum it is one kernel for each of two parameters; a view is none."""
    layer = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, foreach=False)
    layer(torch.rand(1, 3)).sum().backward()
    assert counted(optimizer.step) == (2, 0)
    values = torch.rand(4, 4)

    def look() -> None:
        values.view(2, 8).transpose(0, 1)[1:].detach()

    assert counted(look) == (0, 0)
