"""Turn jobs, and answers of boards, into plain values for JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from harness.workloads.unlearning.boards import BoardAnswer, BoardsJob, RoundAnswers
from harness.workloads.unlearning.methods.base import Job


class UnlearningCodec:
    """Implement `harness.workloads.base.Codec`."""

    @staticmethod
    def job(job: Job | BoardsJob) -> Mapping[str, Any]:
        """Return what a job answers, or by which method boards do."""
        if isinstance(job, BoardsJob):
            return asdict(job)
        return {
            "name": job.name, "request": job.request, "users": list(job.users),
            "first_round": job.first_round, "last_round": job.last_round,
        }  # fmt: skip

    @staticmethod
    def measured(found: RoundAnswers) -> Any:  # noqa: ANN401
        """Return the answers of boards in a round."""
        return {"round": found.round, "answers": [asdict(answer) for answer in found.answers]}

    @staticmethod
    def read_measured(plain: Any) -> RoundAnswers:  # noqa: ANN401
        """Return what `measured` wrote."""
        answers = tuple(BoardAnswer(**answer) for answer in plain["answers"])
        return RoundAnswers(int(plain["round"]), answers)
