"""Measure the training of a Hugging Face `Trainer` with one callback.

trainer = Trainer(..., callbacks=[EnergyCallback(out="results")])
"""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from harness.adapters.tracking import Tracker
from harness.measurement.session import Measurement


class EnergyCallback(TrainerCallback):
    """Measure a training: the whole as `train`, each epoch, each evaluation, steps if asked for.

    At the end the joules stand in `state.log_history` as one entry more, in the logs of what the
    trainer reports to, and in `session`. Epochs carry the samples they trained on, so that they
    have joules per sample. Options are those of `harness.measurement.Measurement`.

    Args:
        steps: Mark every step too; on a GPU each is then waited for.
        **options: Options of the session.
    """

    def __init__(self, *, steps: bool = False, **options: Any) -> None:
        self._steps = steps
        self._tracker = Tracker(**{"label": "transformers", **options})

    @property
    def session(self) -> Measurement | None:
        """Return the last session; None before the end, and where another one measures."""
        return self._tracker.session

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Start to measure."""
        self._tracker.open()
        self._tracker.begin("train")

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Begin the epoch's phase."""
        self._tracker.begin("epoch", round=int(state.epoch or 0))

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Begin the step's phase, if steps are marked."""
        self._tracker.end("evaluate")
        if self._steps:
            self._tracker.begin("step", round=state.global_step)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Count the step's samples: those of all devices and all parts of it."""
        samples = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        for name in ("train", "epoch", "step"):
            self._tracker.worked(name, samples)
        self._tracker.end("step")

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Begin the evaluation's phase, with its first batch: the trainer says it no earlier."""
        self._tracker.begin("evaluate", round=state.global_step)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """End the evaluation's phase."""
        self._tracker.end("evaluate")

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """End the epoch's phase."""
        self._tracker.end("epoch")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """End the session and tell what it took."""
        self._tracker.close()
        figures = self._tracker.figures()
        if figures:
            state.log_history.append({**figures, "step": state.global_step})
