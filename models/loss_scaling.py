"""Keep small gradients of fp16 layers from vanishing: scale them while they pass those layers.

fp16 has five bits of exponent: below 6e-8 there is nothing, and gradients of mean losses are often
smaller (Micikevicius et al., Mixed Precision Training, ICLR 2018). Usual loss scaling multiplies
the loss; here each stretch of fp16 layers scales what enters it backwards and takes the scale out
where it leaves: whatever reads gradients between stretches, or of weights, sees them unscaled.
A step whose gradients are not finite is left out and the scale is halved, without a question to the
device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

START = 4096.0
"""Scale that every client's round begins with."""

LEAST = 1.0


class GradientScale:
    """Hold the scale of one network on its device."""

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        """Take the scale out of the gradients of weights, which are used within fp16 alone."""
        weights = list(parameters)
        self._weights = weights
        self.value = torch.full((), START, device=weights[0].device)
        self.inverse = 1.0 / self.value
        self.found_inf = torch.zeros((), device=weights[0].device)
        self._one = torch.ones((), device=weights[0].device)
        self._hooks: list[RemovableHandle] = [
            weight.register_hook(lambda gradient: gradient * self.inverse)  # type: ignore[no-untyped-call]
            for weight in weights
        ]

    def reset(self) -> None:
        """Begin with the first scale again."""
        self._set(torch.full_like(self.value, START))

    def remove(self) -> None:
        """Leave the weights' gradients alone from now on."""
        for hook in self._hooks:
            hook.remove()

    def entering(self, x: Tensor) -> Tensor:
        """Return what fp16 layers get: going back, the scale is taken out here."""
        return _scaled(x, self.inverse)

    def leaving(self, x: Tensor) -> Tensor:
        """Return what fp16 layers give: going back, gradients are scaled from here on."""
        return _scaled(x, self.value)

    def check(self) -> Tensor:
        """Return 1 if any gradient of a weight is not finite, else 0, and lower the scale if so."""
        self.found_inf.zero_()
        gradients = [w.grad for w in self._weights if w.grad is not None]
        torch._amp_foreach_non_finite_check_and_unscale_(gradients, self.found_inf, self._one)
        self._set((self.value * (1.0 - 0.5 * self.found_inf)).clamp(min=LEAST))
        return self.found_inf

    def _set(self, value: Tensor) -> None:
        self.value.copy_(value)
        self.inverse.copy_(1.0 / value)


class GuardedSGD(torch.optim.SGD):
    """Be SGD that leaves out a step whose gradients are not finite."""

    def __init__(self, parameters: Any, scale: GradientScale, **settings: Any) -> None:  # noqa: ANN401 - torch's own
        super().__init__(parameters, **settings)
        self._scale = scale
        scale.reset()
        if self.defaults["momentum"]:
            # a fused first step that is left out would leave the velocity unset: whatever was there
            for weight in (w for group in self.param_groups for w in group["params"]):
                self.state[weight]["momentum_buffer"] = torch.zeros_like(weight)

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Step if all gradients are finite; a fused step finds out on its device."""
        found = self._scale.check()
        if self.defaults["fused"]:
            self.grad_scale, self.found_inf = None, found
            super().step(closure)
        elif not bool(found):
            super().step(closure)


class _Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor) -> Tensor:  # noqa: ANN401 - torch's own
        ctx.save_for_backward(scale)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        (scale,) = ctx.saved_tensors
        return gradient * scale, None


def _scaled(x: Tensor, scale: Tensor) -> Tensor:
    y: Tensor = _Scaled.apply(x, scale)  # type: ignore[no-untyped-call]
    return y
