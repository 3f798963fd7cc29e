"""Measure affinity from the losses of a training step that is taken task by task.

Selective Task Group Updates (Jeong, Yoon, ICLR 2025, 2502.11986) updates groups of tasks one after
another on one batch, in random order, and passes the batch forward for each. The losses of all
tasks that are seen on the way are those before and after a group's update, and give its proximal
affinity to each task t,

    a[s→t] ← a[s→t] + β·[(1 − L_t(after) / L_t(before)) / |g| − a[s→t]],  s in group g, β = 1e-4

so that nothing is tried in vain: every backward pass trains. Unlike a look-ahead, an update moves
the decoder of its own task as well.

In its released code losses are those before a group's own update, and they are compared with those
before the update of the group before: what one group did is credited to the next, and what the last
one did to none. Here losses are taken on both sides of a part, which takes one forward more, for
the last.

Within the merged rounds of MAS there are no groups yet: every task is one, as in the paper's first
steps, so that its rule for the tasks within a group is not needed. The matrix of a batch is not
smoothed but averaged like those of look-aheads: from 0, so small a β gives the same matrix but for
its size. Its grouping, affinity propagation, gives way to the search over all partitions. And the
parts are of one step, the optimizer's: each moves the weights by its own gradient at the network's
rate and scale, which is a step of plain descent; then they are put back, and the optimizer takes
the sum of the parts' gradients, so that momentum and weight decay are nobody's part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from harness.workloads.multitask.affinity.matrix import Matrix
from harness.workloads.multitask.affinity.measure import LookAhead
from harness.workloads.multitask.training.batches import Batch
from models.multitask.balance import log_slopes, pulls
from models.multitask.network import MultiTaskNet
from models.multitask.weighting import Balanced

Tensors = dict[str, Tensor]


class StepInParts:
    """Take one step part by part, in fp32 whatever the network trains in, on copies of all of it.

    `turns` are the places of the tasks in the order in which they take their turn. With a `rule`
    gradients are balanced as in `models.multitask.balance`, by what they are before the first part.
    """

    def __init__(
        self,
        net: MultiTaskNet,
        batch: Batch,
        ahead: LookAhead,
        turns: Sequence[int],
        rule: Balanced | None = None,
    ) -> None:
        """Take the first part, about as much work as a whole step."""
        self._net, self._batch, self._ahead = net, batch, ahead
        self._turns = [net.tasks[place] for place in turns]
        self._encoder = _Moving(net.encoder, moves_statistics=ahead.moves_statistics)
        self._decoders = {
            task: _Moving(decoder, moves_statistics=ahead.moves_statistics)
            for task, decoder in net.decoders.items()
        }
        self._factors = dict.fromkeys(net.tasks, 1.0)
        self._slopes = dict.fromkeys(net.tasks, 1.0)
        self._rule = rule
        self._seen: list[Tensors] = []
        self._take(self._turns[0])

    def finish(self) -> Matrix:
        """Take the other parts; return Z, entry [j, i] what the part of task i did for task j."""
        for task in self._turns[1:]:
            self._take(task)
        with torch.no_grad():
            features = self._encoder(self._batch[0])
            last = {task: self._loss(task, features) for task in self._net.tasks}
        seen = [
            torch.stack([losses[task] for task in self._net.tasks]).double().cpu().numpy()
            for losses in [*self._seen, last]
        ]
        result: Matrix = np.zeros((len(seen[0]),) * 2)
        for task, before, after in zip(self._turns, seen, seen[1:], strict=False):
            kept = np.divide(after, before, out=np.ones_like(after), where=before != 0.0)
            result[:, self._net.tasks.index(task)] = 1.0 - kept
        return result

    def give(self) -> Tensors:
        """Give the network its parts' gradients, and statistics as of one pass; return its losses.

        Statistics are as of all passes where look-aheads leave theirs.
        """
        for part in (self._encoder, *self._decoders.values()):
            part.give()
        return self._seen[0]

    def _take(self, task: str) -> None:
        """Pass forward, see all losses, and move by the gradient of one of them."""
        features = self._encoder(self._batch[0])
        shared = features.detach().requires_grad_()
        balancing = self._rule is not None and not self._seen
        losses: Tensors = {}
        at_features: list[Tensor] = []
        for other in self._net.tasks:
            with torch.set_grad_enabled(other == task or balancing):
                losses[other] = self._loss(other, shared)
            if balancing:
                keep = other == task
                at_features += torch.autograd.grad(losses[other], shared, retain_graph=keep)
        if self._rule is not None and balancing:
            slopes = log_slopes([loss.detach() for loss in losses.values()], self._rule)
            scales = pulls(self._net.tasks, at_features, self._rule.detail, slopes).tolist()
            self._factors = dict(zip(self._net.tasks, scales, strict=True))
            if slopes is not None:
                self._slopes = dict(zip(self._net.tasks, slopes.tolist(), strict=True))
        self._seen.append({other: loss.detach() for other, loss in losses.items()})
        encoder, decoder = self._encoder, self._decoders[task]
        first, *own = torch.autograd.grad(losses[task], [shared, *decoder.weights.values()])
        scale = self._net.encoder_gradient_scale * self._factors[task]
        gradients = torch.autograd.grad(features, list(encoder.weights.values()), first * scale)
        encoder.move(gradients, self._ahead.learning_rate)
        decoder.move([g * self._slopes[task] for g in own], self._ahead.learning_rate)

    def _loss(self, task: str, features: Tensor) -> Tensor:
        prediction = self._decoders[task](features)
        loss: Tensor = self._net.loss(task, prediction, self._batch[1][task])
        return loss


class _Moving:
    """Hold a part of a network with weights of its own that move, and what they moved by."""

    def __init__(self, module: nn.Module, *, moves_statistics: bool) -> None:
        self._module = module
        self.weights = _leaves(dict(module.named_parameters()))
        self._buffers = {name: b.clone() for name, b in module.named_buffers()}
        self._always = moves_statistics
        self._passed = False
        self._gradients: dict[str, Tensor] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """Run it; its first pass moves its statistics, later ones only if all are to."""
        moves = self._always or not self._passed
        self._passed = True
        buffers = self._buffers if moves else {n: b.clone() for n, b in self._buffers.items()}
        output: Tensor = functional_call(self._module, {**self.weights, **buffers}, (x,))
        return output

    def move(self, gradients: Sequence[Tensor], learning_rate: float) -> None:
        """Take a step of plain descent."""
        found = dict(zip(self.weights, gradients, strict=True))
        with torch.no_grad():
            moved = {n: w - learning_rate * found[n] for n, w in self.weights.items()}
        self.weights = _leaves(moved)
        before = self._gradients
        self._gradients = {n: before[n] + g if n in before else g for n, g in found.items()}

    def give(self) -> None:
        """Give the module the gradients, and its statistics."""
        for name, parameter in self._module.named_parameters():
            if name in self._gradients:
                parameter.grad = self._gradients[name]
        with torch.no_grad():
            for name, buffer in self._module.named_buffers():
                buffer.copy_(self._buffers[name])


def _leaves(weights: Mapping[str, Tensor]) -> Tensors:
    return {name: weight.detach().requires_grad_() for name, weight in weights.items()}
