"""Methods for clients with labels of unlike tasks: clients of the same tasks are one group."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.workloads.multitask.exchange.averaging import Averaging
from harness.workloads.multitask.exchange.conflict_averse import ConflictAverse
from harness.workloads.multitask.exchange.matching import Matching
from harness.workloads.multitask.exchange.server import Exchange
from harness.workloads.multitask.job import Job
from harness.workloads.multitask.methods.in_step import in_step
from harness.workloads.multitask.methods.schedule import Schedule, Served, Setting, serving_itself


def apart(setting: Setting) -> Schedule:
    """Train each kind of clients by itself: what every exchange has to beat."""
    served: list[Served] = []
    for job in _jobs(setting):
        outcome = yield job
        served.append(serving_itself(outcome))
    return served


def averaged(setting: Setting) -> Schedule:
    """Average what groups share after every round: FedAvg over encoders, and decoders of a task."""
    return (yield from _exchanging(setting, Averaging))


def mat_fl(setting: Setting, *, threshold: float) -> Schedule:
    """Mix encoders by how alike they have become."""
    return (yield from _exchanging(setting, lambda clients: Matching(clients, threshold)))


def fedhca2(setting: Setting, *, caution: float, share: float) -> Schedule:
    """Add the step that no group suffers from, to encoders and, layer by layer, to decoders."""
    return (yield from _exchanging(setting, lambda _: ConflictAverse(caution, share)))


def _exchanging(setting: Setting, exchange: Callable[[Sequence[int]], Exchange]) -> Schedule:
    jobs = _jobs(setting)
    return (yield from in_step(jobs, exchange([len(job.clients or ()) for job in jobs])))


def _jobs(setting: Setting) -> list[Job]:
    """Return one job for each kind of clients, in order of their first ones."""
    return [
        Job(tasks, setting.rounds, clients=clients) for tasks, clients in setting.kinds().items()
    ]
