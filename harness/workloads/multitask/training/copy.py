"""Train one client's copy of a model for a round; where it is done makes no difference."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from harness.federated import controlled, velocities
from harness.federated.job import Checkpoint
from harness.federated.normalised import STEPS, effective_steps
from harness.federated.observer import Observer
from harness.federated.prefixed import over
from harness.federated.trainers import RoundRequest, Update
from harness.workloads.multitask.training.batches import ClientBatches, Source
from harness.workloads.multitask.training.client import Guidance, RoundSettings, train_client
from harness.workloads.multitask.training.joining import Controlled, Normalised
from models.multitask.network import MultiTaskNet
from models.packed import Packed

Tensors = Mapping[str, Tensor]


def train_copy(
    net: MultiTaskNet,
    weights: Checkpoint,
    source: Source,
    request: RoundRequest,
    client: int,
    order: np.random.Generator,
    observer: Observer,
) -> Update:
    """Train one client's copy of the global model in `net`, in place.

    Raises:
        DataError: if its data cannot be used.
    """
    settings: RoundSettings = request.settings
    training, got = settings.training, weights.tensors
    controls = isinstance(training.joining, Controlled)
    net.take(got)
    moving = velocities.velocities(got)
    result = train_client(
        net,
        ClientBatches(source, "train", client, "".join(request.units), net.device),
        settings,
        order,
        observer,
        client if settings.measuring else None,
        Guidance(controlled.correction(got) if controls else {}, moving),
    )
    trained: Tensors = on_processor(net)
    if training.joining is not None:
        told = _told(settings, client, result.steps, got, trained)
        trained = {**trained, **told, **velocities.named(moving)}
    return Update(client, trained, result.losses, result.affinity)


def _told(
    settings: RoundSettings, client: int, steps: int, got: Tensors, trained: Tensors
) -> dict[str, Tensor]:
    """Return what a server is told beside the model."""
    training = settings.training
    weight = effective_steps(steps, training.momentum, nesterov=training.nesterov)
    if isinstance(training.joining, Normalised):
        return {STEPS: torch.tensor(weight, dtype=torch.float64)}
    if isinstance(training.joining, Controlled):
        moved = controlled.changes(got, trained, settings.learning_rate * weight)
        return over(controlled.of_client(client), moved)
    return {}


def on_processor(net: MultiTaskNet) -> Packed:
    """Return the weights where the server averages and keeps them."""
    return net.held().each(Tensor.cpu)
