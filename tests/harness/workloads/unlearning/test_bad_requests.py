"""Requests that cannot be meant change nothing and say what to do, at the command line too."""

from dataclasses import replace

import numpy as np
import pytest

from harness.cli.run import main as run
from harness.core.errors import DataUsageError
from harness.workloads.unlearning.choice import (
    Asked,
    batch_size,
    ordered,
    scenarios,
)
from harness.workloads.unlearning.data.interactions import Pairs
from harness.workloads.unlearning.methods.base import SHARD
from tests.harness.workloads.unlearning.test_run import OFF, TINY, only, rows


@pytest.fixture
def asking(tmp_path, small):
    """Return a function that reads a file of requests of the small data."""

    def read(text):
        path = tmp_path / "who.txt"
        path.write_text(text)
        return scenarios(Asked(str(path), batch=False, share=0.05, stream=9), small, 0)

    return read


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\n2 99\n", r"line 2: unknown user '99'"),
        ("1\nzoe\n", r"line 2: unknown user 'zoe'"),
        ("1\n-1\n", r"line 2: unknown user '-1'"),
        ("1\n3 4 3\n", r"line 2: user '3' is named twice"),
        ("1\n\n2\n", r"line 2: an empty request"),
        ("1\n , \n2\n", r"line 2: an empty request"),
        ("", "holds no request"),
        ("# nobody\n", "holds no request"),
    ],
)
def test_a_request_that_cannot_be_meant_names_user_and_line(asking, text, said) -> None:
    with pytest.raises(DataUsageError, match=said):
        asking(text)


def test_a_user_who_is_gone_already_is_refused_by_its_own_message(asking) -> None:
    """The request is refused as a whole and costs nothing; the others are answered."""
    (found,) = asking("1 2\n3\n2 4\n5\n")
    assert [r.refusal for r in found.requests] == ["", "", "user 2 is already forgotten", ""]
    assert found.users == (1, 2, 3, 5)
    assert [r.job for r in found.answered] == ["stream-1", "stream-2", "stream-4"]


def test_deleting_everybody_is_refused(asking) -> None:
    with pytest.raises(DataUsageError, match="deletes all 60 users"):
        asking(" ".join(map(str, range(60))) + "\n")


def test_leaving_nobody_to_judge_is_refused(small) -> None:
    nobody = Pairs.of(np.array([0]), np.array([0]), 60, 50)
    with pytest.raises(DataUsageError, match="none has held-out items"):
        scenarios(Asked("core", batch=True, share=0.5, stream=0),
                  replace(small, held=nobody.only(np.array([], dtype=int))), 0)  # fmt: skip


def test_core_and_edge_are_those_with_most_and_fewest(small) -> None:
    counts = small.train.counts
    core, edge = ordered("core", small, 0), ordered("edge", small, 0)
    assert counts[core[0]] == counts.max()
    assert counts[edge[0]] == counts.min()
    assert core == edge[::-1]
    assert sorted(ordered("random", small, 0)) == list(range(60))
    assert ordered("random", small, 0) != ordered("random", small, 1)


def test_a_share_under_one_user_is_one(small) -> None:
    assert (batch_size(0.001, 60), batch_size(0.05, 60), batch_size(0.05, 900)) == (1, 3, 45)
    (found,) = scenarios(Asked("random", batch=True, share=0.001, stream=0), small, 0)
    assert len(found.users) == 1


def test_more_requests_than_users(small) -> None:
    with pytest.raises(DataUsageError, match="there are 60 users"):
        scenarios(Asked("random", batch=False, share=0.1, stream=61), small, 0)


def test_boards_ask_for_users_of_their_own(small) -> None:
    asked = Asked("random", batch=True, share=0.1, stream=3)
    one, two = (scenarios(asked, small, 0, board) for board in (0, 1))
    for first, second in zip(one, two, strict=True):
        assert not set(first.users) & set(second.users)


def test_a_shard_that_everybody_leaves_keeps_scores_finite_and_fairness_over_the_others(
    carried,
) -> None:
    found = carried("sisa:shards=4")
    everyone = np.flatnonzero(found.state[SHARD].numpy() == 1).tolist()
    found.forget(*everyone)
    assert np.isfinite(found.serving.scores(found.kept)).all()


def failed(capsys, *words):
    """Return the status and what was said of a run that was refused."""
    status = run([*TINY, *OFF, *words])
    return status, capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--methods", "sisa:shards=61"], "61 shards of 60 users is impossible"),
        (["--methods", "sisa:shards=0"], "must be a whole number from 1"),
        (["--methods", "sisa:shards=2.5"], "must be a whole number"),
        (["--methods", "sisa:shard=2"], "shards"),
        (["--methods", "sisia"], "sisa"),
        (["--methods", "scif:shards=2"], "scif has no parameters"),
        (["--methods", "sisa,sisa:shards=10"], "is named twice"),
        (["--requests", "0"], "cannot be read"),
        (["--requests", "batch,3,4"], "cannot be read"),
        (["--requests", "many"], "cannot be read"),
        (["--share", "0"], "--share must be at least"),
        (["--share", "1"], "--share may be at most"),
        (["--who", "nobody"], "nobody"),
        (["--model", "wfm"], "wmf"),
        (["--data", "ml-10k"], "no such file"),
    ],
)
def test_the_command_line_refuses_in_words_with_status_2(capsys, tmp_path, words, said) -> None:
    status, text = failed(capsys, "--out", str(tmp_path / "out"), *words)
    assert status == 2
    assert said in text
    assert "Traceback" not in text


def test_few_users_in_a_shard_are_warned_of(capsys, tmp_path) -> None:
    words = [*TINY, *OFF, "--methods", "sisa:shards=20", "--dry-run", "--out", str(tmp_path / "o")]
    assert run(words) == 0
    assert "shards of fewer than 5 users" in capsys.readouterr().out


def test_one_shard_is_allowed(tmp_path) -> None:
    out = tmp_path / "out"
    assert run([*TINY, *OFF, "--methods", "sisa:shards=1", "--requests", "1",
                "--out", str(out)]) == 0  # fmt: skip


def test_a_refused_request_is_in_the_tables_without_cost(capsys, tmp_path) -> None:
    who = tmp_path / "who.txt"
    who.write_text("# two, then one of them again\n3 4\n4 5\n6\n")
    out = tmp_path / "out"
    words = ["--methods", "retrain", "--requests", "5", "--who", str(who)]
    assert run([*TINY, *OFF, *words, "--out", str(out)]) == 0
    assert "1 refused" in capsys.readouterr().out
    found = rows(only(out) / "requests" / "retrain-s0-r0.csv")
    assert [(r["status"], r["users"], r["reason"]) for r in found] == [
        ("done", "3 4", ""), ("refused", "4 5", "user 4 is already forgotten"), ("done", "6", ""),
    ]  # fmt: skip
    assert found[1]["time_s"] == found[1]["energy_j"] == ""
    (row,) = rows(only(out) / "unlearning.csv")
    assert (row["requests"], row["refused"], row["users_forgotten"]) == ("2", "1", "3")
