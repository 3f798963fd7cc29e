"""Launch a whole training step as one CUDA graph: forward, backward, optimizer.

A small network on a GPU is bound by launching its hundreds of kernels, not by what they compute. A
graph replays them with one call, on the same memory every time: batches are copied into its own
tensors, the learning rate is a tensor, and what the optimizer remembers is zeroed in place where a
client begins. Velocity of zeros gives the first step of momentum SGD as no velocity does.

Source: PyTorch documentation, CUDA semantics, "CUDA Graphs".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from models.multitask.network import MultiTaskNet
from models.multitask.optimizer import descent
from models.multitask.step import accumulate_gradients
from models.products import products

GRAPH = "graph"
"""How a step is launched that is none of the following."""

OUT_OF_MEMORY: Any = getattr(torch.cuda, "OutOfMemoryError", ())
"""What torch raises then; releases before 1.13 know no name for it."""

OTHER_SIZE = "a batch of another size"
NO_GRAPH = "no graph could be recorded"

WARM_UPS = 3
"""Steps on a side stream before the capture, in which libraries choose and allocate."""

Losses = Mapping[str, Tensor]
Pass = Callable[[Tensor, Mapping[str, Tensor]], Losses]


class GraphMaker(Protocol):
    """Be what records steps: `CudaGraphs`, or a fake of it."""

    def warm(self, step: Callable[[], object]) -> None:
        """Run a step beside the current stream, and wait for it."""
        ...

    def capture(self, step: Callable[[], Losses]) -> tuple[Callable[[], None], Losses]:
        """Record a step without running it; return what replays it, and its outputs.

        Raises:
            RuntimeError: if it does what a graph cannot hold.
        """
        ...


class CudaGraphs:
    """Record steps as CUDA graphs."""

    def warm(self, step: Callable[[], object]) -> None:
        """Run a step on a side stream, as the capture wants it."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            step()
        torch.cuda.current_stream().wait_stream(stream)

    def capture(self, step: Callable[[], Losses]) -> tuple[Callable[[], None], Losses]:
        """Record a step on the side stream that torch keeps for captures."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = step()
        return graph.replay, outputs


class CapturedStep:
    """Take the training steps of one network and one shape of batch from a graph.

    It owns the optimizer, as a graph works on its velocity: whoever steps eagerly in between, to
    measure a look-ahead, does so with the same one.
    """

    def __init__(
        self, net: MultiTaskNet, run: Pass, settings: Mapping[str, Any], maker: GraphMaker
    ) -> None:
        """Make the optimizer; `settings` are those of SGD but for the learning rate."""
        self._net = net
        self._run = run
        self.rate = torch.zeros((), device=net.device)
        self.optimizer = descent(net, net.execution, lr=self.rate, **settings)
        self._maker = maker
        self._shape: tuple[object, ...] = ()
        self._batch: tuple[Tensor, dict[str, Tensor]] | None = None
        self._replay: Callable[[], None] | None = None
        self._losses: Losses = {}
        self.fault = ""
        """Why steps are launched one by one; empty if they are not."""
        self.launch = GRAPH
        """How the last step was launched: `GRAPH`, or why not as one."""

    def begin(self, learning_rate: float) -> None:
        """Begin a client's round: its rate, and an optimizer that remembers nothing."""
        self.rate.fill_(learning_rate)
        if self._net.scale is not None:
            self._net.scale.reset()
        with torch.no_grad():
            for state in self.optimizer.state.values():
                if state.get("momentum_buffer") is not None:
                    state["momentum_buffer"].zero_()

    def __call__(self, images: Tensor, targets: Mapping[str, Tensor]) -> Losses:
        """Take one step; another shape than the first, or a step that no graph holds, is eager."""
        shape = (images.shape, *((task, t.shape, t.dtype) for task, t in targets.items()))
        if not self._shape and not self.fault:
            self._prepare(images, targets, shape)
        if self.fault or shape != self._shape:
            self.launch = f"{NO_GRAPH}: {self.fault}" if self.fault else OTHER_SIZE
            return self._eager(images, targets)
        self.launch = GRAPH
        assert self._batch is not None
        assert self._replay is not None
        own, labels = self._batch
        own.copy_(images, non_blocking=True)
        for task, label in labels.items():
            label.copy_(targets[task], non_blocking=True)
        self._replay()
        return {task: loss.clone() for task, loss in self._losses.items()}

    def _eager(self, images: Tensor, targets: Mapping[str, Tensor]) -> Losses:
        with products(self._net.execution):
            # gradients stay where the graph writes them
            self.optimizer.zero_grad(set_to_none=self._replay is None)
            losses = self._run(images, targets)
            self.optimizer.step()
        return losses

    def _prepare(
        self, images: Tensor, targets: Mapping[str, Tensor], shape: tuple[object, ...]
    ) -> None:
        """Record the step; weights, statistics, velocity and rate are then what they were."""
        batch = images.clone(), {task: t.clone() for task, t in targets.items()}
        held = self._net.held().each(Tensor.clone)
        rate = self.rate.clone()
        velocity = [self.optimizer.state[p].get("momentum_buffer") for p in self._net.weights()]
        kept = [None if v is None else v.clone() for v in velocity]

        def step() -> Losses:
            return self._eager(*batch)

        try:
            for _ in range(WARM_UPS):
                self._maker.warm(step)
            self.optimizer.zero_grad(set_to_none=True)
            self._replay, self._losses = self._maker.capture(step)
        except OUT_OF_MEMORY:
            raise  # steps launched one by one may find some, but would be another way
        except RuntimeError as error:
            self.fault = (str(error).splitlines() or ["it cannot be captured"])[0]
            self._replay = None
            self.optimizer.zero_grad(set_to_none=True)
        else:
            self._batch, self._shape = batch, shape
        self._net.take(held)
        self.rate.copy_(rate)
        if self._net.scale is not None:
            self._net.scale.reset()
        with torch.no_grad():
            for parameter, before in zip(self._net.weights(), kept, strict=True):
                buffer = self.optimizer.state[parameter].get("momentum_buffer")
                if buffer is not None:
                    buffer.zero_() if before is None else buffer.copy_(before)


def captured_step(
    net: MultiTaskNet, settings: Mapping[str, Any], maker: GraphMaker | None = None
) -> CapturedStep:
    """Return the graph of a network's plain steps, recorded once and kept with it."""
    key = tuple(sorted(settings.items()))
    if key not in net.captured:
        run = partial(accumulate_gradients, net)
        net.captured[key] = CapturedStep(net, run, settings, maker or CudaGraphs())
    found: CapturedStep = net.captured[key]
    return found
