"""Power modes are those of the board's own file, whatever other boards of its kind have."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.board_modes import BoardMode, best_mode, parse_modes

NANO = """
# MAXN is the NONE power model to release all constraints
< POWER_MODEL ID=0 NAME=MAXN >
CPU_ONLINE CORE_0 1
CPU_ONLINE CORE_1 1
CPU_ONLINE CORE_2 1
CPU_ONLINE CORE_3 1
CPU_A57 MIN_FREQ  0
CPU_A57 MAX_FREQ -1
GPU MAX_FREQ -1

< POWER_MODEL ID=1 NAME=5W >
CPU_ONLINE CORE_0 1
CPU_ONLINE CORE_1 1
CPU_ONLINE CORE_2 0
CPU_ONLINE CORE_3 0
CPU_A57 MAX_FREQ 918000
GPU MAX_FREQ 640000000
# mandatory section to configure the default power mode
< PM_CONFIG DEFAULT=0 >
"""


def modes(*names):
    return tuple(BoardMode(number, name) for number, name in enumerate(names))


def test_modes_of_a_nano():
    """Name, number, cores and the lowest cap of a processor clock; -1 is no cap."""
    assert parse_modes(NANO) == (BoardMode(0, "MAXN", 4), BoardMode(1, "5W", 2, 918000.0))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ()),
        ("< PARAM TYPE=FILE NAME=CPU_ONLINE >\nCORE_0 /sys/x\n", ()),
        ("# < POWER_MODEL ID=0 NAME=OLD >\n", ()),
        ("<POWER_MODEL NAME=15W ID=3>\n", (BoardMode(3, "15W"),)),
        ('< POWER_MODEL ID=1 NAME="25W" >\n', (BoardMode(1, "25W"),)),
        ("< POWER_MODEL ID=x NAME=15W >\n< POWER_MODEL ID=1 >\n", ()),
    ],
)
def test_other_lines(text, found):
    """Parameters, comments and broken heads are no modes; the order of settings is free."""
    assert parse_modes(text) == found


@pytest.mark.parametrize(
    ("table", "recommended", "current", "number"),
    [
        (modes("15W", "25W", "MAXN_SUPER", "7W"), "MAXN_SUPER", 0, 2),  # Orin Nano 8GB, JetPack 6.2
        (modes("15W", "7W"), "MAXN_SUPER", 0, 0),  # the same board with JetPack 5
        (modes("15W", "7W"), "MAXN_SUPER", 1, 0),
        (modes("10W", "7W_AI", "7W_CPU"), "MAXN_SUPER", 2, 0),  # Orin Nano 4GB
        (modes("10W", "10W_SUPER", "25W"), "MAXN_SUPER", 1, 2),
        (modes("MAXN", "10W", "15W", "25W"), "MAXN_SUPER", 3, 0),  # Orin NX with JetPack 5
        (modes("MAXN", "MODE_15W", "MODE_30W", "MODE_40W"), "MAXN", 2, 0),
        (modes("MODE_15W_2CORE", "MODE_15W_4CORE", "MODE_15W_6CORE"), "MODE_15W_6CORE", 0, 2),
    ],
)
def test_best_mode_is_one_of_the_board(table, recommended, current, number):
    """The recommended mode if the board has it, else its most powerful one."""
    assert best_mode(table, recommended, current).number == number


def test_cores_and_clock_count_before_watts():
    """With more watts for the GPU and fewer cores a mode is not the one to train on cores in."""
    table = (BoardMode(0, "20W_2CORE", 2), BoardMode(1, "15W_6CORE", 6, 1.4e6),
             BoardMode(2, "10W_6CORE", 6, 1.2e6))  # fmt: skip
    assert best_mode(table, "MAXN", 0).number == 1


def test_equal_modes_ask_for_no_change():
    """Among modes that the file does not tell apart the current one stays."""
    assert best_mode(modes("A", "B", "C"), "MAXN", 1).number == 1


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_text_is_survived(text):
    """Whatever the file holds, modes have a number and a name."""
    for mode in parse_modes("< POWER_MODEL ID=0 NAME=x >" + text):
        assert mode.number >= 0
        assert mode.name
