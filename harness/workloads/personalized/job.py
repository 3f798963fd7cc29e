"""Define what a method asks of an engine: one federated training of every client's own network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.federated.job import Checkpoint, Traffic

UNIT = "model"
"""What a round trains: the networks of its clients, each once."""


@dataclass(frozen=True)
class ClubJob:
    """Ask for rounds of one method, as typed."""

    method: str
    last_round: int
    first_round: int = 0

    @property
    def name(self) -> str:
        """Return the method's name."""
        return self.method.partition(":")[0]

    @property
    def units(self) -> tuple[str, ...]:
        """Return the one unit."""
        return (UNIT,)


@dataclass(frozen=True)
class TeacherRecord:
    """Say what a server's search for one client's teacher came to; the columns of teachers files.

    Attributes:
        client: for whom.
        groups: groups of blocks.
        searched: chains that were found.
        fit: of these within the limit of size.
        tried: of these built, tuned and matched.
        reason: why there is no teacher; empty if there is one.
        alpha: likeness of its logits to the client's own.
        teacher_parameters: its size.
        parameters: size of the client's own network.
        stitch_parameters: of its size what joins blocks.
        foreign_blocks: blocks of others in it.
        own_won: whether it is the client's own network.
        teacher_accuracy: on the client's own test images.
        path: its blocks, as `c4.2>c2.3>c1.3`.
    """

    client: int
    groups: int
    searched: int
    fit: int
    tried: int
    reason: str = ""
    alpha: float | None = None
    teacher_parameters: int | None = None
    parameters: int | None = None
    stitch_parameters: int | None = None
    foreign_blocks: int | None = None
    own_won: bool | None = None
    teacher_accuracy: float | None = None
    path: str = ""


@dataclass(frozen=True)
class RoundRecord:
    """Hold what a round gave beside training.

    Its teachers, clients that were left out and why, and of each client the bytes it got and sent.
    """

    round: int
    teachers: tuple[TeacherRecord, ...] = ()
    left_out: Mapping[int, str] = field(default_factory=dict)
    sent: Mapping[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class ClubOutcome:
    """Report what came of a job.

    Attributes:
        job: which.
        weights: the state after the last round.
        accuracy: last test accuracy of each client's network, as it has trained it.
        start_accuracy: that of what each client would start the next round from.
        rounds: what the rounds gave beside.
        traffic: bytes that the method sends.
    """

    job: ClubJob
    weights: Checkpoint
    accuracy: Mapping[int, float]
    start_accuracy: Mapping[int, float]
    rounds: Sequence[RoundRecord]
    traffic: Traffic


class ClubCodec:
    """Keep jobs and what rounds gave; implements `harness.workloads.base.Codec`."""

    @staticmethod
    def job(job: ClubJob) -> dict[str, Any]:
        """Return what makes a job the job it is."""
        return {
            "name": job.name, "method": job.method, "first_round": job.first_round,
            "last_round": job.last_round,
        }  # fmt: skip

    @staticmethod
    def measured(found: RoundRecord) -> dict[str, Any]:
        """Return what a round gave."""
        return {
            "round": found.round,
            "teachers": [asdict(teacher) for teacher in found.teachers],
            "left_out": {str(client): why for client, why in found.left_out.items()},
            "sent": {str(client): list(sizes) for client, sizes in found.sent.items()},
        }

    @staticmethod
    def read_measured(plain: Any) -> RoundRecord:  # noqa: ANN401
        """Return what `measured` wrote."""
        return RoundRecord(
            int(plain["round"]),
            tuple(TeacherRecord(**teacher) for teacher in plain["teachers"]),
            {int(client): str(why) for client, why in plain["left_out"].items()},
            {int(client): (int(down), int(up)) for client, (down, up) in plain["sent"].items()},
        )
