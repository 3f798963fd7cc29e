"""Stretches of one name are joined: what overlaps is counted once."""

import random
from itertools import pairwise

import pytest

from harness.measurement.spans import Edge, Span, cpu_s, windows


def span(start: int, end: int, process: int = 0) -> Span:
    """Return a span whose processor seconds are half the time of its process."""
    return Span("x", Edge(float(start), 0.5 * start), Edge(float(end), 0.5 * end), process)


@pytest.mark.parametrize("seed", range(20))
def test_joined_stretches_cover_what_any_span_covers(seed):
    """Compared with counting unit steps one by one."""
    draw = random.Random(seed)
    spans = [span(a, a + draw.randint(0, 9)) for a in (draw.randint(0, 60) for _ in range(12))]
    covered = {i for s in spans for i in range(int(s.start.time_s), int(s.end.time_s))}
    found = windows(spans)
    assert sum(end - start for start, end in found) == len(covered)
    assert all(a[1] < b[0] for a, b in pairwise(found))
    assert cpu_s(spans) == pytest.approx(0.5 * len(covered))


def test_processor_seconds_of_two_processes_add_up():
    assert cpu_s([span(0, 4, 1), span(0, 4, 2)]) == pytest.approx(4.0)
    assert windows([span(0, 4, 1), span(0, 4, 2)]) == [(0.0, 4.0)]


def test_one_unknown_edge_leaves_processor_seconds_unknown():
    assert cpu_s([span(0, 4), Span("x", Edge(5.0), Edge(6.0))]) is None
