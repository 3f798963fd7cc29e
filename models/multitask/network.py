"""Join one encoder and one decoder per task, initialised alike whatever the group of tasks."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from models.execution import PLAIN, Execution
from models.loss_scaling import GradientScale
from models.multitask.losses import TaskLoss, task_loss
from models.multitask.tasks import TASKS
from models.multitask.weighting import CARRIED
from models.packed import Packed, pack

Together = Callable[[Sequence[nn.Module], Sequence[Tensor]], list[Tensor]]


@dataclass(frozen=True)
class Architecture:
    """Say how to build the two parts of a network.

    `encoder()` maps (N, 3, H, W) to features, `decoder(channels)` maps those features to
    (N, channels, H, W). `initialise` sets the weights of either part from torch's global generator.
    `together(decoders, features)` runs several decoders at once, each on features of its own; an
    architecture whose decoders need much memory has none, and they run one after another.
    """

    name: str
    description: str
    encoder: Callable[[], nn.Module]
    decoder: Callable[[int], nn.Module]
    initialise: Callable[[nn.Module], None]
    together: Together | None = None


class MultiTaskNet(nn.Module):
    """Hold one shared encoder and one decoder per task of a group, and the loss they learn from."""

    def __init__(
        self,
        encoder: nn.Module,
        decoders: Mapping[str, nn.Module],
        loss: TaskLoss = task_loss,
        together: Together | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoders = nn.ModuleDict(decoders)
        self.beside = nn.Module()
        self.loss = loss
        self.together = together if len(decoders) > 1 else None
        self.execution = PLAIN
        self._format = _FORMATS[PLAIN.memory_format]
        self._scale: GradientScale | None = None
        self.captured: dict[object, Any] = {}
        self.launches: Counter[str] = Counter()
        """Steps by how they were launched where graphs are asked for; see `captured`."""
        self._held: Packed | None = None
        self._weights: list[nn.Parameter] = []

    @property
    def tasks(self) -> tuple[str, ...]:
        """Return the task letters in the order of the group."""
        return tuple(self.decoders.keys())

    @property
    def device(self) -> torch.device:
        """Return where its weights are, and batches must be."""
        return self.weights()[0].device

    @property
    def encoder_gradient_scale(self) -> float:
        """Return 1/√n, by which the gradient of n decoders enters the encoder.

        Decoders see the plain sum of the task losses; the published MAS code scales only what
        flows on into the encoder, a habit it takes over from Standley et al. (ICML 2020).
        """
        return 1.0 / math.sqrt(len(self.decoders))

    def execute_as(self, execution: Execution) -> MultiTaskNet:
        """Take weights into a memory layout and run training passes in a precision; return self."""
        self.execution = execution
        self._format = _FORMATS[execution.memory_format]
        self.to(memory_format=self._format)  # type: ignore[call-overload]
        if self._scale is not None:
            self._scale.remove()
        fp16 = execution.precision == "fp16"
        self._scale = GradientScale(self.weights()) if fp16 else None
        return self

    @property
    def scale(self) -> GradientScale | None:
        """Return what scales gradients while they pass fp16 layers; None in other precisions."""
        return self._scale

    def held(self) -> Packed:
        """Return its own weights and statistics by state-dict name: no copies.

        The first time they move into blocks of memory, where they stay until the network itself
        moves; whoever held their former memory holds copies from then on.
        """
        if self._held is None:
            own = self.state_dict(keep_vars=True)
            with torch.no_grad():
                self._held = pack(own)
            for name, tensor in own.items():
                tensor.data = self._held[name]
        return self._held

    def carry(self, tensors: Mapping[str, Tensor]) -> MultiTaskNet:
        """Let tensors that are no weights travel with the network from now on; return self.

        They are copied, averaged and kept as its statistics are. Their names in its state end in
        `CARRIED`.
        """
        for name, tensor in tensors.items():
            self.beside.register_buffer(name + CARRIED, tensor.to(self.device))
        self._held, self._weights = None, []
        return self

    def carried(self) -> dict[str, Tensor]:
        """Return the tensors that travel beside the weights, by the names they were given."""
        self.held()
        return {n.removesuffix(CARRIED): tensor for n, tensor in self.beside.named_buffers()}

    def weights(self) -> Sequence[nn.Parameter]:
        """Return its parameters, listed once."""
        if not self._weights:
            self._weights = list(self.parameters())
        return self._weights

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy other weights and statistics into its own, by state-dict name.

        As `load_state_dict` does in ten times the time, most of it for checks: every client of
        every round begins so. From weights packed like these it is one copy of memory.
        """
        with torch.no_grad():
            self.held().copy_(tensors)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> MultiTaskNet:
        self._held, self._weights = None, []  # a device or a layout may put others in their place
        self.captured = {}
        return super()._apply(fn, recurse)  # type: ignore[no-any-return, no-untyped-call]

    def __getstate__(self) -> dict[str, Any]:
        if self._scale is not None:
            raise TypeError("a network in fp16 cannot be copied: execute it as plain first")
        # a copy's parameters are its own
        return {**self.__dict__, "_held": None, "_weights": [], "captured": {}}

    def encode(self, images: Tensor) -> Tensor:
        """Return the features of images for a training step, as this network is executed; fp32."""
        with self._precision():
            features: Tensor = self.encoder(images.contiguous(memory_format=self._format))
        return self._left(features)

    def decode(self, task: str, features: Tensor) -> Tensor:
        """Return a task's prediction for a training step, as this network is executed; fp32."""
        with self._precision():
            prediction: Tensor = self.decoders[task](self._entered(features))
        return self._left(prediction)

    def decode_together(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return every task's prediction, each from features of its own, as `decode` does."""
        assert self.together is not None
        with self._precision():
            own = [self._entered(x) for x in features]
            predictions = self.together(list(self.decoders.values()), own)
        return [self._left(p) for p in predictions]

    def _entered(self, x: Tensor) -> Tensor:
        return x if self._scale is None else self._scale.entering(x)

    def _left(self, x: Tensor) -> Tensor:
        """Return what layers gave in fp32."""
        if not self.execution.autocast:
            return x
        return x.float() if self._scale is None else self._scale.leaving(x.float())

    def _precision(self) -> AbstractContextManager[object]:
        name = self.execution.autocast
        if not name:  # as ever: an older Python that trains has no empty context
            return torch.autocast("cpu", dtype=torch.bfloat16, enabled=False)
        return torch.autocast(self.device.type, dtype=getattr(torch, name))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the prediction of every task for images of shape (N, 3, H, W), in fp32."""
        features = self.encoder(images.contiguous(memory_format=self._format))
        return {task: decoder(features) for task, decoder in self.decoders.items()}


_FORMATS = {"channels-last": torch.channels_last, "contiguous": torch.contiguous_format}


def build(
    architecture: Architecture, tasks: str, seed: int, loss: TaskLoss = task_loss
) -> MultiTaskNet:
    """Build a network for a group of tasks with weights that depend on the seed alone.

    Encoder and decoders draw from separate streams named after the part, so that every method and
    every group starts from the same encoder and the same decoder of a task.
    """
    encoder = _seeded(architecture, architecture.encoder, seed, "encoder")
    decoders = {
        task: _seeded(
            architecture,
            partial(architecture.decoder, TASKS[task].channels),
            seed,
            f"decoder {task}",
        )
        for task in tasks
    }
    return MultiTaskNet(encoder, decoders, loss, architecture.together).execute_as(PLAIN)


def _seeded(
    architecture: Architecture, make: Callable[[], nn.Module], seed: int, name: str
) -> nn.Module:
    digest = hashlib.sha256(f"{architecture.name}/{seed}/{name}".encode()).digest()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int.from_bytes(digest[:8], "big") >> 1)
        part = make()  # layers that `initialise` leaves alone draw here
        architecture.initialise(part)
    return part
