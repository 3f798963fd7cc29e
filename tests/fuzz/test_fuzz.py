"""A slice of `make fuzz` in every run of the suite, and proof that it finds what it looks for."""

import random

import pytest

from tests.fuzz.__main__ import all_targets, fuzz, main, shares
from tests.fuzz.mutation import MUTATORS, mutated
from tests.fuzz.target import Target, invented

SLICE = 4_000


def test_a_slice_of_all_parsers_neither_crashes_nor_invents(tmp_path) -> None:
    targets = list(all_targets(tmp_path))
    assert len(targets) > 50
    assert len({target.name for target in targets}) == len(targets)
    for target, count in zip(targets, shares(targets, SLICE), strict=True):
        assert fuzz(target, count, 1) == {}, target.name


def test_every_parser_takes_a_sound_input(tmp_path) -> None:
    """Otherwise nothing behind its first check would be tried."""
    for target in all_targets(tmp_path):
        taken = 0
        for seed in target.seeds:
            try:
                target.parse(seed)
            except target.refuses:
                continue
            taken += 1
        assert taken, target.name


@pytest.mark.parametrize(
    ("parse", "words"),
    [
        (lambda content: 1 / (len(content) - len(content)), "crashed with ZeroDivisionError"),
        (lambda content: float(content) + 1.0, "is not in the input"),
        (lambda _: float("nan"), "is no number"),
    ],
)
def test_crashes_and_inventions_are_found(parse, words) -> None:
    def judge(content: bytes, found: float) -> str:
        return invented(content, [found])

    found = fuzz(Target("t", [b"12.5"], parse, (ValueError,), judge), 20, 0)
    assert any(words in trouble for trouble in found)


def test_a_troubled_parser_ends_with_1(monkeypatch, capsys) -> None:
    target = Target("bad", [b"x"], lambda _: [].pop())
    monkeypatch.setattr("tests.fuzz.__main__.all_targets", lambda _: iter([target]))
    assert main(["--inputs", "5"]) == 1
    assert "IndexError" in capsys.readouterr().out


def test_mutations_are_many_and_the_same_for_a_seed() -> None:
    seeds = [b"power 12.5 mW\nline two 7\nthree\n", b"other 9\n"]
    once = [mutated(random.Random(n), seeds) for n in range(300)]
    assert once == [mutated(random.Random(n), seeds) for n in range(300)]
    assert len(set(once)) > 250
    for mutate in MUTATORS:
        assert mutate(random.Random(1), b"", [b""]) is not None
