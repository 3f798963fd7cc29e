"""Check the search for overlapping groups against trying all sets of groups."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from harness.workloads.multitask.commands.matrix import read_matrix
from harness.workloads.multitask.methods.overlapping import best_cover, hoa_scores, tag_scores


def _score(matrix: np.ndarray, rule: str, task: int, group: tuple[int, ...]) -> float:
    others = [matrix[task][i] for i in group if i != task]
    if rule == "tag":
        return sum(others) / len(others) if others else -1e6
    return -(sum(others) / len(others) if others else matrix[task][task])


def _brute_force(matrix: np.ndarray, rule: str, splits: int) -> float:
    """Try every choice of at most `splits` groups that covers the tasks."""
    n = len(matrix)
    groups = [g for size in range(1, n + 1) for g in itertools.combinations(range(n), size)]
    score = {(j, g): _score(matrix, rule, j, g) for g in groups for j in g}
    best = -np.inf
    for count in range(1, splits + 1):
        for chosen in itertools.combinations(groups, count):
            if set().union(*chosen) == set(range(n)):
                tasks = (max(score[j, g] for g in chosen if j in g) for j in range(n))
                best = max(best, sum(tasks))
    return best


def _members(mask: int) -> tuple[int, ...]:
    return tuple(i for i in range(mask.bit_length()) if mask >> i & 1)


@pytest.mark.parametrize("rule", ["tag", "hoa"])
@pytest.mark.parametrize(("n", "splits"), [(1, 1), (2, 2), (3, 2), (4, 1), (4, 3), (4, 4), (5, 3)])
def test_the_optimum_of_all_choices_is_found(rule: str, n: int, splits: int) -> None:
    """The sum equals that of the best of all sets of at most x groups, and is that of the groups
    returned with every task in the block of one of them.
    """
    rng = np.random.default_rng(10 * n + splits)
    scores = {"tag": tag_scores, "hoa": hoa_scores}[rule]
    for _ in range(2):
        matrix = rng.normal(size=(n, n)) if rule == "tag" else rng.uniform(0.1, 1, (n, n))

        cover = best_cover(scores(matrix), splits)

        assert cover.total == pytest.approx(_brute_force(matrix, rule, splits), abs=1e-9)
        assert len(set(cover.groups)) == len(cover.groups) <= splits
        blocks = [(_members(g), _members(b)) for g, b in zip(cover.groups, cover.blocks,
                                                            strict=True)]  # fmt: skip
        assert sorted(j for _, block in blocks for j in block) == list(range(n))
        assert all(block and set(block) <= set(group) for group, block in blocks)
        ours = sum(_score(matrix, rule, j, g) for g, block in blocks for j in block)
        assert ours == pytest.approx(cover.total, abs=1e-9)


MATRICES = Path(__file__).parents[4] / "fixtures" / "matrices"


@pytest.mark.parametrize(
    ("rule", "file", "splits"),
    [("tag", "tag_taskonomy", x) for x in (1, 2, 3, 4)]
    + [("hoa", "hoa_taskonomy", x) for x in (1, 2, 3, 4)]
    + [("hoa", "hoa_celeba", x) for x in (1, 2)],
)
def test_the_optima_of_published_matrices_are_found(rule: str, file: str, splits: int) -> None:
    """What TAG's authors gave their search for Taskonomy and CelebA has the brute-force best."""
    matrix = read_matrix(MATRICES / f"{file}.csv", with_diagonal=True).values
    scores = {"tag": tag_scores, "hoa": hoa_scores}[rule]

    found = best_cover(scores(matrix), splits).total

    assert found == pytest.approx(_brute_force(matrix, rule, splits), abs=1e-9)


def test_rows_are_recipients() -> None:
    """Only what a row receives counts: task 0 is helped by 1, though 1 is harmed by 0."""
    matrix = np.array([[0.0, 3.0, -3.0], [-3.0, 0.0, 2.0], [-3.0, 2.0, 0.0]])

    cover = best_cover(tag_scores(matrix), 2)

    assert dict(zip(cover.groups, cover.blocks, strict=True)) == {0b011: 0b001, 0b110: 0b110}
    assert cover.total == pytest.approx(3 + 2 + 2)


def test_ties_are_settled_with_fewer_groups() -> None:
    """If nothing matters, one group of all tasks is chosen; the answer does not vary."""
    assert {best_cover(tag_scores(np.zeros((4, 4))), 4).groups for _ in range(3)} == {(0b1111,)}


def test_exact_adds_groups_without_changing_the_sum() -> None:
    """Exactly x distinct groups have the sum of at most x; the added ones serve nothing."""
    scores = tag_scores(np.array([[0, 1, -1, -1], [1, 0, -1, -1], [-1, -1, 0, 1],
                                  [-1, -1, 1, 0.0]]))  # fmt: skip
    free, exact = best_cover(scores, 4), best_cover(scores, 4, exact=True)

    assert set(free.groups) == {0b0011, 0b1100}
    assert len(set(exact.groups)) == 4
    assert exact.groups[:2] == free.groups
    assert exact.blocks[2:] == (0, 0)
    assert exact.total == free.total


def test_renaming_tasks_permutes_the_groups() -> None:
    """Groups follow their tasks through another order of rows and columns."""
    matrix = np.random.default_rng(5).normal(size=(5, 5))
    groups = {_members(g) for g in best_cover(tag_scores(matrix), 3).groups}
    order = [3, 0, 4, 1, 2]

    permuted = best_cover(tag_scores(matrix[np.ix_(order, order)]), 3).groups

    assert {tuple(sorted(order[i] for i in _members(g))) for g in permuted} == groups


@pytest.mark.parametrize("splits", [0, 4])
def test_impossible_numbers_of_groups_are_refused(splits: int) -> None:
    """Fewer than one or more than n groups raise ValueError."""
    with pytest.raises(ValueError, match="splits"):
        best_cover(tag_scores(np.zeros((3, 3))), splits)


@pytest.mark.parametrize("unit", [1e-30, 1e-9, 1.0, 1e12])
@pytest.mark.parametrize("splits", [2, 3, 4])
def test_groups_do_not_depend_on_the_unit_of_scores(unit: float, splits: int) -> None:
    """Affinities of a billionth differ as much, relatively, as those of one."""
    rng = np.random.default_rng(7)
    for _ in range(5):
        matrix = rng.uniform(-1.0, 1.0, (5, 5))
        np.fill_diagonal(matrix, -3.0)  # HOA's losses scale as a whole; a task alone is worst
        plain = best_cover(hoa_scores(-matrix), splits)
        assert best_cover(hoa_scores(-matrix * unit), splits).groups == plain.groups


def test_equal_sums_are_equal_whatever_their_rounding() -> None:
    """0.1 + 0.2 is not 0.3 to the bit: the pair is as good as the three, so it is taken."""
    scores = [np.zeros(3) for _ in range(8)]
    for mask in range(1, 8):
        scores[mask][list(_members(mask))] = -5.0
    scores[0b011][[0, 1]] = 0.3, 0.3
    scores[0b111][:] = 0.1 + 0.2, 0.1 + 0.2, -9.0
    scores[0b100][2] = 1.0
    assert best_cover(scores, 2).groups == (0b011, 0b100)
