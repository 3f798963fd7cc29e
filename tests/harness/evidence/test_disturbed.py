"""Which flags make seconds and joules doubtful, in words that count the cells."""

import math

import pytest

from harness.evidence.disturbed import disturbed_words, disturbing


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ("foreign-load+stolen-time", ["foreign-load", "stolen-time"]),
        ("resumed+foreign-load", ["foreign-load"]),  # going on is noted, and disturbs nothing
        ("throttled", ["throttled"]),
        ("a-word-of-a-later-version", ["a-word-of-a-later-version"]),
        ("maybe-throttled", []),  # nothing is known to have happened
        ("clock-step+resumed", []),
        ("refused-device+late-device", []),  # of answers, not of conditions
        ("", []),
        (None, []),
        (math.nan, []),
    ],
)
def test_flags_that_disturb(flags, found):
    assert disturbing(flags) == found


def test_cells_are_counted_and_causes_named_by_how_often():
    flags = ["foreign-load+stolen-time", "foreign-load", "resumed", ""]
    rows = [{"flags": f} for f in flags]
    assert disturbed_words(rows) == ("2 of 4 cells were disturbed (foreign-load, stolen-time in 1)")
    assert disturbed_words(rows[1:2]) == "1 of 1 cell was disturbed (foreign-load)"
    assert disturbed_words(rows[2:]) == disturbed_words([]) == ""
