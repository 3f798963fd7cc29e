"""Let the methods of one seed share jobs that they ask for alike: trained once, charged to each.

The merged rounds of `mas:splits=2` are those of `mas:splits=3`, and the first ones of `all-in-one`;
the singles of HOA are the jobs of `independent`. What came of such a job is handed on, and with it
every second and joule that was measured while it was trained, so that a method costs what it would
have cost alone. What another method left out, the look-aheads, is not in its cost.
"""

from __future__ import annotations

from dataclasses import replace

from harness.federated.job import Checkpoint
from harness.federated.keeping import JobState
from harness.records.cells import FinishedCell, SharedJob
from harness.records.cost import SegmentCost, SessionCost
from harness.records.values import Value
from harness.workloads.multitask.federation import Federation
from harness.workloads.multitask.job import Job, Outcome, Start
from harness.workloads.multitask.rounds import job_rate


class JobLibrary:
    """Keep the finished jobs of one seed and repeat, and lend them to later cells."""

    def __init__(self, federation: Federation) -> None:
        self._federation = federation
        self._finished: list[tuple[Outcome, FinishedCell]] = []

    def add(self, cell: FinishedCell) -> None:
        """Take in the jobs of a cell that is done."""
        jobs = [outcome.job for outcome in cell.trained]
        self._finished += [
            (outcome, cell)
            for outcome in cell.trained
            if sum(_overlap(outcome.job, job) for job in jobs) == 1  # marks then tell them apart
        ]

    def shared(self, job: Job, borrower: str) -> SharedJob | None:
        """Return the longest beginning of a job that is here, for the cell that asks for it."""
        able = [found for found in self._finished if self._serves(found[0].job, job)]
        if not able:
            return None
        outcome, lender = max(able, key=lambda found: found[0].job.rounds)
        wanted = min(job.measured_rounds, outcome.job.rounds)
        measured = outcome.affinity.rounds[:wanted] if outcome.affinity else ()
        judged = {
            "test_loss": outcome.losses, "test_unseen_loss": outcome.unseen_losses,
            "validation_loss": outcome.validation_losses,
        }  # fmt: skip
        state = JobState(outcome.job.last_round, outcome.state, measured, judged, outcome.traffic)
        looks_end = job.first_round + wanted
        session_costs = [
            _shared(part, outcome.job, looks_end, borrower) for part in lender.session_costs
        ]
        values = self._values(outcome.job, job, lender)
        kept = [cost for cost in session_costs if cost.figures]
        return SharedJob(
            state, kept, values, lender.flags, lender.peak_memory_bytes,
            lender.peak_gpu_memory_bytes,
        )  # fmt: skip

    def _serves(self, lent: Job, job: Job) -> bool:
        """Say whether a finished job is, to the last bit, the beginning of another."""
        same = ("tasks", "first_round", "rate_start", "local", "clients", "passing", "joining",
                "variant")  # fmt: skip
        return (
            0 < lent.rounds <= job.rounds
            and all(getattr(lent, name) == getattr(job, name) for name in same)
            and self._looks_alike(lent, job)
            and self._steps(lent, lent.last_round) == self._steps(job, lent.last_round)
            and _equal(lent.start, job.start)
        )

    def _looks_alike(self, lent: Job, job: Job) -> bool:
        """Say whether all that is to be measured was, and left no trace that is not to be there."""
        wanted = min(job.measured_rounds, lent.rounds)
        if wanted and lent.affinity != job.affinity:
            return False
        measured = min(lent.measured_rounds, lent.rounds)
        if measured and lent.affinity.trains:
            return measured == wanted
        if self._federation.training.protocol.looks_move_statistics:
            return lent.measured_rounds == wanted
        return lent.measured_rounds >= wanted

    def _steps(self, job: Job, end: int) -> object:
        """Return the kind of steps and the learning rate of every round up to one."""
        base, descent = self._federation.learning_rate, job.descent or self._federation.descent
        rates = [job_rate(base, job, index, descent) for index in range(job.first_round, end)]
        return descent.nesterov, rates

    def _values(self, lent: Job, job: Job, lender: FinishedCell) -> list[Value]:
        """Return what was reported in the rounds; a test that only ended the lent job is left."""
        own = [
            value
            for value in lender.values
            if value.job == lent.name and lent.first_round < value.rounds_done <= lent.last_round
        ]
        if lent.rounds == job.rounds:
            return own
        tested = lent.last_round % self._federation.evaluate_every == 0
        return [
            value
            for value in own
            if value.rounds_done < lent.last_round
            or value.phase != "evaluate"
            or (tested and value.metric == "test_loss")
        ]


def _overlap(one: Job, other: Job) -> bool:
    rounds_meet = one.first_round < other.last_round and other.first_round < one.last_round
    return one.name == other.name and (rounds_meet or one is other)


def _equal(one: Start, other: Start) -> bool:
    if not isinstance(one, Checkpoint) or not isinstance(other, Checkpoint):
        return one is None and other is None  # what a server makes belongs to its own method
    return one.tensors.keys() == other.tensors.keys() and all(
        tensor.equal(other.tensors[name]) for name, tensor in one.tensors.items()
    )


def _shared(part: SessionCost, job: Job, looks_end: int, borrower: str) -> SessionCost:
    """Return the marks of a job in a part, as the borrower's, without look-aheads from a round."""
    return replace(
        part, figures=[_borrowed(f, borrower) for f in part.figures if _of(f, job, looks_end)]
    )


def _of(figures: SegmentCost, job: Job, looks_end: int) -> bool:
    label = figures.segment.label
    index = label.round_index
    if label.job != job.name or index is None:
        return False
    within = job.first_round <= index < job.last_round
    return within and (label.phase != "affinity" or index < looks_end)


def _borrowed(figures: SegmentCost, borrower: str) -> SegmentCost:
    label = figures.segment.label
    label = replace(label, cell=borrower, lent_by=label.lent_by or label.cell)
    return replace(figures, segment=replace(figures.segment, label=label))
