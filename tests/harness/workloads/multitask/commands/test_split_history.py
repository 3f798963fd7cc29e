"""The history of a split as a command: what a run has written, in; how sure the split is, out."""

import json

import numpy as np
import pytest

from harness.workloads.multitask.commands import split

NAMES = "sdn"


def _write(path, keys, matrices) -> None:
    lines = [",".join([*keys, "recipient", "source", "mean", "count"])]
    for key, matrix in matrices.items():
        for j, recipient in enumerate(NAMES):
            for i, source in enumerate(NAMES):
                cells = [*map(str, key), recipient, source, repr(float(matrix[j, i])), "1"]
                lines.append(",".join(cells))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def rounds(tmp_path):
    """Two rounds of two clients: round 0 puts s with d, round 1 louder s with n."""
    one = np.array([[0, 1, -1], [1, 0, -1], [-1, -1, 0.0]])
    two = 3 * np.array([[0, -1, 1], [-1, 0, -1], [1, -1, 0.0]])
    _write(tmp_path / "m_rounds.csv", ["round"], {(0,): one, (1,): two})
    _write(tmp_path / "m_clients.csv", ["round", "client"], {(0, 4): one, (1, 7): two})
    return tmp_path / "m_rounds.csv"


def _show(capsys, *words):
    status = split.main([*map(str, words)])
    out, err = capsys.readouterr()
    return status, out, err


def test_history_shows_rounds_clients_and_the_contract(capsys, rounds) -> None:
    """The last line has groups and score as ever, and the history beside them."""
    status, out, err = _show(capsys, rounds, "--splits", "2", "--exact", "--history", "--json")

    assert (status, err) == (0, "")
    answer = json.loads(out.splitlines()[-1])
    assert answer["groups"] == [["s", "n"], ["d"]]
    # mean: s-d −1, s-n 1, d-n −2; n and s score 1, d alone −1.5
    assert answer["score"] == pytest.approx((1 + 1 - 1.5) / 3)
    assert answer["rounds"] == [
        {"round": 0, "groups": [["s", "d"], ["n"]]}, {"round": 1, "groups": [["s", "n"], ["d"]]},
    ]  # fmt: skip
    assert answer["stable_from"] == 1
    assert answer["clients"]["number"] == 2
    assert answer["clients"]["same_split"] == 0.5
    assert [b["groups"] for b in answer["bootstrap"]] == [[["s", "n"], ["d"]], [["s", "d"], ["n"]]]
    assert all(len(line) <= 80 for line in out.splitlines()[:-1])
    assert "from round 1 to the last, 1" in out


def test_history_without_clients_says_so(capsys, rounds) -> None:
    """Old runs have no file of clients: agreement is null, and the screen says why."""
    rounds.with_name("m_clients.csv").unlink()

    status, out, _ = _show(capsys, rounds, "--splits", "2", "--history", "--json")

    assert status == 0
    assert "No file of clients" in out
    assert json.loads(out.splitlines()[-1])["clients"] is None


@pytest.mark.parametrize("name", ["m_rounds.csv", "m_clients.csv"])
@pytest.mark.parametrize("rule", ["mas", "tag"])
def test_a_table_of_rounds_is_no_matrix_and_the_option_for_it_is_named(
    capsys, rounds, name, rule
) -> None:
    path = rounds.with_name(name)
    status, out, err = _show(capsys, path, "--splits", "2", "--rule", rule)
    assert (status, out) == (2, "")
    assert f"{path} holds affinity round by round" in err
    assert "--history" in err
    assert "affinity/<cell>.csv" in err


def test_one_client_tells_nothing_of_agreement(capsys, rounds) -> None:
    """It agrees with the mean, which it is, and there is no other: no share, no correlation."""
    only = np.array([[0, 1, -1], [1, 0, -1], [-1, -1, 0.0]])
    _write(rounds.with_name("m_clients.csv"), ["round", "client"], {(0, 4): only, (1, 4): only})
    status, out, _ = _show(capsys, rounds, "--splits", "2", "--history", "--json")
    assert status == 0
    *told, answer = out.splitlines()
    assert "One client alone was measured, which cannot tell whether clients agree." in told
    assert not any(word in "\n".join(told) for word in ("nan", "%", "1 clients", "replacement"))
    assert json.loads(answer)["clients"]["correlation_with_others"] is None
    assert json.loads(answer)["bootstrap"] == []


def test_a_correlation_that_there_is_not_is_no_number(capsys, rounds) -> None:
    """Ranks of affinities that are all alike have none."""
    flat = np.zeros((3, 3))
    _write(rounds.with_name("m_clients.csv"), ["round", "client"], {(0, 4): flat, (1, 7): flat})
    _, out, _ = _show(capsys, rounds, "--splits", "2", "--history")
    assert "nan" not in out
    assert "with each other not known" in out


def test_regret_by_losses_of_pairs(capsys, rounds, tmp_path) -> None:
    """With losses that favour s with d, the chosen s with n is the worst of three splits."""
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("task,n,s,d\nn,1,5,2\ns,5,1,0.1\nd,2,0.1,1\n", encoding="utf-8")

    status, out, _ = _show(
        capsys, rounds, "--splits", "2", "--exact", "--history", "--losses", pairs, "--json"
    )

    found = json.loads(out.splitlines()[-1])["regret"]
    assert status == 0
    assert (found["loss"], found["best"], found["worst"]) == pytest.approx((11, 1.2, 11))
    assert (found["rank"], found["of"]) == (3, 3)
    assert found["best_groups"] == [["s", "d"], ["n"]]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [("0,s,d,1.0", "0,s,d,nan", ["line 3", "finite number", "nan"]),
     ("0,s,d,1.0", "x,s,d,1.0", ["line 3", "round", "'x'"]),
     ("0,s,d,1.0", "0,s,q,1.0", ["line 3", "'q'"]),
     ("0,s,d,1.0,1\n", "", ["round 0 is not complete"]),
     ("0,s,d,1.0", "0,s,s,1.0", ["line 3", "twice"]),
     ("recipient", "receiver", ["recipient"])],
)  # fmt: skip
def test_damaged_histories_are_named(capsys, rounds, old, new, said) -> None:
    """Status 2 and file, line and value of what is wrong."""
    text = rounds.read_text(encoding="utf-8")
    assert old in text
    rounds.write_text(text.replace(old, new, 1), encoding="utf-8")

    status, out, err = _show(capsys, rounds, "--splits", "2", "--history")

    assert (status, out) == (2, "")
    assert all(word in err for word in [*said, "m_rounds.csv"]), err


def test_wrong_use_is_refused(capsys, rounds, tmp_path) -> None:
    """Another file, another rule, other tasks: status 2 and what would be right."""
    assert (
        "affinity/<cell>_rounds.csv"
        in _show(capsys, tmp_path / "m.csv", "--splits", "2", "--history")[2]
    )
    assert "--rule mas" in _show(capsys, rounds, "--splits", "2", "--history", "--rule", "tag")[2]
    (tmp_path / "p.csv").write_text("task,a,b\na,1,2\nb,2,1\n")
    shown = _show(capsys, rounds, "--splits", "2", "--history", "--losses", tmp_path / "p.csv")
    assert shown[0] == 2
    assert "a b" in shown[2]
    assert _show(capsys, tmp_path / "no_rounds.csv", "--splits", "2", "--history")[0] == 2
