"""Pauses are told from work, from waiting one's turn, and from a host that slept."""

import pytest

from harness.measurement.pauses import PauseWatch


@pytest.mark.parametrize(
    ("steps", "expected_s"),
    [
        ([(0.2, 0.2), (10.0, 0.01), (0.2, 0.1)], 10.0),  # stopped once
        ([(10.0, 0.0), (0.2, 0.2), (5.0, 0.0)], 15.0),  # and twice
        ([(10.0, 9.0)], 0.0),  # a look that came late while the process worked
        ([(0.9, 0.0)] * 20, 0.0),  # an idle process whose thread is a little late
    ],
)
def test_only_stretches_without_any_work_are_pauses(steps, expected_s) -> None:
    """Each step is what the clock and the processor's clock go on by until the next look."""
    now = [100.0, 3.0]
    watch = PauseWatch(lambda: now[0], lambda: now[1])
    for clock_s, cpu_s in steps:
        now[0] += clock_s
        now[1] += cpu_s
        found_s = watch.look()
    assert found_s == pytest.approx(expected_s)
