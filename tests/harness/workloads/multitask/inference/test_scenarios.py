"""Windows end by time and number, and latencies are those of an injected clock."""

import gc
import math

import pytest

from harness.workloads.multitask.inference.scenarios import (
    FEWEST_FOR,
    StopRule,
    offline,
    percentile,
    single_stream,
)


class Clock:
    """Stand still but for what a query takes."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    def taking(self, seconds):
        """Return a query that takes as many seconds as the list says, in turn."""

        def query(number: int) -> None:
            self.now_s += seconds[number % len(seconds)]

        return query


def test_single_stream_times_every_query() -> None:
    clock = Clock()
    latencies = single_stream(clock.taking([0.5, 0.25]), StopRule(1.0, 2), clock)
    assert latencies == pytest.approx([0.5, 0.25, 0.5])  # 0.75 s are too short


@pytest.mark.parametrize(("stop", "queries"), [(StopRule(1.0, 1), 4), (StopRule(1.0, 9), 9),
                                               (StopRule(0.0, 1), 1)])  # fmt: skip
def test_a_window_is_long_enough_and_has_queries_enough(stop, queries) -> None:
    for scenario in (lambda *a: len(single_stream(*a)), offline):
        clock = Clock()
        assert scenario(clock.taking([0.25]), stop, clock) == queries


def test_the_collector_is_off_within_a_window_and_on_after_a_failure() -> None:
    clock, seen = Clock(), []

    def query(_: int) -> None:
        seen.append(gc.isenabled())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        single_stream(query, StopRule(1.0), clock)
    assert seen == [False]
    assert gc.isenabled()


@pytest.mark.parametrize("percent", sorted(FEWEST_FOR))
@pytest.mark.parametrize("count", [100, 101, 257])
def test_a_percentile_is_the_least_value_that_enough_do_not_exceed(percent, count) -> None:
    """Compared with the definition, by counting."""
    values = [math.sin(i) for i in range(count)]
    found = percentile(values, percent)
    enough = [v for v in values if 100 * sum(w <= v for w in values) >= percent * count]
    assert found == min(enough)


@pytest.mark.parametrize(("percent", "fewest"), sorted(FEWEST_FOR.items()))
def test_too_few_queries_have_no_percentile(percent, fewest) -> None:
    """Of fewer queries it would only be the largest latency under another name."""
    assert percentile([1.0] * (fewest - 1), percent) is None
    assert percentile([1.0] * fewest, percent) == 1.0
