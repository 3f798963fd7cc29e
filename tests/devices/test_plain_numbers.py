"""What a program writes is read; what only Python takes for a number is not."""

import math

import pytest

from devices.plain_numbers import plain_float, plain_int


@pytest.mark.parametrize("number", [0.0, -0.0, 1.5, 1e-300, 5e-324, -1.7976931348623157e308, 12.0])
def test_whatever_repr_writes_comes_back(number: float) -> None:
    assert repr(plain_float(repr(number))) == repr(number)


@pytest.mark.parametrize("text", ["12", "-7", "+5", "1.", ".5", "1E3", "007"])
def test_usual_ways_of_writing_are_read(text: str) -> None:
    assert plain_float(text) == float(text)


def test_what_is_not_finite_is_read_as_such() -> None:
    assert plain_float("inf") == math.inf
    assert plain_float("-Infinity") == -math.inf
    assert math.isnan(plain_float("NaN"))


@pytest.mark.parametrize(
    "text", ["", "1_000", "１２", " 1", "1\n", "0x10", "1,5", "--1", "1e", "."]
)
def test_what_no_program_writes_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="could not read"):
        plain_float(text)
    with pytest.raises(ValueError, match="could not read"):
        plain_int(text)
