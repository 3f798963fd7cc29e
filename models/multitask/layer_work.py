"""Count and time what the layers of a network do, one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn

TRAINING_FACTOR = 3
"""A training pass: forward, and a backward worth two: gradients of the input and of the weights."""

TURNS = 3
LONG_S = 0.1
"""A layer that takes longer is timed once."""

CALL_TURNS = 15

Clock = Callable[[], float]


@dataclass(frozen=True)
class LayerCall:
    """Hold one call of a leaf layer: the shapes that went in and came out, batch first."""

    layer: nn.Module
    inputs: torch.Size
    outputs: torch.Size
    channels_last: bool

    @property
    def convolves(self) -> bool:
        """Say whether it is a (transposed) convolution."""
        return isinstance(self.layer, nn.Conv2d | nn.ConvTranspose2d)

    @property
    def multiply_accumulates(self) -> int:
        """Return those of a forward pass of the whole batch; 0 unless it is a convolution."""
        layer = self.layer
        if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            return 0
        kernel = layer.kernel_size[0] * layer.kernel_size[1]
        if isinstance(layer, nn.ConvTranspose2d):
            return self.inputs.numel() * kernel * layer.out_channels // layer.groups
        return self.outputs.numel() * kernel * layer.in_channels // layer.groups


@dataclass(frozen=True)
class LayerTimes:
    """Hold what the layers of one part take in a training step of a batch, each timed by itself.

    `arithmetic_s` is that of convolutions, less what calling a convolution costs however small it
    is; `flop` are their operations, forward and backward.
    """

    total_s: float
    arithmetic_s: float
    flop: float

    def __add__(self, other: LayerTimes) -> LayerTimes:
        return LayerTimes(
            self.total_s + other.total_s,
            self.arithmetic_s + other.arithmetic_s,
            self.flop + other.flop,
        )


def layer_calls(module: nn.Module, example: Tensor) -> list[LayerCall]:
    """Return the calls of leaf layers in a forward pass of a batch, in order."""
    found: list[LayerCall] = []

    def record(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        last = inputs[0].is_contiguous(memory_format=torch.channels_last)
        found.append(LayerCall(layer, inputs[0].shape, output.shape, last))

    leaves = [m for m in module.modules() if not list(m.children())]
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
    total = sum(call.multiply_accumulates for call in layer_calls(module, example))
    return total // example.shape[0]


def time_layers(
    module: nn.Module, example: Tensor, *, images: bool, clock: Clock = time.perf_counter
) -> LayerTimes:
    """Time every layer forward and backward on made-up values; batch-norm statistics move.

    If the example is `images`, nothing flows back into layers before the first that has weights.
    """
    call_s = _call_s(clock)
    total_s, arithmetic_s, flop = 0.0, 0.0, 0.0
    flows = not images
    for call in layer_calls(module, example):
        taken_s = min(_times_s(call, TURNS, clock, flows=flows))
        flows = flows or any(True for _ in call.layer.parameters())
        total_s += taken_s
        if call.convolves:
            arithmetic_s += max(taken_s - call_s, 0.0)
            flop += TRAINING_FACTOR * 2.0 * call.multiply_accumulates
    return LayerTimes(total_s, arithmetic_s, flop)


def _call_s(clock: Clock) -> float:
    """Return what a convolution takes that has next to nothing to compute."""
    layer = nn.Conv2d(4, 4, 3, padding=1)
    shape = torch.Size((1, 4, 4, 4))
    return median(_times_s(LayerCall(layer, shape, shape, True), CALL_TURNS, clock, flows=True))


def _times_s(call: LayerCall, turns: int, clock: Clock, *, flows: bool) -> Iterator[float]:
    """Yield the seconds of some forward and backward passes, after one that is not counted."""
    layout = torch.channels_last if call.channels_last else torch.contiguous_format
    values = torch.rand(call.inputs).contiguous(memory_format=layout).requires_grad_(flows)
    upstream = torch.ones(call.outputs).contiguous(memory_format=layout)
    for turn in range(turns + 1):
        x = values * 1.0  # no leaf: a layer may work in place
        start_s = clock()
        y: Tensor = call.layer(x)
        if y.requires_grad:
            y.backward(upstream)  # type: ignore[no-untyped-call]
        taken_s = clock() - start_s
        values.grad = None
        for weight in call.layer.parameters():
            weight.grad = None
        if turn:
            yield taken_s
            if taken_s > LONG_S:
                return
