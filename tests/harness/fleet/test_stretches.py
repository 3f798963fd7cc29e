"""Stretches of a clock against a set of its tenths of a second."""

import random

import pytest

from harness.fleet.stretches import Stretches


def test_what_is_shared_is_what_was_taken_in() -> None:
    """Stretches of whole tenths, added in any order, each also as the set of its tenths."""
    draw = random.Random(5)
    for _ in range(50):
        found, tenths = Stretches(), set()
        for _ in range(30):
            start = draw.randrange(300)
            end = start + draw.randrange(20)
            shared = len(tenths & set(range(start, end)))
            assert found.shared_s(start / 10, end / 10) == pytest.approx(shared / 10)
            found.add(start / 10, end / 10)
            tenths |= set(range(start, end))


def test_stretches_one_after_another_become_one() -> None:
    found = Stretches()
    for number in range(1000):
        found.add(0.1 * number, 0.1 * (number + 1))
    assert len(found._starts_s) == 1
    other = Stretches()
    other.take_over(found)
    assert other.shared_s(50.0, 200.0) == pytest.approx(50.0)
