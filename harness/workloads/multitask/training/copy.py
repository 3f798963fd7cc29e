"""Train one client's copy of a model for a round; where it is done makes no difference."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from harness.federated.job import Checkpoint
from harness.federated.observer import Observer
from harness.federated.trainers import RoundRequest, Update
from harness.workloads.multitask.training.batches import ClientBatches, Source
from harness.workloads.multitask.training.client import RoundSettings, train_client
from models.multitask.network import MultiTaskNet
from models.packed import Packed


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
    net.take(weights.tensors)
    result = train_client(
        net,
        ClientBatches(source, "train", client, "".join(request.units), net.device),
        settings.training,
        settings.learning_rate,
        order,
        observer,
        client if settings.measuring else None,
    )
    return Update(client, on_processor(net), result.losses, result.affinity)


def on_processor(net: MultiTaskNet) -> Packed:
    """Return the weights where the server averages and keeps them."""
    return net.held().each(Tensor.cpu)
