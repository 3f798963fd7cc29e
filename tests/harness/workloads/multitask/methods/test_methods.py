"""Check that each method yields the jobs its definition says, and end to end on tiny data."""

import numpy as np
import pytest
import torch

from harness.config import split_list
from harness.core.errors import UsageError
from harness.federated import trainers as module
from harness.federated.job import Checkpoint
from harness.federated.observer import SilentObserver
from harness.workloads.multitask.affinity.matrix import Affinity, RoundAffinity
from harness.workloads.multitask.federation import LocalEngine
from harness.workloads.multitask.job import Job, Outcome
from harness.workloads.multitask.methods import registry
from harness.workloads.multitask.methods.parameters import UNLIKE
from harness.workloads.multitask.methods.schedule import Setting, carry_out

BLOCKS = {("s", "d"), ("d", "s"), ("n", "k"), ("k", "n")}


class _Recorder:
    """An engine that only writes down jobs; its affinity puts s with d and n with k."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def run(self, job: Job) -> Outcome:
        self.jobs.append(job)
        weights = Checkpoint(
            {"encoder.w": torch.zeros(1)} | {f"decoders.{t}.w": torch.zeros(1) for t in job.tasks}
        )
        matrix = np.array([[1.0 if (a, b) in BLOCKS else -1.0 for b in job.tasks]
                           for a in job.tasks])  # fmt: skip
        rounds = (RoundAffinity(0, matrix, matrix, 1),)
        affinity = Affinity(job.tasks, rounds) if job.measure_affinity else None
        return Outcome(job, weights, dict.fromkeys(job.tasks, 0.5), affinity)


def _jobs(text: str, setting: Setting) -> tuple[list[Job], list[str]]:
    engine = _Recorder()
    served = carry_out(registry.parse(text).schedule(setting), engine)
    return engine.jobs, [s.tasks for s in served]


def test_independent_is_one_full_job_per_task() -> None:
    """n jobs of R rounds from scratch, each serving its own task."""
    jobs, served = _jobs("independent", Setting("sdn", 9))

    assert jobs == [Job("s", 9), Job("d", 9), Job("n", 9)]
    assert served == ["s", "d", "n"]


def test_all_in_one_is_one_full_job() -> None:
    """One job of all tasks for R rounds."""
    assert _jobs("all-in-one", Setting("sdn", 9)) == ([Job("sdn", 9)], ["sdn"])


def test_mas_merges_measures_splits_and_continues() -> None:
    """R0 merged rounds with affinity, then each group from the merged weights to round R."""
    jobs, served = _jobs("mas:splits=2,merge_rounds=3", Setting("sdnk", 10))

    assert jobs[0] == Job("sdnk", 3, horizon=10, measure_affinity=True)
    assert served == ["sd", "nk"]
    for job, group in zip(jobs[1:], ("sd", "nk"), strict=True):
        assert (job.tasks, job.rounds, job.first_round, job.last_round) == (group, 7, 3, 10)
        assert not job.measure_affinity
        assert set(job.start.tensors) == {"encoder.w", *(f"decoders.{t}.w" for t in group)}


def test_mas_merges_thirty_percent_by_default() -> None:
    """R0 = 30 of R = 100, as in the paper."""
    assert _jobs("mas", Setting("sdnk", 100))[0][0].rounds == 30


def test_mas_that_only_merges_is_all_in_one() -> None:
    """R0 = R leaves nothing to split: the merged model serves all tasks."""
    jobs, served = _jobs("mas:merge_rounds=10", Setting("sdnk", 10))

    assert [job.tasks for job in jobs] == ["sdnk"]
    assert served == ["sdnk"]


def test_at_most_can_use_fewer_groups_than_exactly() -> None:
    """With a clear two-block affinity, three exact groups differ from at most three."""
    setting = Setting("sdnk", 10)

    assert _jobs("mas:splits=3,exact=no", setting)[1] == ["sd", "nk"]
    assert len(_jobs("mas:splits=3", setting)[1]) == 3


def test_cost_identities_in_task_rounds() -> None:
    """Encoder rounds: independent nR, all-in-one R, MAS R0 + x(R − R0); decoder rounds all nR."""
    setting = Setting("sdnk", 10)
    encoder = {}
    for text in ("independent", "all-in-one", "mas:splits=2,merge_rounds=3"):
        jobs, _ = _jobs(text, setting)
        encoder[text] = sum(job.rounds for job in jobs)
        assert sum(job.rounds * len(job.tasks) for job in jobs) == 4 * 10

    assert list(encoder.values()) == [40, 10, 3 + 2 * 7]


@pytest.mark.parametrize(
    "text",
    ["mas:splits=1,merge_rounds=2", "mas:splits=2,merge_rounds=4",
     "mas:splits=1,merge_rounds=3,sure=0.9", "mas:merge_rounds=4,sure=0.9"],
)  # fmt: skip
def test_mas_without_a_split_trains_the_all_in_one_model(
    text: str, tiny_source, tiny_architecture, federation
) -> None:
    """x = 1 and R0 = R end with the all-in-one weights bit for bit."""
    setting = Setting("sdn", 4)
    engine = LocalEngine(tiny_source, tiny_architecture, federation, 0, SilentObserver())

    (expected,) = carry_out(registry.parse("all-in-one").schedule(setting), engine)
    (ours,) = carry_out(registry.parse(text).schedule(setting), engine)

    wanted = expected.outcome.weights.tensors
    assert all(torch.equal(v, wanted[k]) for k, v in ours.outcome.weights.tensors.items())


VARIANTS = [
    "mas:affinity=linear", "mas:momentum=yes,affinity_every=1", "mas:init=scratch,lr=restart",
    "mas:hierarchical=yes,splits=3", "tag:affinity=linear,affinity_rounds=1", "mas:exact=no",
    "mas:sure=0.8", "mas:hierarchical=yes,sure=0.8",
]  # fmt: skip


@pytest.mark.parametrize("text", [*registry.METHODS, *VARIANTS])
def test_every_method_serves_every_task_alike_in_every_run(
    text: str, tiny_source, tiny_architecture, federation
) -> None:
    """End to end on tiny data each task is served once (standalone: by every client), and a
    second run gives the same losses to the last bit.
    """
    engine = LocalEngine(tiny_source, tiny_architecture, federation, 0, SilentObserver())
    unlike = text in registry.METHODS and registry.METHODS[text].clients == UNLIKE
    kinds = ("sd", "n") * 2 if unlike else ()
    setting = Setting("sdn", 2, clients=4, client_tasks=kinds)
    runs = [carry_out(registry.parse(text).schedule(setting), engine) for _ in range(2)]

    times = 4 if text == "standalone" else 1
    assert sorted("".join(s.tasks for s in runs[0])) == sorted("sdn" * times)
    assert all(set(s.tasks) <= set(s.outcome.job.tasks) for s in runs[0])
    assert [s.outcome.losses for s in runs[0]] == [s.outcome.losses for s in runs[1]]
    assert all(s.outcome.unseen_losses.keys() == s.outcome.losses.keys() for s in runs[0])


@pytest.mark.parametrize("text", ["mas:splits=2", "mas:affinity=linear", "tag:splits=2"])
def test_renaming_tasks_permutes_the_whole_method(
    text: str, tiny_source, tiny_architecture, federation
) -> None:
    """Another order of the letters gives the same groups and, to rounding, the same losses."""
    engine = LocalEngine(tiny_source, tiny_architecture, federation, 0, SilentObserver())
    ends = []
    for tasks in ("sdnk", "knds"):
        served = carry_out(registry.parse(text).schedule(Setting(tasks, 3)), engine)
        losses = {t: s.outcome.losses[t] for s in served for t in s.tasks}
        ends.append(({frozenset(s.outcome.job.tasks) for s in served}, losses))

    assert ends[0][0] == ends[1][0]
    assert ends[1][1] == pytest.approx(ends[0][1], rel=1e-3)


def test_identical_clients_measure_the_same(
    make_source, tiny_architecture, federation, monkeypatch
) -> None:
    """Clients with the same images in the same order have the same matrix, and no spread."""
    orders = module.random_stream
    monkeypatch.setattr(
        module, "random_stream", lambda seed, name, index, _client: orders(seed, name, index, 0)
    )
    source = make_source((4, 4, 4), identical=True)
    engine = LocalEngine(source, tiny_architecture, federation, 0, SilentObserver())

    (first,) = engine.run(Job("sdn", 1, measure_affinity=True)).affinity.rounds

    one, two = first.clients
    assert one.client != two.client
    assert np.array_equal(one.mean, two.mean)
    assert first.std == pytest.approx(np.zeros((3, 3)), abs=1e-12)
    assert np.array_equal(first.mean, one.mean)


@pytest.mark.parametrize("text", ["mas:splits=3", "mas:splits=3,exact=no", "tag:splits=2"])
def test_scaling_affinities_changes_nothing(text: str) -> None:
    """A positive factor on all that was measured leaves every job as it is."""

    class _Scaled(_Recorder):
        factor = 1.0

        def run(self, job: Job) -> Outcome:
            outcome = super().run(job)
            if outcome.affinity is None:
                return outcome
            n = len(job.tasks)
            matrix = self.factor * np.random.default_rng(n).normal(size=(n, n))
            affinity = Affinity(job.tasks, (RoundAffinity(0, matrix, matrix, 1),))
            return Outcome(job, outcome.weights, outcome.losses, affinity)

    jobs = []
    for factor in (1.0, 3e-5, 700.0):
        engine = _Scaled()
        engine.factor = factor
        carry_out(registry.parse(text).schedule(Setting("sdnk", 10)), engine)
        jobs.append([(job.tasks, job.rounds, job.first_round) for job in engine.jobs])

    assert jobs[0] == jobs[1] == jobs[2]
    assert len(jobs[0]) > 1


@pytest.mark.parametrize(
    ("text", "words"),
    [("mas:affinity=exakt", "exact"), ("mas:affinity_every=x", "whole number"), ("mass", "mas"),
     ("mas:split=2", "splits"), ("mas:splits=two", "whole number"),
     ("mas:exact=maybe", "yes or no"), ("independent:x=1", "x"), ("mas:splits", "no value")],
)  # fmt: skip
def test_wrong_methods_are_refused_with_the_right_word(text: str, words: str) -> None:
    """Unknown methods, parameters and values raise a usage error that names what would be right."""
    with pytest.raises(UsageError, match=words):
        registry.parse(text)


def test_a_list_of_methods_keeps_parameters_together() -> None:
    """Commas separate methods and parameters; key=value belongs to the method before it."""
    text = "independent,mas:splits=3,exact=no,all-in-one"

    assert split_list(text) == ["independent", "mas:splits=3,exact=no", "all-in-one"]
