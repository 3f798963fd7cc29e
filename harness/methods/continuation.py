"""Go on with groups of tasks after some merged rounds; what MAS and the other splits share."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from harness.federated.job import Checkpoint, Job, Outcome
from harness.methods.schedule import Schedule, Setting, serving_itself

WHOLE_START = "encoder+decoders"


@dataclass(frozen=True)
class Continuation:
    """Say how groups go on after `merge_rounds` merged rounds.

    `init` is what a group takes from the merged model: `encoder+decoders`, its `encoder` alone, or
    nothing (`scratch`). With `lr` = `continue` the learning rate falls as if nothing had been
    split; with `restart` every job begins at the first rate and ends near zero, as in the published
    code.
    """

    merge_rounds: int
    init: str = WHOLE_START
    lr: str = "continue"

    def merged_job(self, setting: Setting) -> Job:
        """Return the job of the merged rounds."""
        horizon = None if self.lr == "restart" else setting.rounds
        return Job(setting.tasks, self.merge_rounds, horizon=horizon)

    def group_job(self, group: str, setting: Setting, merged: Outcome | None) -> Job:
        """Return the job that trains a group in the rounds that remain."""
        return Job(
            group,
            setting.rounds - self.merge_rounds,
            self._start(group, merged),
            first_round=self.merge_rounds,
            rate_start=self.merge_rounds if self.lr == "restart" else 0,
        )

    def _start(self, group: str, merged: Outcome | None) -> Checkpoint | None:
        if merged is None or self.init == "scratch":
            return None
        return merged.weights.restricted(group if self.init == WHOLE_START else "")


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
