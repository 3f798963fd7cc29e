"""Compute what a method makes devices do, from its jobs alone: passes, look-aheads, bytes.

Nothing is trained. The counts are those an engine reports while it trains, exactly: the same
functions draw the clients, cut the epochs into batches and price a step. Testing is not in them, as
no method is charged for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.federated.job import Checkpoint
from harness.records.work import Work
from harness.workloads.multitask.exchange.server import STATISTICS
from harness.workloads.multitask.job import Job, restricted
from harness.workloads.multitask.rounds import Draw, epoch_batches
from harness.workloads.multitask.training.joining import (
    STEPS_BYTES,
    AveragedMomentum,
    Controlled,
    Joining,
    Normalised,
)
from harness.workloads.multitask.work import (
    ENCODER,
    balances,
    checking,
    looking_ahead,
    shares_gradients,
    training,
)
from models.multitask.weighting import carries

BESIDE = "beside"


@dataclass(frozen=True)
class Load:
    """Hold what the cost of a job depends on, beside the job: data, clients and local training.

    `lengths` are the training images of every client; `rounded` says that steps are taken in less
    than fp32, of which a look-ahead takes the losses anew. `joining` is that of jobs that say none.
    """

    lengths: Sequence[int]
    draw: Draw
    epochs: int
    batch_size: int
    look_ahead_every: int
    rounded: bool = False
    joining: Joining | None = None


@dataclass(frozen=True)
class JobCost:
    """Hold what jobs cost: rounds, a client's rounds summed, look-aheads, passes by purpose, bytes.

    `training` and `looking_ahead` count images through parts of the network (`Work`).
    """

    rounds: int = 0
    client_rounds: int = 0
    look_aheads: int = 0
    training: Work = field(default_factory=Work)
    looking_ahead: Work = field(default_factory=Work)
    upload_bytes: int = 0
    download_bytes: int = 0

    def __add__(self, other: JobCost) -> JobCost:
        return JobCost(
            self.rounds + other.rounds,
            self.client_rounds + other.client_rounds,
            self.look_aheads + other.look_aheads,
            self.training + other.training,
            self.looking_ahead + other.looking_ahead,
            self.upload_bytes + other.upload_bytes,
            self.download_bytes + other.download_bytes,
        )

    @property
    def work(self) -> Work:
        """Return all passes a method is charged for."""
        return self.training + self.looking_ahead

    def record(self) -> dict[str, int | float]:
        """Return the columns of a row of a cost table.

        Passes are images forward and backward; look-aheads are priced in forward passes, a backward
        worth two.
        """
        ahead = self.looking_ahead.forwards
        return {
            "rounds": self.rounds,
            "client_rounds": self.client_rounds,
            "encoder_passes": self.training.passes("encoder"),
            "decoder_passes": self.training.passes("decoders"),
            "look_aheads": self.look_aheads,
            "look_ahead_encoder_forwards": ahead.get(ENCODER, 0.0),
            "look_ahead_decoder_forwards": sum(n for part, n in ahead.items() if part != ENCODER),
            "upload_bytes": self.upload_bytes,
            "download_bytes": self.download_bytes,
        }


@dataclass(frozen=True)
class Calibration:
    """Hold the measured seconds of one image through each part of the network, forward.

    They are a third of a training step's, so they hold for whole training runs. `busy_cores` is how
    many cores a step kept busy: its processor seconds over its seconds; None if nobody counted.
    """

    forward_s: Mapping[str, float]
    busy_cores: float | None = None

    def time_s(self, work: Work) -> float:
        """Return the seconds of counted work on this host if every pass takes the measured time.

        Averaging models, and all that is not a pass, is left out.
        """
        return sum(n * self.forward_s[part] for part, n in work.forwards.items())


def job_cost(job: Job, load: Load, part_bytes: Mapping[str, int] | None = None) -> JobCost:
    """Return the cost of a job; `part_bytes` are those of the encoder and of each task's decoder.

    Every chosen client gets the model and sends it back each round, unless it trains alone.
    """
    up, down = _client_bytes(job, load, part_bytes or {})
    total = JobCost()
    for index in range(job.first_round, job.last_round):
        measuring = index < job.first_round + job.measured_rounds
        chosen = load.draw.chosen(job, index)
        clients = len(chosen) if job.travels else 0
        total += JobCost(rounds=1, upload_bytes=clients * up, download_bytes=clients * down)
        checked = job.checking(index, chosen)
        for client in chosen:
            total += _client_cost(job, load, client, measuring=measuring)
            if client == checked:
                total += _check_cost(job, load, client)
    return total


def part_bytes(weights: Checkpoint, tasks: str) -> dict[str, int]:
    """Return the bytes of the encoder and of each task's decoder as they travel.

    With `*` behind its name those of its parameters alone, which control variates are as long as.
    What travels beside the model is named `beside`.
    """
    stepped = Checkpoint({k: t for k, t in weights.tensors.items() if not k.endswith(STATISTICS)})
    beside = Checkpoint({k: t for k, t in weights.tensors.items() if k.startswith(BESIDE)})
    found = {BESIDE: beside.bytes} if beside.tensors else {}
    for mark, of in (("", weights), ("*", stepped)):
        encoder = restricted(of, "").bytes
        found[ENCODER + mark] = encoder
        found |= {task + mark: restricted(of, task).bytes - encoder for task in tasks}
    return found


def _client_bytes(job: Job, load: Load, part_bytes: Mapping[str, int]) -> tuple[int, int]:
    """Return what a client sends and is sent in a round; nothing where sizes are not known."""
    if not part_bytes:
        return 0, 0
    model = sum(part_bytes[part] for part in (ENCODER, *job.tasks))
    if carries(job.local):
        model += part_bytes.get(BESIDE, 0)
    joining = job.joining or load.joining
    if isinstance(joining, Normalised):
        return model + STEPS_BYTES, model
    if not isinstance(joining, Controlled | AveragedMomentum):
        return model, model
    variate = sum(part_bytes[part + "*"] for part in (ENCODER, *job.tasks))
    if isinstance(joining, AveragedMomentum):
        return model + variate, model + variate
    return model + variate, model + 2 * variate


def method_cost(
    jobs: Sequence[Job], load: Load, part_bytes: Mapping[str, int] | None = None
) -> JobCost:
    """Return the cost of all jobs of a method."""
    return sum((job_cost(job, load, part_bytes) for job in jobs), JobCost())


def _looked_images(job: Job, load: Load, client: int) -> list[int]:
    """Return the images of each batch that a client looks ahead on in a round."""
    rest = load.draw.protocol.trains_on_rest
    sizes = epoch_batches(load.lengths[client], load.batch_size, rest=rest)
    return sizes[:: job.affinity.every or load.look_ahead_every] * load.epochs


def _check_cost(job: Job, load: Load, client: int) -> JobCost:
    """Return what it costs to take a client's linear look-aheads exactly as well."""
    images = sum(_looked_images(job, load, client))
    shares = shares_gradients(job.local)
    work = checking(job.tasks, images, shares=shares, rounded=load.rounded)
    return JobCost(looking_ahead=work)


def _client_cost(job: Job, load: Load, client: int, *, measuring: bool) -> JobCost:
    """Return the cost of one client's round."""
    rest = load.draw.protocol.trains_on_rest
    sizes = epoch_batches(load.lengths[client], load.batch_size, rest=rest)
    images = sum(sizes) * load.epochs
    cost = JobCost(client_rounds=1, training=training(job.tasks, images, job.local))
    if not measuring:
        return cost
    looked = _looked_images(job, load, client)
    return cost + JobCost(
        look_aheads=len(looked),
        looking_ahead=looking_ahead(
            job.tasks,
            sum(looked),
            job.affinity.mode,
            shares=shares_gradients(job.local),
            rounded=load.rounded,
            balanced=balances(job.local),
        ),
    )
