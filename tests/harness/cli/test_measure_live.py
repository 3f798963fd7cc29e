"""One line of a terminal, never in a file, never cutting into what a command prints."""

import io

from harness.cli.measure_live import ERASE, MeasureLine
from harness.measurement.live import LivePower


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


def shown(stream, *, during, runs=3):
    """Let two runs of 10 s begin, with a look every half second of the first."""
    clock = Clock()
    line = MeasureLine(stream, runs, lambda: LivePower(8.4, 120.0), during=during, clock=clock)
    line.begin()
    for _ in range(20):
        clock.now_s += 0.5
        line.waiting()
    line.begin()
    line.clear()
    return stream.getvalue()


def test_while_a_command_runs_silently_the_line_is_kept_up_to_date():
    lines = shown(Terminal(), during=True).split(ERASE)[1:]
    assert lines[0] == lines[1] == "run 1/3  8.4 W 120 J"
    assert lines[-2] == "run 2/3  8.4 W 120 J  all 20 s left"
    assert lines[-1] == ""
    assert len(lines) == 13  # ten looks of twenty, two beginnings, one end


def test_beside_a_command_that_prints_it_stands_still():
    assert shown(Terminal(), during=False).count(ERASE) == 2


def test_one_run_that_prints_has_no_line():
    assert shown(Terminal(), during=False, runs=1) == ""


def test_a_file_gets_nothing():
    assert shown(io.StringIO(), during=True) == ""
