"""What the collector's records say of its own cost."""

import pytest

from devices.collector import Collector
from devices.collector_cost import CollectorCost, CostLog
from devices.records import Record, RecordKind


def log_of(looks, starts=(), took=(0.0002, 0.0001)):
    """Return a log with processor times and readings of one rail per entry of `took`."""
    log = CostLog()
    for time_s, cpu_s in looks:
        log.take(Record(RecordKind.CPU_SECONDS, 0, time_s, time_s, cpu_s))
    for start_s in starts:
        for rail, took_s in enumerate(took):
            log.take(Record(RecordKind.SAMPLE, rail, start_s, start_s + took_s, 1.0))
    return log


def test_share_of_one_core_and_time_of_one_reading():
    """2 ms of processor time in 2 s are a thousandth; a reading is the sum of its rails."""
    looks = [(10.0, 0.1), (11.0, 0.5), (12.0, 0.501), (13.0, 0.502), (14.0, 0.9)]
    log = log_of(looks, [10.5, 11.5, 12.0, 12.5, 13.5])
    cost = log.over(11.2, 12.8)
    assert cost == CollectorCost(2.0, pytest.approx(0.001), pytest.approx(0.0003), 3)
    assert log.cpu_s == 0.9


def test_the_window_may_outrun_the_last_look():
    """The processor time is recorded once a second; a window that ends just now uses the last."""
    cost = log_of([(0.0, 0.0), (1.0, 0.004)], [0.5]).over(0.1, 1.4)
    assert (cost.window_s, cost.cpu_share) == (1.0, 0.004)


def test_failed_readings_cost_time_too():
    """A sensor that answers an error was read all the same."""
    log = log_of([(0.0, 0.0), (1.0, 0.0)])
    log.take(Record(RecordKind.FAILED_READ, 0, 0.5, 0.75, 0.0))
    assert log.over(0.0, 1.0).read_s == 0.25


@pytest.mark.parametrize(
    "log", [CostLog(), log_of([(0.0, 0.1)], [0.5]), log_of([(0.0, 0.1), (1.0, 0.2)])]
)
def test_too_little_is_unknown(log):
    """One look gives no difference, and no reading no time: nothing is made up."""
    assert log.over(0.0, 1.0) is None


def test_one_look_is_not_stretched():
    """A window that lies behind the last look has no cost yet."""
    assert log_of([(0.0, 0.1), (1.0, 0.2)], [2.5]).over(2.0, 3.0) is None


def test_a_real_collector_tells_its_cost(tmp_path, until):
    """The records of a running collector give a share between nothing and all of one core."""
    with Collector("simulated", rate_hz=50.0, record_path=tmp_path / "r.bin") as collector:
        until(lambda: collector.wait_past(0.0) and len(collector.streams().streams[0]) > 55)
        cost = collector.cost.over(0.0, float("inf"))
    assert 0.0 < cost.cpu_share < 1.0
    assert cost.reads > 50
    assert 0.0 <= cost.read_s < 0.1
