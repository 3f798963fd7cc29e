"""Check what a run says of how sure its split is."""

from types import SimpleNamespace

import numpy as np

from harness.federated.job import Checkpoint
from harness.workloads.multitask.affinity.matrix import Affinity, ClientAffinity, combine_clients
from harness.workloads.multitask.job import Job, Outcome
from harness.workloads.multitask.methods.registry import parse
from harness.workloads.multitask.methods.schedule import Setting
from harness.workloads.multitask.sureness import measured_affinity, split_sure, sure_words

SD = np.array([[0.2 if i == j else (0.1 if i // 2 == j // 2 else -0.1) for i in range(4)]
               for j in range(4)])  # fmt: skip
SK = SD[np.ix_([0, 2, 1, 3], [0, 2, 1, 3])]
SETTING = Setting("sdkt", 10)


def _affinity(*rounds) -> Affinity:
    return Affinity("sdkt", tuple(
        combine_clients(r, [ClientAffinity(c, matrix, 1) for c, matrix in enumerate(clients)])
        for r, clients in enumerate(rounds)
    ))  # fmt: skip


def test_clients_that_agree_are_sure_and_those_that_do_not_are_a_coin_toss() -> None:
    spec = parse("mas:splits=2")
    assert split_sure(_affinity([SD, SD], [SD, 2 * SD]), spec, SETTING) == 1.0
    torn = split_sure(_affinity([2 * SD, SK]), spec, SETTING)
    assert 0.6 < torn < 0.8
    assert sure_words(1.0) == " (the split of 100 % of samples)"
    assert sure_words(torn).endswith("% of samples: a coin toss)")


def test_only_rounds_that_decide_count() -> None:
    """The third round would make a coin toss of it."""
    affinity = _affinity([SD, SD], [SD, SD], [-9 * SD, -9 * SD])
    assert split_sure(affinity, parse("mas:affinity_rounds=2"), SETTING) == 1.0
    assert split_sure(affinity, parse("mas"), SETTING) < 1.0


def test_nothing_is_said_where_nothing_is_known() -> None:
    """No affinity, a method that splits by none, one client, numbers that are none."""
    two = _affinity([SD, SD])
    assert split_sure(None, parse("mas"), SETTING) is None
    assert split_sure(two, parse("independent"), SETTING) is None
    assert split_sure(_affinity([SD], [SD]), parse("mas"), SETTING) is None
    assert split_sure(_affinity([SD, np.nan * SD]), parse("mas"), SETTING) is None
    assert sure_words(None) == ""


def test_parts_of_one_merged_job_are_taken_together() -> None:
    parts = [_affinity([SD, SD]), None, _affinity([SK, SK])]
    outcomes = [Outcome(Job("sdkt", 1), Checkpoint({}), {}, part) for part in parts]
    later = Outcome(Job("sd", 1), Checkpoint({}), {}, Affinity("sd", parts[0].rounds))
    found = measured_affinity(SimpleNamespace(trained=[*outcomes, later]))
    assert [r.mean.tolist() for r in found.rounds] == [SD.tolist(), SK.tolist()]
    assert measured_affinity(SimpleNamespace(trained=[])) is None
