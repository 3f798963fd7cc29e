"""Check that a run's own affinity files give the `split_sure` that it states, and no other."""

from types import SimpleNamespace

import numpy as np
import pytest

from harness.core.schema import AFFINITY_CLIENTS, SCHEMA_VERSION
from harness.evidence.tables import read_table
from harness.federated.job import Checkpoint
from harness.workloads.multitask.affinity.matrix import Affinity, ClientAffinity, combine_clients
from harness.workloads.multitask.affinity_report import affinity_files
from harness.workloads.multitask.job import Job, Outcome
from harness.workloads.multitask.methods.registry import parse
from harness.workloads.multitask.methods.schedule import Setting
from harness.workloads.multitask.protocol import PROTOCOLS
from harness.workloads.multitask.sureness import split_sure
from harness.workloads.multitask.sureness_evidence import sureness_contradictions

CELL = "mas-s0-r0"
METHODS = ["mas:splits=3,affinity_rounds=2", "mas:exact=no", "mas-plus", "tag",
           "mas:hierarchical=yes,splits=3"]  # fmt: skip


def _measured(seed: int, tasks: str = "sdkt") -> Affinity:
    """Return three rounds of clients that come and go."""
    random = np.random.default_rng(seed)
    common = random.normal(size=(len(tasks),) * 2)
    chosen = [(4, 7, 1), (7, 2), (4, 9)]
    rounds = [
        combine_clients(r, [ClientAffinity(c, common + random.normal(size=common.shape), 1)
                            for c in clients])
        for r, clients in enumerate(chosen)
    ]  # fmt: skip
    return Affinity(tasks, tuple(rounds))


def _contradictions(tmp_path, measured: Affinity | None, method: str, stated, **config):
    rows = []
    if measured is not None:
        outcome = Outcome(Job(measured.tasks, 3), Checkpoint({}), {}, measured)
        files = affinity_files(SimpleNamespace(trained=[outcome], cell=SimpleNamespace(name=CELL)))
        path = tmp_path / "clients.csv"
        path.write_text(files[f"{CELL}_clients.csv"], encoding="utf-8")
        rows = list(read_table(path, AFFINITY_CLIENTS, SCHEMA_VERSION).rows)
    run = SimpleNamespace(section=lambda _: config)
    row = {"cell": CELL, "method": method, "tasks": "sdkt", "rounds": 10, "split_sure": stated}
    return [text for _, _, text in sureness_contradictions(run, row, rows)]


@pytest.mark.parametrize("method", METHODS)
def test_what_a_run_states_is_found_again_and_nothing_else(tmp_path, method) -> None:
    measured = _measured(METHODS.index(method))
    stated = split_sure(measured, parse(method), Setting("sdkt", 10))
    other = stated + (0.005 if stated < 0.9 else -0.005)
    assert _contradictions(tmp_path, measured, method, stated) == []
    (text,) = _contradictions(tmp_path, measured, method, other)
    assert f"give {stated}" in text


def test_the_protocol_decides_what_counts(tmp_path) -> None:
    """The published one takes the first ten rounds and may end with fewer groups."""
    measured = _measured(4)
    stated = split_sure(measured, parse("mas"), Setting("sdkt", 10, protocol=PROTOCOLS["release"]))
    assert _contradictions(tmp_path, measured, "mas", stated, protocol="release") == []
    assert _contradictions(tmp_path, measured, "mas", stated + 0.01, protocol="release")


@pytest.mark.parametrize("stated", [1.5, -0.005, 0.5021, float("nan")])
def test_what_is_no_share_is_named(tmp_path, stated) -> None:
    (text,) = _contradictions(tmp_path, _measured(0), "mas", stated)
    assert "no share of 200 samples" in text


def test_a_share_that_rests_on_nothing_is_named(tmp_path) -> None:
    """No file of clients, a method that splits by no affinity, one client."""
    one = Affinity("sdkt", (combine_clients(0, [ClientAffinity(3, np.eye(4), 1)]),))
    for measured, method in [(None, "mas"), (_measured(0), "independent"), (one, "mas")]:
        (text,) = _contradictions(tmp_path, measured, method, 1.0)
        assert "no split of two clients" in text
    assert _contradictions(tmp_path, None, "mas", None) == []


def test_ties_are_left_to_the_last_bit(tmp_path) -> None:
    """Two pairs that no entry tells apart: which one wins is chance, and both shares are taken."""
    tied = np.array([[0.0 if i == j else 0.1 for i in range(4)] for j in range(4)])
    rounds = (combine_clients(0, [ClientAffinity(c, tied, 1) for c in range(3)]),)
    for stated in (0.0, 0.5, 1.0):
        assert _contradictions(tmp_path, Affinity("sdkt", rounds), "mas", stated) == []


def test_methods_that_are_not_here_are_left_alone(tmp_path) -> None:
    assert _contradictions(tmp_path, _measured(0), "of-another-program", 0.5) == []
