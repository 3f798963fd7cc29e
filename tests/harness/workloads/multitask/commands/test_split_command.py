"""The split search as a command: anyone's matrix in, groups and score out, or what is wrong."""

import ast
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.workloads.multitask.commands import split
from tests.sources import SOURCES

REPOSITORY = Path(__file__).parents[5]

MATRIX = """# measured in round 3
task, s, d, n, k
s, , 1, -1, -1
d, 2, , -1, -1   # depth

n, -1, -1, , 1
k, -1, 0.5, 1, 9
"""


@pytest.fixture
def show(capsys, tmp_path):
    """Return a function that runs the command on a text and gives status, output and errors."""

    def run(text, *words):
        path = tmp_path / "matrix.csv"
        path.write_text(text, encoding="utf-8")
        status = split.main([str(path), *words])
        out, err = capsys.readouterr()
        return status, out, err

    return run


def _table(matrix, names):
    rows = [",".join([name, *map(repr, row)]) for name, row in zip(names, matrix, strict=True)]
    return "\n".join([",".join(["task", *names]), *rows])


def test_groups_and_score_of_disjoint_groups(show):
    """s and d, n and k: (1 + 2 + 1 + 1) / 4; comments, blanks and the diagonal do not matter."""
    status, out, err = show(MATRIX, "--splits", "2", "--json")

    assert (status, err) == (0, "")
    assert out.splitlines()[:2] == ["s d", "n k"]
    answer = json.loads(out.splitlines()[-1])
    assert answer == {"groups": [["s", "d"], ["n", "k"]], "score": 1.25}


def test_exact_gives_as_many_groups_as_asked(show):
    """At most three stays at two; exactly three splits further."""
    assert len(_groups(show(MATRIX, "--splits", "3", "--json"))) == 2
    assert len(_groups(show(MATRIX, "--splits", "3", "--json", "--exact"))) == 3
    overlapping = _groups(show(MATRIX, "--splits", "3", "--json", "--exact", "--rule", "tag"))
    assert len({frozenset(group) for group in overlapping}) == 3


def _groups(shown):
    return json.loads(shown[1].splitlines()[-1])["groups"]


@pytest.mark.parametrize("rule", ["tag", "hoa"])
def test_overlapping_groups_match_trying_all_choices(show, rule):
    """Four tasks with long names: the score is the best of all sets of at most two groups."""
    names = ["semantic", "depth", "normals", "keypoints"]
    matrix = np.random.default_rng(3).uniform(0.1, 1, (4, 4)).tolist()
    groups = [g for k in range(1, 5) for g in itertools.combinations(range(4), k)]

    def cost(j, group):
        others = [matrix[j][i] for i in group if i != j]
        if rule == "hoa":
            return sum(others) / len(others) if others else matrix[j][j]
        return -(sum(others) / len(others)) if others else 1e6

    least = min(
        sum(min(cost(j, g) for g in chosen if j in g) for j in range(4))
        for count in (1, 2)
        for chosen in itertools.combinations(groups, count)
        if set().union(*chosen) == set(range(4))
    )
    status, out, _ = show(_table(matrix, names), "--splits", "2", "--rule", rule, "--json")

    answer = json.loads(out.splitlines()[-1])
    assert status == 0
    assert answer["score"] == pytest.approx(least if rule == "hoa" else -least / 4)
    assert {name for group in answer["groups"] for name in group} == set(names)


def test_rows_may_stand_in_any_order(show):
    """Names decide, not places: shuffled rows give the same answer."""
    header, *rows = [line for line in MATRIX.splitlines() if line and line[0] != "#"]
    shuffled = "\n".join([header, *rows[::-1]])

    assert show(shuffled, "--splits", "2")[1] == show(MATRIX, "--splits", "2")[1]


@pytest.mark.parametrize("rule", ["mas", "tag", "hoa"])
def test_nine_tasks_are_searched_for_every_number_of_groups(show, rule):
    """More groups are never worse, from one to nine."""
    names = list("sdnkterca")
    matrix = np.random.default_rng(4).uniform(0.1, 1, (9, 9)).tolist()
    scores = []
    for splits in range(1, 10):
        status, out, _ = show(_table(matrix, names), "--splits", str(splits), "--rule", rule,
                              "--json")  # fmt: skip
        assert status == 0
        scores.append(json.loads(out.splitlines()[-1])["score"])

    assert sorted(scores, reverse=rule == "hoa") == pytest.approx(scores)


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        (MATRIX.replace("2, ,", "two, ,"), [], ["line 4", "row 'd'", "column 's'", "'two'"]),
        (MATRIX.replace("2, ,", "nan, ,"), [], ["line 4", "'nan'"]),
        (MATRIX.replace("2, ,", ", ,"), [], ["line 4", "column 's'"]),
        (MATRIX, ["--rule", "hoa"], ["line 3", "row 's'", "column 's'"]),
        (MATRIX.replace("d, 2, ,", "d, 2,"), [], ["line 4", "3 values, expected 4"]),
        (MATRIX.replace("d, 2", "x, 2"), [], ["line 4", "row 'x'", "s, d, n, k"]),
        (MATRIX.replace("d, 2", "s, 2"), [], ["line 4", "row 's'", "twice"]),
        (MATRIX.replace("k, -1, 0.5, 1, 9\n", ""), [], ["no row for k"]),
        (MATRIX.replace("task, s, d", "task, s, s"), [], ["line 2", "'s' is named twice"]),
        (MATRIX.replace("task, s, d", "task, s,"), [], ["line 2", "lacks a task name"]),
        ("# nothing\n", [], ["no matrix"]),
        (MATRIX, ["--rule", "tga"], ["Did you mean 'tag'"]),
        (MATRIX, ["--splits", "5"], ["5 splits of 4 tasks"]),
        (MATRIX, ["--splits", "0"], ["0 splits of 4 tasks"]),
        (MATRIX, ["--splits", "two"], ["whole number", "'two'"]),
        (MATRIX, ["--split", "2"], ["--splits"]),
        (_table(np.eye(13).tolist(), list("abcdefghijklm")), [], ["13 tasks", "at most 12"]),
    ],
)
def test_what_is_wrong_is_named(show, text, words, said):
    """Status 2, and file, line and cell of what is wrong, without a traceback."""
    status, out, err = show(text, "--splits", "2", *words)

    assert (status, out) == (2, "")
    assert all(word in err for word in said), err
    if "line" in said[0]:
        assert "matrix.csv" in err


def test_a_file_that_cannot_be_read_is_named(capsys, tmp_path):
    """A missing file, a folder and bytes that are no text end with status 2."""
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00task")
    for name in ("missing.csv", ".", "binary.csv"):
        assert split.main([str(tmp_path / name), "--splits", "2"]) == 2
        assert str(tmp_path) in capsys.readouterr().err
    assert split.main([str(tmp_path / "missing.csv")]) == 2
    assert "--splits" in capsys.readouterr().err


def test_a_matrix_that_a_run_has_written_can_be_split(show):
    """The form of affinity/<cell>.csv is read as it is."""
    text = "# mean look-ahead affinity\ntask,s,d\ns,0.5,0.125\nd,0.25,0.5\n"

    assert _groups(show(text, "--splits", "1", "--json")) == [["s", "d"]]


def test_no_torch_is_imported_and_the_first_file_parses_on_python_3_6(tmp_path):
    """The command answers without torch, from the file people type, and warns old Pythons."""
    path = tmp_path / "m.csv"
    path.write_text(MATRIX)
    code = (
        "import sys; from harness.workloads.multitask.commands.split import main\n"
        f"main([{str(path)!r}, '--splits', '2', '--rule', 'tag'])\n"
        "print([m for m in ('torch', 'pandas', 'rich') if m in sys.modules])"
    )
    for words in (["-c", code], ["-m", "harness.split", str(path), "--splits", "2"]):
        done = subprocess.run(
            [sys.executable, *words], cwd=REPOSITORY, capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[:2] == ["s d", "n k"]
        if words[0] == "-c":
            assert done.stdout.splitlines()[-1] == "[]"
    ast.parse((SOURCES / "harness/split.py").read_text(), feature_version=(3, 6))
