"""Let boards of a fleet answer requests of their own, each on a model that it keeps itself.

Round 0 makes every board ready, each round after it is one request. Nothing but what was judged
travels. A board that has lost its model, or is asked for a round again, comes to the same bits by
doing the rounds before anew, which is marked as evaluation and charged to nobody.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from harness.core.errors import RefusedError, UsageError
from harness.federated.job import Checkpoint, FederatedJob
from harness.federated.observer import Observer, SilentObserver
from harness.federated.simple import SimpleRounds
from harness.federated.task import StateJudgement
from harness.federated.trainers import RoundRequest, Update
from harness.workloads.unlearning.choice import BATCH, STREAM
from harness.workloads.unlearning.engine import JobsEngine
from harness.workloads.unlearning.methods.base import Outcome
from harness.workloads.unlearning.methods.registry import parse
from harness.workloads.unlearning.schedule import Answer

if TYPE_CHECKING:
    from harness.records.work import Work
    from harness.workloads.unlearning.study import UnlearningStudy

JOB = "answers"
KNOWN = (BATCH, STREAM, "")
MOST_VALUES = 64
MOST_VALUE = 1e15

Key = tuple[int, str, int]


@dataclass(frozen=True)
class BoardsJob:
    """Ask all boards to be ready and to answer their requests by one method."""

    method: str
    last_round: int
    name: str = JOB
    units: tuple[str, ...] = ()
    first_round: int = 0


@dataclass(frozen=True)
class BoardAnswer:
    """Hold what a board came to in a round: values by scenario and metric."""

    board: int
    round: int
    judged: Mapping[str, Mapping[str, float]]
    shards_touched: int
    copies: int


@dataclass(frozen=True)
class RoundAnswers:
    """Hold the answers of the boards that came in a round."""

    round: int
    answers: Sequence[BoardAnswer]


class _Labelled:
    """Pass phases and work on to the observer of the moment, whose round and board they get."""

    def __init__(self) -> None:
        self.now: Observer = SilentObserver()

    def phase(
        self, name: str, *, round_index: int | None = None, client: int | None = None
    ) -> AbstractContextManager[None]:
        """Mark a phase within that of the round."""
        del round_index, client
        return self.now.phase(name)

    def work(self, done: Work) -> None:
        """Add work."""
        self.now.work(done)

    def metric(self, rounds_done: int, phase: str, name: str, task: str, value: float) -> None:
        """Leave values to the answer."""

    def job_started(self, job: FederatedJob) -> None:
        """Leave labels to the round."""

    def round_done(self, rounds_done: int) -> None:
        """Leave progress to the server."""


class Board:
    """Be one board: a model, and how far its requests are."""

    def __init__(self, study: UnlearningStudy, key: Key) -> None:
        self._study, self._key = study, key
        self._observer = _Labelled()
        self._begin()

    def _begin(self) -> None:
        seed, method, board = self._key
        work = self._study.cellwork(parse(method), seed, board)
        self._found: Iterator[Outcome | Answer] = work.rounds(
            JobsEngine(work.world, self._observer)
        )
        self._next = 0

    def answer(self, round_index: int, observer: Observer) -> BoardAnswer:
        """Do a round; those before it too if they are not done here."""
        if self._next > round_index:
            self._begin()
        while self._next < round_index:
            with observer.phase("evaluate"):
                self._step()
        self._observer.now = observer
        try:
            return self._step()
        finally:
            self._observer.now = SilentObserver()

    def _step(self) -> BoardAnswer:
        number, self._next = self._next, self._next + 1
        found = next(self._found)
        if isinstance(found, Outcome):
            return BoardAnswer(self._key[2], number, found.judged, 0, found.copies)
        assert found.outcome is not None  # boards have no file of requests, so none is refused
        outcome = found.outcome
        return BoardAnswer(
            self._key[2], number, outcome.judged, found.shards_touched, outcome.copies
        )


@dataclass(frozen=True)
class BoardRounds(SimpleRounds):
    """Be the rounds of boards, on the server and on each of them."""

    boards: dict[Key, Board] = field(default_factory=dict)

    def begin(self) -> Checkpoint:
        """Return a count of rounds: models stay where they are."""
        return Checkpoint({"rounds": torch.zeros(1)})

    def weight(self, client: int) -> float:
        """Return 1."""
        del client
        return 1.0

    def request(self, round_index: int, weights: Checkpoint) -> RoundRequest:
        """Ask every board for a round."""
        del weights
        boards = range(self.config.config.boards)
        return RoundRequest(
            JOB, (), round_index, boards, self.seed, {"method": self.job.method}
        )  # fmt: skip

    def train(
        self, weights: Checkpoint, request: RoundRequest, client: int, order: np.random.Generator
    ) -> Update:
        """Let a board do a round."""
        del order
        key = request.seed, str(request.settings["method"]), client
        if key not in self.boards:
            for other in [k for k in self.boards if k[2] == client]:
                del self.boards[other]  # a board keeps one model
            self.boards[key] = Board(self.config, key)
        answer = self.boards[key].answer(request.round_index, self.observer)
        return Update(client, {"rounds": weights.tensors["rounds"] + 1}, {}, answer)

    def measured(self, round_index: int, found: Sequence[Any]) -> tuple[Any, ...]:
        """Return the answers of a round."""
        return (RoundAnswers(round_index, tuple(found)),)

    def is_judged_after(self, rounds_done: int) -> bool:
        """Judge nothing here: boards do."""
        del rounds_done
        return False

    def judge(self, weights: Checkpoint, *, final: bool) -> StateJudgement:
        """Judge nothing here: boards have."""
        del weights, final
        return StateJudgement({})


class BoardWire:
    """Carry the method to boards, and their answers back; implements `WireCodec`."""

    @staticmethod
    def settings(settings: Mapping[str, str]) -> dict[str, str]:
        """Return the method."""
        return {"method": settings["method"]}

    @staticmethod
    def read_settings(plain: Any) -> dict[str, str]:  # noqa: ANN401
        """Return the method, if it is one.

        Raises:
            ValueError: if it is not.
        """
        try:
            return {"method": parse(str(plain["method"])).text}
        except UsageError as error:
            raise ValueError(error.message) from None

    @staticmethod
    def with_batch(settings: Any, batch_size: int) -> Any:  # noqa: ANN401, ARG004
        """Refuse: boards that learn otherwise cannot be compared.

        Raises:
            UsageError: always.
        """
        raise UsageError("boards of this workload learn alike", "Leave out --batch-from-profile.")

    @staticmethod
    def measured(found: BoardAnswer | None) -> Any:  # noqa: ANN401
        """Return an answer as plain values."""
        if found is None:
            return None
        return {
            "judged": {name: dict(values) for name, values in found.judged.items()},
            "shards_touched": found.shards_touched, "copies": found.copies,
        }  # fmt: skip

    @staticmethod
    def read_measured(plain: Any, request: RoundRequest, client: int) -> BoardAnswer:  # noqa: ANN401
        """Return an answer, if it is one: numbers by scenario and metric.

        Raises:
            RefusedError: if it is not.
        """
        if not isinstance(plain, dict) or not isinstance(plain.get("judged"), dict):
            raise RefusedError("the answer to a request is missing")
        judged = {name: _values(values) for name, values in plain["judged"].items()}
        counts = [plain.get("shards_touched"), plain.get("copies")]
        if not set(judged) <= set(KNOWN) or not all(
            type(n) is int and 0 <= n < 1 << 40 for n in counts
        ):
            raise RefusedError("the answer to a request is not one")
        return BoardAnswer(client, request.round_index, judged, int(counts[0]), int(counts[1]))  # type: ignore[arg-type]


def _values(plain: Any) -> dict[str, float]:  # noqa: ANN401
    right = isinstance(plain, dict) and len(plain) <= MOST_VALUES
    if not right or not all(
        isinstance(name, str) and name.isidentifier() and len(name) < 64
        and type(value) in (int, float) and math.isfinite(value) and abs(value) < MOST_VALUE
        for name, value in plain.items()
    ):  # fmt: skip
        raise RefusedError("the answer to a request holds something else than numbers")
    return {name: float(value) for name, value in plain.items()}
