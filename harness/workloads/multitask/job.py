"""Define what a method asks of an engine and what it gets back.

A method yields `Job`s and receives `Outcome`s; an engine turns one into the other. Neither knows
the other's kind: this module is all they share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.core.errors import DataError
from harness.federated.job import Checkpoint, Engine, Traffic
from harness.workloads.multitask.affinity.rule import AffinityRule
from harness.workloads.multitask.training.descent import Descent
from harness.workloads.multitask.training.joining import Joining
from harness.workloads.multitask.training.local_rule import LocalRule

if TYPE_CHECKING:
    from torch import Tensor

    from harness.workloads.multitask.affinity.matrix import Affinity


def restricted(weights: Checkpoint, tasks: str) -> Checkpoint:
    """Return the encoder and the decoders of some of the tasks, and what is remembered of them."""
    parts = ("encoder.", *(f"decoders.{task}." for task in tasks))
    return Checkpoint({k: v for k, v in weights.tensors.items() if _of_model(k).startswith(parts)})


def _of_model(name: str) -> str:
    """Return a name without whose memory it is of: `control@3.encoder.w` is of `encoder`."""
    places = [at for part in (".encoder.", ".decoders.") if (at := name.find(part)) >= 0]
    whole = name.startswith(("encoder.", "decoders.")) or not places
    return name if whole else name[min(places) + 1 :]


def tasks_named(job: str) -> str:
    """Return the task letters in the name of a job, without its clients and its variant."""
    return job.partition("@")[0].partition("~")[0]


MOST_NAMED = 8
"""Clients that the name of a job lists."""

Start = Checkpoint | Callable[[], Checkpoint] | None
"""What a job begins with: weights, how the server makes them, or None for those of the seed."""


@dataclass(frozen=True)
class Job:
    """Ask for one federated training of one model on one group of tasks.

    `rounds` rounds are run; they are numbered from `first_round`, which decides the clients and
    the learning rate of each. The learning rate falls from round `rate_start` over `horizon` rounds
    (default: to the end of this job), so that a job split off from another goes on where that one
    stopped, or begins anew. Parts of the network that `start` lacks begin with the seed's weights.
    Affinity is measured in the first `affinity_rounds` rounds (default: in all), as `affinity`
    says. `joining` says how the server makes one model of the clients' (default: as the run says),
    `local` changes how clients train and `descent` how their steps are taken (default: as the
    run says); `clients` restricts who may be chosen (default: all).

    `start` may say how the server makes the first weights of what other jobs came to; that is
    charged as aggregation. What comes of a `passing` job is not judged: another goes on from it at
    once. A job of no rounds judges what it starts from. A `variant` tells jobs apart that a method
    trains on the same tasks.
    """

    tasks: str
    rounds: int
    start: Start = None
    first_round: int = 0
    horizon: int | None = None
    measure_affinity: bool = False
    affinity_rounds: int | None = None
    rate_start: int = 0
    local: LocalRule | None = None
    clients: tuple[int, ...] | None = None
    affinity: AffinityRule = field(default_factory=AffinityRule)
    descent: Descent | None = None
    passing: bool = False
    joining: Joining | None = None
    variant: str = ""

    @property
    def units(self) -> tuple[str, ...]:
        """Return the letters of its tasks."""
        return tuple(self.tasks)

    @property
    def last_round(self) -> int:
        """Return the number of rounds finished once this job is done."""
        return self.first_round + self.rounds

    @property
    def measured_rounds(self) -> int:
        """Return the number of rounds in which affinity is measured."""
        if not self.measure_affinity:
            return 0
        return self.rounds if self.affinity_rounds is None else self.affinity_rounds

    @property
    def name(self) -> str:
        """Return the task letters, and the clients if only some take part: `sd`, `sd@3`.

        Of many the first stands for all, as file names are short: `sd@3+11more`.
        """
        trained = f"{self.tasks}~{self.variant}" if self.variant else self.tasks
        if self.clients is None:
            return trained
        named = [str(client) for client in self.clients]
        if len(named) > MOST_NAMED:
            named = [named[0], f"{len(named) - 1}more"]
        return f"{trained}@{'+'.join(named)}"

    def checking(self, round_index: int, chosen: Sequence[int]) -> int | None:
        """Return the client whose linear look-aheads of a round are also taken exactly, if any.

        It is the first one of the first round: once in a job, so that a cell's cost does not depend
        on which cell of a run comes first.
        """
        first = self.measured_rounds > 0 and round_index == self.first_round
        wanted = first and self.affinity.mode == "linear" and len(self.tasks) > 1
        return chosen[0] if wanted and chosen else None

    def per_round(self, clients_per_round: int) -> int:
        """Return how many clients train in a round: all of them if there are too few."""
        population = clients_per_round if self.clients is None else len(self.clients)
        return min(population, clients_per_round)

    @property
    def travels(self) -> bool:
        """Say whether models travel: a client that trains alone needs no server."""
        return self.clients is None or len(self.clients) > 1


@dataclass(frozen=True)
class Outcome:
    """Report what came of a job: final weights, last test loss per task, measured affinity.

    `unseen_losses` are those on buildings that no client owns. `validation_losses` are those on
    images held out for choosing: a method that compares trained models compares by them, so that
    its test losses stay unseen. Both are empty where the data set has no such images. `memory` is
    what the job's state holds beside the weights, such as velocities.
    """

    job: Job
    weights: Checkpoint
    losses: Mapping[str, float]
    affinity: Affinity | None = None
    unseen_losses: Mapping[str, float] = field(default_factory=dict)
    validation_losses: Mapping[str, float] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=Traffic)
    memory: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def state(self) -> Checkpoint:
        """Return the weights and what is remembered beside them, for a job that goes on."""
        return Checkpoint({**self.weights.tensors, **self.memory}) if self.memory else self.weights


def losses_to_choose_by(outcome: Outcome) -> Mapping[str, float]:
    """Return a model's validation losses: choosing by test losses would make them too good.

    Raises:
        DataError: if the data set holds no validation images.
    """
    if not outcome.validation_losses:
        raise DataError(
            "the data set has no validation images, and this method chooses among trained models",
            "Give the data set a validation split, or choose a method without such a choice.",
        )
    return outcome.validation_losses


MultitaskEngine = Engine[Job, Outcome]
