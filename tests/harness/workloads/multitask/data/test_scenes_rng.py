"""The random streams of the scene grammar."""

from __future__ import annotations

from collections import Counter

import pytest

from harness.workloads.multitask.data.scenes.rng import Rng
from harness.workloads.multitask.data.scenes.style import building_style, room_style


def test_splitmix64_matches_the_published_sequence():
    """From state 1234567 the generator gives the reference outputs of splitmix64."""
    rng = Rng()
    rng._state = 1234567
    published = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert [rng.bits() for _ in published] == published


def test_equal_keys_give_equal_streams_and_others_do_not():
    """A stream depends on every part of its key and on their order."""
    keys = [(1, 2, 3), (1, 2, 4), (3, 2, 1), (1, 2), (1, 2, 3, 0)]
    first = {key: Rng(*key).bits() for key in keys}
    assert len(set(first.values())) == len(keys)
    assert Rng(1, 2, 3).bits() == first[(1, 2, 3)]


def test_draws_stay_in_range_and_spread():
    """Every kind of draw keeps its promised range, means lie near the expected ones."""
    rng = Rng(5)
    uniform = [rng.uniform(2.0, 3.0) for _ in range(4000)]
    assert min(uniform) >= 2.0
    assert max(uniform) < 3.0
    assert sum(uniform) / 4000 == pytest.approx(2.5, abs=0.02)
    bell = [rng.bell(1.0, 0.2) for _ in range(4000)]
    assert min(bell) >= 0.7
    assert max(bell) <= 1.3
    assert sum(bell) / 4000 == pytest.approx(1.0, abs=0.01)
    assert {rng.integer(3, 6) for _ in range(100)} == {3, 4, 5}
    for _ in range(200):
        x, y = rng.direction()
        assert x * x + y * y == pytest.approx(1.0, abs=1e-12)


def test_weighted_choice_follows_its_weights():
    """Items come in proportion to their weights, one of weight 0 never."""
    rng = Rng(6)
    drawn = Counter(rng.weighted("abc", (1.0, 0.0, 3.0)) for _ in range(4000))
    assert drawn["b"] == 0
    assert drawn["c"] / 4000 == pytest.approx(0.75, abs=0.03)


def test_shuffle_is_a_permutation():
    """A shuffled list holds every number once."""
    assert sorted(Rng(7).shuffled(9)) == list(range(9))


def test_full_skew_follows_the_own_building_and_none_follows_chance():
    """With skew 1 every room has its building's style, with skew 0 rooms of one building differ."""
    own = building_style(1, 3)
    assert all(room_style(1, 3, room, 1.0) == own for room in range(10))
    strangers = {room_style(1, 3, room, 0.0).hue for room in range(10)}
    assert len(strangers) > 3


def test_half_skew_mixes():
    """With skew 0.5 about half of the rooms follow their building."""
    own = building_style(1, 40).hue  # outside the population strangers are drawn from
    follow = sum(room_style(1, 40, room, 0.5).hue == own for room in range(200))
    assert 70 < follow < 130
