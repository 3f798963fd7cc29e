"""Ask an engine for the jobs of a cell: prepare once, then answer every scenario's requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from harness.workloads.unlearning.choice import Request, Scenario
from harness.workloads.unlearning.methods.base import (
    Job,
    Judged,
    Method,
    Outcome,
    State,
    World,
)

if TYPE_CHECKING:
    from harness.workloads.unlearning.judging.judge import Judge

Judging = Callable[[State], Judged]


class Runs(Protocol):
    """Carry out jobs."""

    def run(self, job: Job) -> Outcome:
        """Return what came of a job."""
        ...


@dataclass(frozen=True)
class Answer:
    """Hold a request and what came of it; nothing if it was refused."""

    request: Request
    shards_touched: int = 0
    outcome: Outcome | None = None


@dataclass(frozen=True)
class Served:
    """Hold what a cell came to.

    Attributes:
        prepared: what came of the last job before the requests.
        answers: every request, scenario by scenario.
        scenarios: what was asked.
    """

    prepared: Outcome
    answers: Sequence[Answer]
    scenarios: Sequence[Scenario]


@dataclass(frozen=True)
class Cellwork:
    """Hold what one cell needs: the world, its method, its judge, who asks, and for how long."""

    world: World
    method: Method
    judge: Judge
    scenarios: list[Scenario]
    window_s: float = 0.0

    def carry_out(self, engine: Runs) -> Served:
        """Prepare, then answer each scenario from the state as prepared."""
        prepared = self._prepare(engine)
        answers: list[Answer] = []
        for scenario in self.scenarios:
            answers += self._answers(scenario, prepared.state, engine)
        return Served(prepared, answers, self.scenarios)

    def rounds(self, engine: Runs) -> Iterator[Outcome | Answer]:
        """Yield what `carry_out` does, one after another: prepared first, then each answer."""
        prepared = self._prepare(engine)
        yield prepared
        for scenario in self.scenarios:
            yield from self._answers(scenario, prepared.state, engine)

    def _prepare(self, engine: Runs) -> Outcome:
        jobs = self.method.prepare(self.world)
        state: State = {}
        for number, (name, steps) in enumerate(jobs, 1):
            judge = self._judge_prepared if number == len(jobs) else None
            outcome = engine.run(Job(name, steps, state, judge=judge))
            state = outcome.state
        return outcome

    def _judge_prepared(self, state: State) -> Judged:
        return self.judge.prepared(state, self.scenarios)

    def _answers(self, scenario: Scenario, state: State, engine: Runs) -> Iterator[Answer]:
        gone: tuple[int, ...] = ()
        answered = scenario.answered
        for request in scenario.requests:
            if request.refusal:
                yield Answer(request)
                continue
            gone += request.users
            final = request is answered[-1]
            job = self._job(request, state, gone, self._judging(scenario, gone, final=final),
                            len(answered))  # fmt: skip
            touched = self.method.shards_touched(state, np.array(request.users))
            outcome = engine.run(job)
            state = outcome.state
            yield Answer(request, touched, outcome)

    def _judging(self, scenario: Scenario, gone: tuple[int, ...], *, final: bool) -> Judging:
        return lambda state: self.judge.answered(state, scenario, gone, final=final)

    def _job(
        self, request: Request, state: State, gone: tuple[int, ...], judge: Judging, among: int
    ) -> Job:
        kept = np.setdiff1d(self.world.data.everyone, gone)
        steps = self.method.forget(self.world, state, np.array(request.users), kept)
        return Job(
            request.job, steps, state, request.number, request.users, judge,
            self.window_s / among,
        )  # fmt: skip
