"""The nearest name is offered, with others that are about as near, and never a far one."""

import time

from devices.names import did_you_mean, nearest


def test_what_is_about_as_near_is_offered_too() -> None:
    """`mas-splits` is as like to `mas-split` as to `mas-splitx`; `tag` is like neither."""
    assert set(nearest("mas-split", ["mas-splits", "mas-splitx", "tag"])) == {
        "mas-splits", "mas-splitx",
    }  # fmt: skip
    assert did_you_mean("rappl", ["rapl", "nvml"]) == "Did you mean 'rapl'? "


def test_nothing_is_offered_for_what_is_like_nothing() -> None:
    assert did_you_mean("zzz", ["rapl", "nvml"]) == ""


def test_a_word_of_a_hundred_thousand_letters_takes_no_time() -> None:
    begin = time.process_time()
    assert nearest("a" * 100_000, ["a" * 100_000, "b"]) == []
    assert time.process_time() - begin < 1.0
