"""Check what is asked about a split against hand-made histories and plain loops."""

import itertools
import math

import numpy as np
import pytest

from harness.workloads.multitask.methods.split_analysis import (
    ClientMatrix,
    Question,
    Stage,
    agreement,
    bootstrap,
    pair_losses,
    rank_correlation,
    regret,
    sampled_means,
    splits_over_rounds,
    stable_from,
    sureness,
)

NAMES = ("sem", "dep", "nor", "key")
APART = Question(NAMES, 2)


def _blocks(*groups: str, strength: float = 1.0) -> np.ndarray:
    """Return a matrix in which tasks help each other within groups and hurt outside."""
    place = {name: k for k, group in enumerate(groups) for name in group.split()}
    same = [[place[a] == place[b] for b in NAMES] for a in NAMES]
    return strength * np.where(same, 1.0, -1.0)


SD, SN = ("sem dep", "nor key"), ("sem nor", "dep key")


def _split(*groups: str):
    return tuple(tuple(group.split()) for group in groups)


def test_the_split_over_rounds_is_that_of_the_mean_so_far() -> None:
    """Round 2 says otherwise, more loudly than rounds 0 and 1 together, but less than three."""
    rounds = {0: _blocks(*SD), 1: _blocks(*SD), 2: _blocks(*SN, strength=2.5), 5: _blocks(*SD)}

    stages = splits_over_rounds(rounds, APART)

    assert stages == [Stage(0, _split(*SD)), Stage(1, _split(*SD)), Stage(2, _split(*SN)),
                      Stage(5, _split(*SD))]  # fmt: skip
    assert stable_from(stages) == 5
    assert stable_from(stages[:2]) == 0
    assert stable_from(stages[2:3]) == 2


def test_agreement_counts_clients_whose_own_matrix_gives_the_split() -> None:
    """Clients 0, 1 and 4 say SD in the mean over their rounds; client 2 says SN: three of four."""
    measured = [
        ClientMatrix(0, 0, _blocks(*SD)), ClientMatrix(0, 1, _blocks(*SD)),
        ClientMatrix(1, 2, _blocks(*SN)), ClientMatrix(1, 4, _blocks(*SN)),
        ClientMatrix(2, 4, _blocks(*SD, strength=3.0)),
    ]  # fmt: skip

    found = agreement(measured, APART)

    assert found.clients == 4
    assert found.same_split == pytest.approx(3 / 4)


def test_agreement_correlates_as_plain_loops_do() -> None:
    """Mean rank correlation of clients with the whole and of pairs, by ranks counted in loops."""
    rng = np.random.default_rng(0)
    measured = [ClientMatrix(r, c, rng.normal(size=(4, 4))) for r in range(2) for c in range(3)]
    own = [np.mean([m.matrix for m in measured if m.client == c], axis=0) for c in range(3)]
    whole = np.mean([m.matrix for m in measured], axis=0)

    def spearman(a: np.ndarray, b: np.ndarray) -> float:
        def ranks(matrix):
            values = [matrix[j, i] for j in range(4) for i in range(4) if i != j]
            return [sum(w < v for w in values) + sum(w == v for w in values) / 2 for v in values]

        return float(np.corrcoef(ranks(a), ranks(b))[0, 1])

    found = agreement(measured, APART)

    assert found.with_whole == pytest.approx(np.mean([spearman(m, whole) for m in own]))
    pairs = [spearman(a, b) for a, b in itertools.combinations(own, 2)]
    assert found.with_others == pytest.approx(np.mean(pairs))


def test_correlation_has_ties_signs_and_no_diagonal() -> None:
    """1 with itself, −1 with its negative, whatever the diagonal; NaN where all is equal."""
    matrix = np.array([[9.0, 1.0, 2.0], [2.0, -9.0, 2.0], [3.0, 0.0, 5.0]])

    assert rank_correlation(matrix, 7 * matrix + 1 + np.diag([1.0, 50, 3])) == pytest.approx(1)
    assert rank_correlation(matrix, -matrix) == pytest.approx(-1)
    assert math.isnan(rank_correlation(matrix, np.ones((3, 3))))


def test_one_client_agrees_with_itself_and_has_no_others() -> None:
    """Where there are no pairs the correlation is not a number, not zero."""
    found = agreement([ClientMatrix(0, 3, np.random.default_rng(1).normal(size=(4, 4)))], APART)

    assert (found.clients, found.same_split) == (1, 1.0)
    assert found.with_whole == pytest.approx(1)
    assert math.isnan(found.with_others)


def test_bootstrap_draws_whole_clients() -> None:
    """Two clients disagree, the first louder: of four alike draws only (2, 2) gives the second's
    split, so a quarter does.
    """
    measured = [ClientMatrix(0, 1, _blocks(*SD, strength=3.0)), ClientMatrix(0, 2, _blocks(*SN))]

    found = bootstrap(measured, APART, 4000, np.random.default_rng(0))

    assert [split for split, _ in found] == [_split(*SD), _split(*SN)]
    assert found[1][1] == pytest.approx(0.25, abs=5 * math.sqrt(0.25 * 0.75 / 4000))
    assert sum(share for _, share in found) == pytest.approx(1)


def test_bootstrap_of_clients_that_agree_is_certain() -> None:
    """Identical clients give one split in every sample."""
    measured = [ClientMatrix(r, c, _blocks(*SN)) for r in range(2) for c in range(5)]

    assert bootstrap(measured, APART, 50, np.random.default_rng(1)) == [(_split(*SN), 1.0)]


def test_regret_is_the_place_among_all_splits() -> None:
    """By trying all seven splits of four tasks in two groups."""
    rng = np.random.default_rng(5)
    groups = [frozenset(g) for k in range(1, 5) for g in itertools.combinations(NAMES, k)]
    losses = {group: float(rng.uniform()) for group in groups}
    totals = sorted(
        losses[group] + losses[frozenset(NAMES) - group]
        for group in groups
        if NAMES[0] in group and len(group) < 4
    )
    assert len(totals) == 7

    found = regret(_split(*SD), losses, NAMES)

    mine = losses[frozenset(SD[0].split())] + losses[frozenset(SD[1].split())]
    assert found.loss == pytest.approx(mine)
    assert (found.best, found.worst, found.of) == pytest.approx((totals[0], totals[-1], 7))
    assert totals[found.rank - 1] == pytest.approx(mine)
    assert found.share == pytest.approx((mine - totals[0]) / (totals[-1] - totals[0]))
    best = regret(found.best_split, losses, NAMES)
    assert (best.rank, best.share) == (1, 0.0)


def test_pairs_foretell_groups_by_the_mean_over_partners() -> None:
    """A pair is itself, a task alone its diagonal, a group of three means over two partners."""
    losses = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])

    found = pair_losses(losses, "abc")

    assert found[frozenset("a")] == 1.0
    assert found[frozenset("ab")] == 2.0 + 4.0
    assert found[frozenset("abc")] == 2.5 + 5.0 + 7.5
    assert len(found) == 7


def test_a_split_that_every_measurement_gives_is_wholly_sure() -> None:
    """Twelve measurements say the same, each in a strength of its own: no sample can differ."""
    measured = [
        ClientMatrix(r, c, _blocks(*SD, strength=1.0 + r + c)) for r in range(3) for c in range(4)
    ]
    assert sureness(measured, APART.answer, draws=50) == 1.0


def test_sureness_of_two_clients_of_one_round_is_what_counting_gives() -> None:
    """The louder says SD, the other SN: SD comes unless the quieter is drawn twice, 3 in 4."""
    measured = [ClientMatrix(0, 0, _blocks(*SD, strength=2.0)), ClientMatrix(0, 1, _blocks(*SN))]
    share = sureness(measured, APART.answer, 4000, np.random.default_rng(1))
    assert share == pytest.approx(0.75, abs=4 * math.sqrt(0.75 * 0.25 / 4000))


def test_rounds_are_drawn_too() -> None:
    """Both clients agree in each round, the rounds do not: clients alone would be wholly sure."""
    measured = [
        ClientMatrix(r, c, _blocks(*groups, strength=strength))
        for r, (groups, strength) in enumerate([(SD, 2.0), (SN, 1.0)])
        for c in (0, 1)
    ]
    share = sureness(measured, APART.answer, 4000, np.random.default_rng(2))
    assert share == pytest.approx(0.75, abs=4 * math.sqrt(0.75 * 0.25 / 4000))


def test_sampled_means_are_those_of_every_way_to_draw() -> None:
    """Two rounds of two clients: of the 16 equally likely draws each mean comes as often as it may.

    What no draw may hold, a round without any of its clients, is drawn again.
    """
    value = {(0, 0): 1.0, (0, 1): 2.0, (1, 1): 4.0, (1, 2): 8.0}
    measured = [ClientMatrix(r, c, np.full((2, 2), v)) for (r, c), v in value.items()]
    expected: dict[float, int] = {}
    for rounds in itertools.product(range(2), repeat=2):
        for clients in itertools.product(range(3), repeat=3):
            of_rounds = [
                [value[r, c] for c in clients if (r, c) in value] for r in rounds
            ]  # fmt: skip
            means = [sum(own) / len(own) for own in of_rounds if own]
            if means:
                mean = round(sum(means) / len(means), 9)
                expected[mean] = expected.get(mean, 0) + 1
    total = sum(expected.values())
    drawn = [round(float(m[0, 1]), 9)
             for m in sampled_means(measured, 20_000, np.random.default_rng(3))]  # fmt: skip
    assert set(drawn) == set(expected)
    for mean, count in expected.items():
        share = count / total
        spread = math.sqrt(share * (1 - share) / len(drawn))
        assert drawn.count(mean) / len(drawn) == pytest.approx(share, abs=4.5 * spread)


def test_the_order_of_groups_does_not_matter_and_nothing_is_not_sure() -> None:
    names = iter([("a", "b"), ("b", "a"), ("a", "b")])
    one = [ClientMatrix(0, 0, np.zeros((2, 2)))]
    assert sureness(one, lambda _: next(names), draws=2) == 1.0
    with pytest.raises(ValueError, match="no affinity"):
        sureness([], APART.answer)
