"""Load a run's trained networks, and answer with them in torch as it comes (eager)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.core.errors import DamagedRunError
from models.multitask.losses import TaskLoss, task_loss
from models.multitask.network import Architecture, MultiTaskNet, build
from models.multitask.weighting import CARRIED


def load_network(
    architecture: Architecture, tasks: str, weights: Path, loss: TaskLoss = task_loss
) -> MultiTaskNet:
    """Return the trained network of a file of weights, ready to answer.

    Raises:
        DamagedRunError: if the file cannot be read, or holds weights of another network.
    """
    try:
        tensors = safetensors.torch.load_file(weights)
    except (OSError, safetensors.SafetensorError) as error:
        raise DamagedRunError(f"{weights}: cannot be read: {error}") from None
    net = build(architecture, tasks, 0, loss)
    try:
        net.load_state_dict({k: v for k, v in tensors.items() if not k.endswith(CARRIED)})
    except RuntimeError as error:
        lines = str(error).strip().splitlines()
        raise DamagedRunError(
            f"{weights}: holds another model than {architecture.name} of this version:"
            f" {lines[min(1, len(lines) - 1)].strip()}",
            "Use the version of this program that trained it; the manifest of the run names it.",
        ) from None
    return net.eval()


class TorchModel:
    """Answer with a network in torch, for some of its tasks.

    The number of threads is torch's own and set outside.
    """

    def __init__(self, net: MultiTaskNet, tasks: str) -> None:
        self._encoder = net.encoder
        self._decoders = [net.decoders[task] for task in tasks]

    def prepare(self, images: NDArray[np.float32]) -> Tensor:
        """Return images (N, 3, H, W) with the channels last in memory, as the networks like it."""
        return torch.from_numpy(images).contiguous(memory_format=torch.channels_last)

    def __call__(self, prepared: Tensor) -> Sequence[Tensor]:
        """Return the outputs, one (N, C, h, w) tensor per task."""
        with torch.inference_mode():
            features = self._encoder(prepared)
            return [decoder(features) for decoder in self._decoders]
