"""What a card says of heat, power and its memory, in old words and new; silence is no zero."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.card_state import CardState, card_changes, read_card, reasons_of
from tests.devices.fake_nvml import GONE, NOT_SUPPORTED, FakeGpu, FakeNvmlError, make_nvml

NOT_FOUND = FakeNvmlError("Function Not Found")


def look(**answers):
    gpu = FakeGpu(0, **answers)
    return read_card(make_nvml(gpu), gpu)


def test_everything_a_card_tells():
    state = look(
        CurrentClocksEventReasons=0x24, ViolationStatus={0: 5_000_000, 1: 7}, Temperature=88,
        TotalEccErrors=3, RemappedRows=(1, 2, 1, 0),
    )  # fmt: skip
    assert state.reasons == ("sw-thermal-slowdown", "power-cap")
    assert state.slowed_ns == {"power-cap": 5_000_000, "thermal-slowdown": 7}
    assert (state.temperature_c, state.slows_at_c, state.stops_at_c) == (88.0, 92.0, 95.0)
    assert (state.memory_errors, state.reset_due, state.remap_failed) == (3, True, False)
    assert state.uuid.startswith("GPU-0a2b")


def test_what_is_not_told_is_empty_and_never_zero():
    silent = dict.fromkeys(
        ("CurrentClocksEventReasons", "ViolationStatus", "Temperature", "TemperatureThreshold",
         "TotalEccErrors", "RemappedRows", "UUID", "Name"), NOT_SUPPORTED,
    )  # fmt: skip
    assert look(**silent) == CardState()
    assert look(Temperature=0, TemperatureThreshold={0: 0, 1: 0}).temperature_c is None


@pytest.mark.parametrize("has_new_name", [True, False])
def test_older_words_for_the_same_bits(has_new_name):
    """A new binding on an old driver has the new function, which the driver does not know."""
    gpu = FakeGpu(0, CurrentClocksEventReasons=NOT_FOUND)
    module = make_nvml(gpu)
    module.nvmlDeviceGetCurrentClocksThrottleReasons = lambda gpu: 0x40
    if not has_new_name:
        del module.nvmlDeviceGetCurrentClocksEventReasons
    assert read_card(module, gpu).reasons == ("hw-thermal-slowdown",)


def test_older_cards_retire_pages_instead_of_rows():
    gpu = FakeGpu(0, RemappedRows=NOT_SUPPORTED)
    module = make_nvml(gpu)
    module.nvmlDeviceGetRetiredPagesPendingStatus = lambda gpu: 1
    state = read_card(module, gpu)
    assert (state.reset_due, state.remap_failed) == (True, None)


# NVML API reference, NvmlClocksEventReasons.
@pytest.mark.parametrize(
    ("bits", "reasons"),
    [
        (0x0, ()),
        (0x1, ()),  # idle
        (0x2 | 0x10 | 0x100, ()),  # clocks as they were set
        (0x4, ("power-cap",)),
        (0x8, ("hw-slowdown",)),
        (0x8 | 0x1, ()),  # changing its clock while idle
        (0x8 | 0x40, ("hw-thermal-slowdown",)),
        (0x8 | 0x80, ("power-brake",)),
        (0x20 | 0x4, ("sw-thermal-slowdown", "power-cap")),
    ],
)
def test_bits(bits, reasons):
    assert reasons_of(bits) == reasons


BEFORE = CardState(reasons=(), slowed_ns={"power-cap": 10, "thermal-slowdown": 10}, memory_errors=2)


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ({}, []),
        ({"reasons": ("power-brake",)}, ["power-brake"]),
        ({"slowed_ns": {"power-cap": 2_000_010, "thermal-slowdown": 10}}, ["power-cap"]),
        ({"slowed_ns": {"thermal-slowdown": 2_000_010}}, ["thermal-slowdown"]),
        ({"slowed_ns": {"thermal-slowdown": 999_999}}, []),  # less than a millisecond
        (
            {"slowed_ns": {"thermal-slowdown": 2_000_010}, "reasons": ("hw-thermal-slowdown",)},
            ["hw-thermal-slowdown"],
        ),
        ({"memory_errors": 3}, ["memory-errors"]),
        ({"memory_errors": None}, []),
        ({"reset_due": True}, ["reset-due"]),
        ({"lost": True, "reasons": None, "slowed_ns": {}}, ["lost"]),
    ],
)
def test_changes(after, words):
    assert list(card_changes(BEFORE, replace(BEFORE, **after))) == words


def test_errors_before_the_first_count_are_none_of_the_window():
    assert list(card_changes(CardState(), CardState(memory_errors=4))) == []


def test_a_lost_card_is_known_by_its_words():
    assert look(CurrentClocksEventReasons=GONE).lost
    assert not look(CurrentClocksEventReasons=NOT_SUPPORTED).lost


@given(st.one_of(st.integers(), st.floats(), st.text(), st.none(), st.booleans(), st.tuples()))
def test_no_answer_breaks_a_look(answer):
    names = ("CurrentClocksEventReasons", "Temperature", "TotalEccErrors", "RemappedRows")
    state = look(**dict.fromkeys(names, answer))
    assert state.temperature_c is None or 0.0 < state.temperature_c <= 150.0
