"""Translate a run's configuration into the settings of the federated engine."""

from __future__ import annotations

from harness.config import RunConfig
from harness.federated.client import LocalTraining
from harness.federated.local import Federation


def federation(config: RunConfig) -> Federation:
    """Return the settings of the federated engine."""
    training = LocalTraining(
        epochs=config.epochs,
        batch_size=config.batch_size,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        look_ahead_every=config.look_ahead_every,
    )
    return Federation(
        clients_per_round=config.clients_per_round,
        learning_rate=config.learning_rate,
        evaluate_every=config.evaluate_every,
        training=training,
    )
