"""Carry out jobs on this device: a request is written durably, acted on, judged, and kept whole."""

from __future__ import annotations

import time

from harness.federated.job import Checkpoint
from harness.federated.keeping import ForgetfulKeeper, JobState, Keeper
from harness.federated.observer import Observer
from harness.workloads.unlearning.methods.base import Job, Judged, Outcome, State, World

ENGINE = "engine"
"""Begins names of values that say how a job went, not how good its state is."""

MARGIN = 1.02
"""The phases of a window are a little shorter than it: what lies between them is not theirs."""

MOST_COPIES = 1_000_000


class JobsEngine:
    """Turn the jobs of one cell into outcomes.

    Steps never change a state in place, so a job that breaks off leaves the old state as it was.
    """

    def __init__(self, world: World, observer: Observer, keeper: Keeper | None = None) -> None:
        self._world = world
        self._observer = observer
        self._keeper = keeper or ForgetfulKeeper()

    def run(self, job: Job) -> Outcome:
        """Carry out a job, or return what is kept of it."""
        kept = self._keeper.recall(job)
        self._observer.job_started(job)
        if kept is not None:
            return _recalled(job, kept)
        begun_before = 0 if job.request is None else self._keeper.announce(job)
        began_s = time.perf_counter()
        state = self._steps(job)
        left_s = job.window_s * MARGIN - (time.perf_counter() - began_s)
        copies = self._repeat(job, left_s) if left_s > 0.0 else 0
        with self._observer.phase("evaluate", round_index=job.request):
            judged = job.judge(state) if job.judge is not None else {}
        self._report(job, judged)
        self._observer.round_done(1)
        told = {"begun_before": float(begun_before), "copies": float(copies)}
        self._keeper.keep(
            job, JobState(1, Checkpoint(dict(state)), judged={**judged, ENGINE: told})
        )
        return Outcome(job, state, judged, begun_before, copies)

    def _steps(self, job: Job) -> State:
        state = job.start
        for step in job.steps:
            with self._observer.phase(step.phase, round_index=job.request):
                state, work = step.carry_out(self._world, state)
                self._observer.work(work)
        return state

    def _repeat(self, job: Job, seconds: float) -> int:
        """Answer the request again and again on the state before, for the meter to see it."""
        copies = 0
        end_s = time.perf_counter() + seconds
        with self._observer.phase("repeat", round_index=job.request):
            while time.perf_counter() < end_s and copies < MOST_COPIES:
                state = job.start
                for step in job.steps:
                    state, work = step.carry_out(self._world, state)
                    self._observer.work(work)
                copies += 1
        return copies

    def _report(self, job: Job, judged: Judged) -> None:
        for scenario, values in judged.items():
            for name, value in values.items():
                self._observer.metric((job.request or 0) + 1, "evaluate", name, scenario, value)


def _recalled(job: Job, kept: JobState) -> Outcome:
    judged = {name: values for name, values in kept.judged.items() if name != ENGINE}
    told = kept.judged.get(ENGINE, {})
    return Outcome(
        job, kept.weights.tensors, judged,
        int(told.get("begun_before", 0)), int(told.get("copies", 0)),
    )  # fmt: skip
