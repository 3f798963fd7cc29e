"""Count what one forward pass makes a processor do: operations and bytes, layer by layer.

A device is modelled by two ceilings, operations and bytes per second, and a layer costs the larger
of the two times. That is why the layers are kept apart: on processors a decoder at high resolution
is bound by bytes and an encoder by operations, and a single total would hide it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

BACKWARD_FACTOR = 2
"""Backward of a layer ≈ two forwards: gradient of its input and of its weights."""

TRAINING_FACTOR = 1 + BACKWARD_FACTOR


@dataclass(frozen=True)
class LayerWork:
    """Hold what one leaf layer does per image in a forward pass."""

    flop: float
    bytes: float


def forward_layers(
    module: nn.Module, example: Tensor, kinds: tuple[type[nn.Module], ...] = (nn.Module,)
) -> list[LayerWork]:
    """Return the work of every leaf layer of the given kinds for one image.

    `example` is one batch of the module's input; counts are divided by its first dimension.
    Multiply-accumulates of (transposed) convolutions count as two operations, other layers one per
    output element. Bytes are those of input, output and weights, the weights once per batch.
    """
    found: list[LayerWork] = []

    def record(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        batch = output.shape[0]
        weights = sum(p.numel() * p.element_size() for p in layer.parameters())
        moved = inputs[0].numel() * inputs[0].element_size() + output.numel() * 4 + weights
        found.append(LayerWork(_flop(layer, inputs[0], output) / batch, moved / batch))

    leaves = [m for m in module.modules() if not list(m.children()) and isinstance(m, kinds)]
    hooks = [leaf.register_forward_hook(record) for leaf in leaves]
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            module(example)
    finally:
        module.train(was_training)
        for hook in hooks:
            hook.remove()
    return found


def multiply_accumulates(module: nn.Module, example: Tensor) -> int:
    """Return the multiply-accumulates per image of all convolutions, forward only."""
    layers = forward_layers(module, example, (nn.Conv2d, nn.ConvTranspose2d))
    return round(sum(layer.flop for layer in layers) / 2)


def _flop(layer: nn.Module, x: Tensor, y: Tensor) -> float:
    if isinstance(layer, nn.Conv2d):
        kernel = layer.kernel_size[0] * layer.kernel_size[1]
        return 2.0 * y.numel() * kernel * layer.in_channels / layer.groups
    if isinstance(layer, nn.ConvTranspose2d):
        kernel = layer.kernel_size[0] * layer.kernel_size[1]
        return 2.0 * x.numel() * kernel * layer.out_channels / layer.groups
    return float(y.numel())
