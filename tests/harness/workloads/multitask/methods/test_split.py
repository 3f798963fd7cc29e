"""Check the split search against exhaustive partitions, and what must not change a split."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from harness.workloads.multitask.commands.matrix import read_matrix
from harness.workloads.multitask.methods.split import best_split


def _all_partitions(items: list[int]) -> list[list[list[int]]]:
    """List every set partition by recursion: the first item joins each block or stands alone."""
    if not items:
        return [[]]
    first, *rest = items
    found = []
    for partition in _all_partitions(rest):
        found.append([[first], *partition])
        for i, block in enumerate(partition):
            found.append([*partition[:i], [first, *block], *partition[i + 1 :]])
    return found


def _value(matrix: np.ndarray, partition: list[list[int]]) -> float:
    """Score a partition with plain loops, straight from the definition."""
    n = len(matrix)
    total = 0.0
    for block in partition:
        for j in block:
            if len(block) == 1:
                pairs = [(j, i) for i in range(n) if i != j] + [(i, j) for i in range(n) if i != j]
            else:
                pairs = [(j, i) for i in block if i != j]
            total += sum(matrix[a][b] for a, b in pairs) / len(pairs)
    return total / n


def _groups(split, tasks: str) -> set[frozenset[str]]:
    assert sorted("".join(split.groups)) == sorted(tasks)
    return {frozenset(group) for group in split.groups}


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("n", range(3, 10))
def test_the_optimum_of_all_partitions_is_found(n: int, exact: bool) -> None:
    """Random matrices with negative entries: the value equals the best of every set partition."""
    rng = np.random.default_rng(n)
    tasks = "sdnktercaxyz"[:n]
    every = _all_partitions(list(range(n)))
    for splits in range(1, min(n, 4) + 1):
        for _ in range(4 if n < 8 else 1):
            matrix = rng.normal(size=(n, n))
            allowed = [p for p in every if (len(p) == splits if exact else len(p) <= splits)]
            expected = max(_value(matrix, p) for p in allowed)

            split = best_split(matrix, tasks, splits, exact=exact)

            assert split.score == pytest.approx(expected, abs=1e-12)
            found = [[tasks.index(t) for t in group] for group in split.groups]
            assert _value(matrix, found) == pytest.approx(expected, abs=1e-12)
            assert len(found) == splits if exact else len(found) <= splits


@pytest.mark.parametrize("splits", range(1, 6))
def test_the_optimum_of_a_published_matrix_is_found(splits: int) -> None:
    """The affinities published with TAG for Taskonomy: the best of all partitions, and its groups.

    In two groups key points and textures, which help one another most, stand apart from the rest.
    """
    path = Path(__file__).parents[4] / "fixtures" / "matrices" / "tag_taskonomy.csv"
    matrix = read_matrix(path, with_diagonal=True).values
    every = [p for p in _all_partitions(list(range(5))) if len(p) == splits]

    split = best_split(matrix, "sdnkt", splits, exact=True)

    assert split.score == pytest.approx(max(_value(matrix, p) for p in every), abs=1e-12)
    if splits == 2:
        assert _groups(split, "sdnkt") == {frozenset("sdn"), frozenset("kt")}


def test_ties_are_settled_and_optimal() -> None:
    """Small integers make many ties: the value is still the best, and the answer is always one."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        matrix = rng.integers(-1, 2, (5, 5)).astype(float)
        best = max(_value(matrix, p) for p in _all_partitions(list(range(5))) if len(p) <= 3)

        splits = {best_split(matrix, "sdnkt", 3) for _ in range(3)}

        assert len(splits) == 1
        assert splits.pop().score == pytest.approx(best, abs=1e-12)


def test_disjoint_groups_do_not_depend_on_the_orientation() -> None:
    """Σ_j mean_i Z[j, i] over a group is symmetric in i and j, so the transpose splits alike.

    Row or column therefore decides nothing for MAS; it does for overlapping groups (TAG), and for
    whoever reads the matrix, so the orientation itself is tested where affinity is measured.
    """
    rng = np.random.default_rng(4)
    for _ in range(20):
        matrix = rng.normal(size=(6, 6))
        ours, theirs = (best_split(m, "sdnkte", 3, exact=True) for m in (matrix, matrix.T))
        assert ours.groups == theirs.groups
        assert ours.score == pytest.approx(theirs.score)


def test_renaming_tasks_permutes_the_split() -> None:
    """The groups follow their tasks through any order of rows and columns."""
    matrix = np.random.default_rng(1).normal(size=(5, 5))
    expected = _groups(best_split(matrix, "sdnkt", 3, exact=True), "sdnkt")
    for order in itertools.islice(itertools.permutations(range(5)), 0, 120, 7):
        names = "".join("sdnkt"[i] for i in order)
        permuted = matrix[np.ix_(order, order)]
        assert _groups(best_split(permuted, names, 3, exact=True), names) == expected


def test_scale_shift_and_diagonal_do_not_matter() -> None:
    """Positive factors, a constant added to all entries, and the diagonal leave the split alone."""
    rng = np.random.default_rng(2)
    matrix = rng.normal(size=(6, 6))
    expected = best_split(matrix, "sdnkte", 3).groups

    assert best_split(matrix * 1e-4, "sdnkte", 3).groups == expected
    assert best_split(matrix + 5.0, "sdnkte", 3).groups == expected
    assert best_split(matrix + np.diag(rng.normal(size=6) * 50), "sdnkte", 3).groups == expected


def test_one_group_and_all_groups() -> None:
    """x = 1 is all tasks together; exactly n groups are all tasks apart."""
    matrix = np.random.default_rng(3).normal(size=(4, 4))

    assert best_split(matrix, "sdnk", 1).groups == ("sdnk",)
    assert best_split(matrix, "sdnk", 4, exact=True).groups == ("s", "d", "n", "k")


@pytest.mark.parametrize(
    ("matrix", "splits"),
    [(np.zeros((2, 3)), 1), (np.full((3, 3), np.nan), 2), (np.zeros((3, 3)), 4),
     (np.zeros((3, 3)), 0)],
)  # fmt: skip
def test_impossible_input_is_refused(matrix: np.ndarray, splits: int) -> None:
    """Wrong shapes, values that are no numbers and impossible counts raise ValueError."""
    with pytest.raises(ValueError, match=r"affinity|splits"):
        best_split(matrix, "sdn", splits)
