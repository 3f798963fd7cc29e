"""Run federated jobs: let chosen clients train, aggregate, judge, round after round.

Clients train in this process unless other trainers are given, as for a fleet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from harness.federated.job import Checkpoint, FederatedJob, Traffic
from harness.federated.keeping import ForgetfulKeeper, JobState, Keeper
from harness.federated.observer import Observer
from harness.federated.task import FederatedTask, JobWork
from harness.federated.trainers import LocalTrainers, RoundRequest, Trainers, naming


class RoundsEngine:
    """Turn the jobs of one cell into outcomes.

    The same seed gives the same weights bit for bit on the same host, whatever ran before.
    """

    def __init__(
        self,
        task: FederatedTask,
        seed: int,
        observer: Observer,
        keeper: Keeper | None = None,
        trainers: Trainers | None = None,
    ) -> None:
        self._task = task
        self._seed = seed
        self._observer = observer
        self._keeper = keeper or ForgetfulKeeper()
        self._trainers = trainers or LocalTrainers(observer)

    def run(self, job: FederatedJob) -> Any:  # noqa: ANN401 - methods and workload agree on it
        """Carry out the rounds of a job, or those that are left."""
        work = self._task.open(job, self._seed, self._observer)
        recalled = self._keeper.recall(job)
        self._observer.job_started(job)
        state = recalled or JobState(job.first_round, work.begin())
        if recalled is None and job.first_round == job.last_round:
            state = self._judged(work, state, final=True)
            self._keeper.keep(job, state)
        while state.rounds_done < job.last_round:
            state = self._after_a_round(work, state, job)
            self._observer.round_done(state.rounds_done)
            self._keeper.keep(job, state)
        return work.outcome(state)

    def _after_a_round(self, work: JobWork, before: JobState, job: FederatedJob) -> JobState:
        done = before.rounds_done + 1
        state = replace(self._round(work, before, job), rounds_done=done)
        final = done == job.last_round
        if not final and not work.is_judged_after(done):
            return state
        return self._judged(work, state, final=final)

    def _judged(self, work: JobWork, state: JobState, *, final: bool) -> JobState:
        done = state.rounds_done
        with (
            self._observer.phase("evaluate", round_index=max(done - 1, 0)),
            naming(f"test after round {done}"),
        ):
            judgement = work.judge(state.weights, final=final)
        for name, unit, value in judgement.reported:
            self._observer.metric(done, "evaluate", name, unit, value)
        return replace(state, judged=judgement.judged)

    def _round(self, work: JobWork, before: JobState, job: FederatedJob) -> JobState:
        index, observer = before.rounds_done, self._observer
        request = work.request(index, before.weights)
        expected = sum(work.weight(client) for client in request.clients)
        aggregator = work.aggregator(float(expected), before.weights)
        measured: list[Any] = []
        losses = dict.fromkeys(job.units, 0.0)
        trained = 0.0
        traffic = before.traffic + self._download(work, before.weights, request.clients)
        for update in self._trainers.train(work, before.weights, request):
            weight = work.weight(update.client)
            with observer.phase("aggregate", round_index=index):
                observer.work(aggregator.add(update.tensors, weight))
            for unit, loss in update.losses.items():
                losses[unit] += loss * weight / expected
            if update.measured is not None:
                measured.append(update.measured)
            trained += weight
            traffic += Traffic(upload_bytes=work.upload(update))
        with observer.phase("aggregate", round_index=index):
            merged = aggregator.result() if trained else before.weights
        self._report(request, losses if trained else {}, expected / trained if trained else 1.0)
        found = (*before.measured, *work.measured(index, measured))
        return replace(before, weights=merged, measured=found, traffic=traffic)

    def _report(self, request: RoundRequest, losses: dict[str, float], missing: float) -> None:
        """Tell the values of a round; `missing` makes up for clients that did not come."""
        done = request.round_index + 1
        for name, value in request.reported.items():
            self._observer.metric(done, "train", name, "", value)
        for unit, loss in losses.items():
            found = loss if missing == 1.0 else loss * missing
            self._observer.metric(done, "train", "train_loss", unit, found)

    @staticmethod
    def _download(work: JobWork, weights: Checkpoint, clients: Sequence[int]) -> Traffic:
        return Traffic(download_bytes=sum(work.download(weights, client) for client in clients))
