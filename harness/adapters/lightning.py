"""Measure what a Lightning `Trainer` does with one callback.

trainer = Trainer(..., callbacks=[EnergyCallback(out="results")])
"""

from __future__ import annotations

import contextlib
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.data import extract_batch_size
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from harness.adapters.tracking import Tracker
from harness.measurement.session import Measurement


class EnergyCallback(Callback):
    """Measure fit, validate, test and predict: each as a phase, with epochs, steps if asked for.

    At the end the joules go to the trainer's loggers, and the session stays in `session`. Training
    epochs carry the samples of their batches where Lightning can count them, so that they have
    joules per sample. Options are those of `harness.measurement.Measurement`.

    Args:
        steps: Mark every training step too; on a GPU each is then waited for.
        **options: Options of the session.
    """

    def __init__(self, *, steps: bool = False, **options: Any) -> None:
        self._steps = steps
        self._tracker = Tracker(**{"label": "lightning", **options})

    @property
    def session(self) -> Measurement | None:
        """Return the last session; None before the end, and where another one measures."""
        return self._tracker.session

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Start to measure."""
        self._tracker.open()
        self._tracker.begin(stage)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the epoch's phase."""
        self._tracker.begin("epoch", round=trainer.current_epoch)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Begin the step's phase, if steps are marked."""
        if self._steps:
            self._tracker.begin("step", round=trainer.global_step)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the samples."""
        samples: float | None = None
        with contextlib.suppress(MisconfigurationException):  # a batch it cannot look into
            samples = float(extract_batch_size(batch) * trainer.world_size)
        for name in ("fit", "epoch", "step"):
            self._tracker.worked(name, samples)
        self._tracker.end("step")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the epoch's phase."""
        self._tracker.end("epoch")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the phase of a validation, which within `fit` lies in its epoch."""
        self._tracker.begin("evaluate", round=trainer.current_epoch)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the validation's phase."""
        self._tracker.end("evaluate")

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """End the session, and say in its files what broke it off."""
        self._tracker.close(exception)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """End the session and tell what it took."""
        self._tracker.close()
        figures = self._tracker.figures()
        for logger in trainer.loggers if figures else ():
            logger.log_metrics(figures, step=trainer.global_step)
