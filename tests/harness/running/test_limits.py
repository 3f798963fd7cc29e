"""Limits are read as people write them, and stop a run once they are used up."""

import math

import pytest

from harness.core.errors import UsageError
from harness.running.limits import (
    Budget,
    BudgetReachedError,
    Limits,
    Spent,
    parse_energy_j,
    parse_time_s,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("30m", 1800), ("1h30m", 5400), ("1.5 h", 5400), ("2D", 172800)],
)
def test_times_are_read(text: str, seconds: float) -> None:
    assert parse_time_s(text) == seconds


@pytest.mark.parametrize(
    ("text", "joules"),
    [
        ("500", 500),
        ("5kJ", 5000),
        ("5KJ", 5000),
        ("1.5Wh", 5400),
        ("1.5wh", 5400),
        ("2 MJ", 2e6),
        ("500mJ", 0.5),
        ("1mWh", 3.6),
        ("2MWh", 7.2e9),
    ],
)
def test_energies_are_read(text: str, joules: float) -> None:
    assert parse_energy_j(text) == joules


@pytest.mark.parametrize("text", ["", "m", "5x", "-3s", "0", "1..2s", "5 m x", "nan", "1e999"])
def test_what_is_no_amount_is_refused_with_an_example(text: str) -> None:
    for parse, example in ((parse_time_s, "30m"), (parse_energy_j, "5kJ")):
        with pytest.raises(UsageError, match=example):
            parse(text)


@pytest.mark.parametrize("text", ["5mj", "5Mj", "5mwh"])
def test_milli_and_mega_are_not_guessed(text: str) -> None:
    with pytest.raises(UsageError, match="5kJ"):
        parse_energy_j(text)


def test_time_is_counted_from_the_start_of_this_sitting() -> None:
    """A clock that began anywhere: nothing before 60 s, the limit at 60 s."""
    now = [1000.0]
    budget = Budget(Limits(time_s=60.0), lambda: now[0], lambda: Spent(math.inf, measured=True))
    now[0] = 1059.9
    budget.check()
    now[0] = 1060.0
    with pytest.raises(BudgetReachedError, match="60 s of --max-time"):
        budget.check()


@pytest.mark.parametrize("measured", [True, False])
def test_energy_says_where_it_comes_from(measured: bool) -> None:
    spent = [4.9]
    budget = Budget(Limits(energy_j=5.0), lambda: 0.0, lambda: Spent(spent[0], measured))
    budget.check()
    spent[0] = 5.0
    with pytest.raises(BudgetReachedError, match="measured" if measured else "modelled"):
        budget.check()
