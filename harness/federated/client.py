"""Train a client's copy of the model on its own images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from harness.federated.affinity import Matrix, look_ahead
from harness.federated.batches import ClientBatches
from harness.federated.local_rule import LocalRule
from harness.federated.observer import Observer
from harness.federated.steps import training_step
from harness.federated.work import looking_ahead, training
from models.network import MultiTaskNet


@dataclass(frozen=True)
class LocalTraining:
    """Fix how a client trains: SGD as in the MAS paper, a fresh optimizer every round.

    `rule` replaces plain descent on the summed loss; jobs that ask for one set it.
    """

    epochs: int
    batch_size: int
    momentum: float = 0.9
    weight_decay: float = 1e-4
    look_ahead_every: int = 10
    rule: LocalRule | None = None


@dataclass(frozen=True)
class ClientResult:
    """Report one client's round: mean loss per task, mean affinity of each epoch."""

    losses: dict[str, float]
    affinities: list[Matrix]


def train_client(
    net: MultiTaskNet,
    batches: ClientBatches,
    settings: LocalTraining,
    learning_rate: float,
    order: np.random.Generator,
    observer: Observer,
    measure_affinity: bool = False,
) -> ClientResult:
    """Train the network in place for the local epochs and report what was seen.

    With `measure_affinity`, every `look_ahead_every`-th batch of an epoch, from the first on, is
    looked ahead on before the real step; the step itself is the same with and without.
    """
    net.train()
    optimizer = torch.optim.SGD(
        net.parameters(),
        lr=learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )
    step = training_step(net, settings.rule, order)
    tasks = "".join(net.tasks)
    sums = dict.fromkeys(net.tasks, 0.0)
    seen = 0
    affinities: list[Matrix] = []
    for _ in range(settings.epochs):
        of_epoch: list[Matrix] = []
        for index, batch in enumerate(batches.epoch(settings.batch_size, order)):
            images = len(batch[0])
            if measure_affinity and index % settings.look_ahead_every == 0:
                with observer.phase("affinity"):
                    of_epoch.append(look_ahead(net, *batch, learning_rate, settings.weight_decay))
                    observer.work(looking_ahead(tasks, images))
            optimizer.zero_grad(set_to_none=True)
            losses = step(*batch)
            optimizer.step()
            observer.work(training(tasks, images, settings.rule))
            for task, loss in losses.items():
                sums[task] += float(loss) * images
            seen += images
        if of_epoch:
            affinities.append(np.mean(of_epoch, axis=0))
    return ClientResult({t: s / seen for t, s in sums.items()}, affinities)
