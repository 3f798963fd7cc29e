"""Go on with groups of tasks after some merged rounds; what MAS and the other splits share."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from harness.federated.job import Checkpoint
from harness.workloads.multitask.job import Job, Outcome, restricted
from harness.workloads.multitask.methods.schedule import Schedule, Setting, serving_itself
from harness.workloads.multitask.training.descent import Descent
from harness.workloads.multitask.training.local_rule import LocalRule

WHOLE_START = "encoder+decoders"


@dataclass(frozen=True)
class Continuation:
    """Say how groups go on after `merge_rounds` merged rounds.

    `init` is what a group takes from the merged model: `encoder+decoders`, its `encoder` alone, or
    nothing (`scratch`). With `lr` = `continue` the learning rate falls as if nothing had been
    split; with `restart` every job begins at the first rate and ends near zero, as in the published
    code. By default the protocol decides. `local` and `descent` are those of every job.
    """

    merge_rounds: int
    init: str = WHOLE_START
    lr: str | None = None
    local: LocalRule | None = None
    descent: Descent | None = None

    def training(self, local: LocalRule | None, descent: Descent) -> Continuation:
        """Return the same with another way to train."""
        return replace(self, local=local, descent=descent)

    def merged_job(self, setting: Setting) -> Job:
        """Return the job of the merged rounds."""
        horizon = None if self._restarts(setting) else setting.rounds
        return Job(
            setting.tasks,
            self.merge_rounds,
            horizon=horizon,
            local=self.local,
            descent=self.descent,
        )

    def group_job(self, group: str, setting: Setting, merged: Outcome | None) -> Job:
        """Return the job that trains a group in the rounds that remain."""
        return Job(
            group,
            setting.rounds - self.merge_rounds,
            self._start(group, merged),
            first_round=self.merge_rounds,
            rate_start=self.merge_rounds if self._restarts(setting) else 0,
            local=self.local,
            descent=self.descent,
        )

    def stage_job(self, group: str, rounds: int, setting: Setting, before: Outcome) -> Job:
        """Return the job that goes on with a group for some rounds.

        `init` is about what is taken from the merged model; later a group takes all.
        """
        restarts, done = self._restarts(setting), before.job.last_round
        from_merged = before.job.tasks == setting.tasks
        return Job(
            group,
            rounds,
            self._start(group, before) if from_merged else restricted(before.state, group),
            first_round=done,
            horizon=None if restarts else setting.rounds,
            rate_start=done if restarts else 0,
            local=self.local,
            descent=self.descent,
        )

    def _restarts(self, setting: Setting) -> bool:
        if self.lr is None:
            return setting.protocol.jobs_start_over
        return self.lr == "restart"

    def _start(self, group: str, merged: Outcome | None) -> Checkpoint | None:
        if merged is None or self.init == "scratch":
            return None
        return restricted(merged.state, group if self.init == WHOLE_START else "")


def merge(setting: Setting, go_on: Continuation) -> Generator[Job, Outcome, Outcome | None]:
    """Train all tasks merged for the first rounds; None if there are no such rounds."""
    if go_on.merge_rounds == 0:
        return None
    return (yield go_on.merged_job(setting))


def train_groups(
    groups: Sequence[str], setting: Setting, go_on: Continuation, merged: Outcome | None
) -> Schedule:
    """Train each group to the end; with no rounds left the merged model serves all tasks."""
    if merged is not None and go_on.merge_rounds == setting.rounds:
        return [serving_itself(merged)]
    served = []
    for group in groups:
        outcome = yield go_on.group_job(group, setting, merged)
        served.append(serving_itself(outcome))
    return served
