"""What a report in a bundle failed at is its error, not the remedy below it."""

import pytest

from harness.evidence.bundle import _reason


@pytest.mark.parametrize(
    ("stderr", "reason", "code"),
    [
        ("error: a file cannot be written: No space left on device [disk-full]\n  Free some.\n",
         "a file cannot be written: No space left on device", "disk-full"),
        ("a note\nerror: x.csv: missing [damaged]\n  Restore it.\n", "x.csv: missing", "damaged"),
        ("Traceback\nValueError: odd\n", "ValueError: odd", ""),
        ("", "no reason given", ""),
    ],
)  # fmt: skip
def test_the_reason_is_the_error(stderr, reason, code) -> None:
    assert _reason(stderr) == (reason, code)
