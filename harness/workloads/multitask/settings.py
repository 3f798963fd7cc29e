"""Translate a run's configuration into the settings of the federated engine."""

from __future__ import annotations

from harness.core.errors import UsageError
from harness.running.accelerator import torch_device
from harness.workloads.multitask.config import MultitaskConfig
from harness.workloads.multitask.federation import Federation
from harness.workloads.multitask.protocol import PROTOCOLS
from harness.workloads.multitask.training.batches import Source
from harness.workloads.multitask.training.client import LocalTraining
from harness.workloads.multitask.training.descent import Descent
from harness.workloads.multitask.training.joining import SERVERS
from models.execution import PLAIN, Execution
from models.multitask.losses import TaskLoss, named


def federation(config: MultitaskConfig, execution: Execution = PLAIN) -> Federation:
    """Return the settings of the federated engine."""
    training = LocalTraining(
        epochs=config.epochs,
        batch_size=config.batch_size,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        look_ahead_every=config.look_ahead_every,
        protocol=PROTOCOLS[config.protocol],
        execution=execution,
    )
    return Federation(
        clients_per_round=config.clients_per_round,
        learning_rate=config.learning_rate,
        evaluate_every=config.evaluate_every,
        training=training,
        loss=config.loss,
        device=torch_device(config.kind_here),
        descent=Descent(config.optimizer, config.schedule),
        joining=SERVERS[config.server],
    )


def task_loss(config: MultitaskConfig, source: Source) -> TaskLoss:
    """Return the loss that a run learns by and is judged by.

    Raises:
        UsageError: if it cannot be used on these data.
    """
    try:
        return named(config.loss, masked=source.masked)
    except ValueError as error:
        raise UsageError(
            f"--loss {config.loss}: {error}, and these data lack some", "Use --loss auto."
        ) from None
