"""Rules for rails and whole numbers from kernel files: what every on-board meter rests on."""

from hypothesis import given
from hypothesis import strategies as st

from devices.meters.board_rails import BoardRails, choose_rule, find_board_rails
from devices.meters.sysfs import parse_integer
from devices.profile import RailRule


def test_rules_in_order_of_preference():
    """The first rule that fits is taken; a rail may stand in it once only."""
    first, second = RailRule("kit", total="VIN"), RailRule("module", sum=("A", "B"))
    both = BoardRails("x", (), (first, second))
    assert choose_rule(both, ["A", "B", "VIN"]).rule == first
    assert choose_rule(both, ["A", "B", "NC", "NC"]).rule == second
    assert choose_rule(both, ["A", "B", "VIN"], "module").rule == second
    assert choose_rule(both, ["A", "A", "B"]).rule is None
    assert "only kit, module" in choose_rule(both, ["VIN"], "wall").note


def test_rules_of_another_meter_are_not_taken(board):
    """A meter without rule of its own gets none, unless it may use another's."""
    root = board("jetson-thor-rails")
    assert find_board_rails(root, ("pmic",)).rules == ()
    scopes = [rule.scope for rule in find_board_rails(root, ("tegrastats", "ina3221")).rules]
    assert scopes == ["kit", "module"]


@given(st.binary(max_size=40))
def test_any_bytes_are_a_whole_number_or_nothing(text):
    """The file parser never raises and never reads more into a text than it says."""
    value = parse_integer(text, 1000)
    if value is not None:
        assert int(text.decode()) == value
        assert abs(value) <= 1000


@given(st.integers(-(10**25), 10**25))
def test_whole_numbers_are_read_within_the_limit(number):
    """Every number within the limit is read, every other one is not."""
    expected = number if abs(number) <= 10**6 else None
    assert parse_integer(f"{number}\n".encode(), 10**6) == expected
