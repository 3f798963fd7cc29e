"""Check that what a cell measured is written whole: mean, rounds and clients."""

from types import SimpleNamespace

import numpy as np
import pytest

from harness.federated.job import Checkpoint
from harness.workloads.multitask.affinity.matrix import (
    Affinity,
    CheckedLooks,
    ClientAffinity,
    combine_clients,
)
from harness.workloads.multitask.affinity_report import (
    affinity_files,
    checked_values,
    judged_words,
)
from harness.workloads.multitask.commands.affinity_history import read_history
from harness.workloads.multitask.job import Job, Outcome


def test_files_hold_every_client_of_every_round(tmp_path) -> None:
    """Read back, they give the matrices and counts that were measured, to the last bit."""
    rng = np.random.default_rng(0)
    clients = {
        r: [ClientAffinity(c, rng.normal(size=(3, 3)), 2 + c) for c in (r, 9)] for r in (0, 1)
    }
    rounds = tuple(combine_clients(r, measured) for r, measured in clients.items())
    outcome = Outcome(Job("sdn", 2), Checkpoint({}), {}, Affinity("sdn", rounds))
    result = SimpleNamespace(trained=[outcome], cell=SimpleNamespace(name="mas-s0-r0"))

    files = affinity_files(result)
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    history = read_history(tmp_path / "mas-s0-r0_rounds.csv")

    assert set(files) == {f"mas-s0-r0{end}.csv" for end in ("", "_rounds", "_clients")}
    assert history.names == ("s", "d", "n")
    for measured in rounds:
        assert np.array_equal(history.rounds[measured.round], measured.mean)
    assert [(m.round, m.client) for m in history.clients] == [(0, 0), (0, 9), (1, 1), (1, 9)]
    for read, kept in zip(history.clients, (c for r in rounds for c in r.clients), strict=True):
        assert np.array_equal(read.matrix, kept.mean)
    assert [line.rsplit(",", 1)[1] for line in files["mas-s0-r0_clients.csv"].splitlines()[1::9]
            ] == ["2", "11", "3", "11"]  # fmt: skip


def test_the_mean_is_of_the_rounds_that_count() -> None:
    """Four rounds of 1, 2, 3 and 4, of which the first two count: 1.5 everywhere."""
    rounds = tuple(
        combine_clients(r, [ClientAffinity(0, np.full((2, 2), r + 1.0), 1)]) for r in range(4)
    )
    outcome = Outcome(Job("sd", 4), Checkpoint({}), {}, Affinity("sd", rounds))
    result = SimpleNamespace(trained=[outcome], cell=SimpleNamespace(name="c"))
    assert affinity_files(result, 2)["c.csv"].splitlines()[2:] == ["s,1.5,1.5", "d,1.5,1.5"]
    assert affinity_files(result)["c.csv"].splitlines()[2:] == ["s,2.5,2.5", "d,2.5,2.5"]
    assert len(affinity_files(result, 2)["c_rounds.csv"].splitlines()) == 1 + 4 * 4


@pytest.mark.parametrize(
    ("linear", "alike", "words"),
    [
        ([[9.0, 0.5], [-0.25, 9.0]], 1.0, ", 100 % of signs of linear affinity as exact"),
        ([[9.0, -0.5], [-0.25, 9.0]], 0.5,
         ", 50 % of signs of linear affinity as exact: TOO FEW, take affinity=exact"),
    ],
)  # fmt: skip
def test_agreement_with_exact_looks_is_told(linear, alike, words) -> None:
    """Off the diagonal exact has 1 and -1: sizes are half and a quarter, 0.375 on average."""
    looks = CheckedLooks(np.array([[9.0, 1.0], [-1.0, 9.0]]), np.array(linear))
    measured = combine_clients(3, [ClientAffinity(4, looks.linear, 2, looks)])
    outcome = Outcome(Job("sd", 1, first_round=3), Checkpoint({}), {}, Affinity("sd", (measured,)))
    result = SimpleNamespace(trained=[outcome], cell=SimpleNamespace(name="c"))
    found = {v.metric: v for v in checked_values(result)}
    assert found["linear_signs_alike"].value == alike
    assert found["linear_over_exact"].value == pytest.approx(0.375)
    assert {(v.rounds_done, v.job, v.task, v.phase) for v in found.values()} == {
        (4, "sd", "", "affinity")
    }
    assert judged_words(result) == words
    lines = affinity_files(result)["c_check.csv"].splitlines()
    assert lines[2] == f"3,4,s,d,1.0,{linear[0][1]!r}"
    assert len(lines) == 5
