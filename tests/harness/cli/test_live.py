"""The progress line says what is known, in few letters, and nothing else."""

import io
import re
from types import SimpleNamespace

import pytest
from rich.console import Console

from harness.cli.live import TimeLeft, joules, left_words, power_words
from harness.cli.screen import RunScreen
from harness.records.values import Progress


class Clock:
    now_s = 100.0

    def __call__(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += seconds


@pytest.fixture
def clock():
    return Clock()


def test_watts_now_and_joules_so_far():
    assert power_words(8.44, 120.4) == "8.44 W 120 J"
    assert power_words(None, 120.4) == "120 J"  # the last reading is too old
    assert power_words(None, None) == ""


@pytest.mark.parametrize(
    ("energy_j", "words"), [(0.0, "0 J"), (999.0, "999 J"), (1234.0, "1.23 kJ"), (5e6, "5 MJ")]
)
def test_joules_are_short(energy_j, words):
    assert joules(energy_j) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (12.0, "all 12 s left"), (600.0, "all 10 min left"),
     (9000.0, "all 2.5 h left")],
)  # fmt: skip
def test_time_left_is_that_of_all(seconds, words):
    assert left_words(seconds) == words


def test_what_is_left_follows_from_the_steps_done(clock):
    """Three cells of 10, 30 and 60 steps, two seconds each with all that lies between."""
    left = TimeLeft([10, 30, 60], clock)
    left.cell(1)
    assert left.seconds(0) is None
    clock.sleep(10.0)
    assert left.seconds(5) == pytest.approx(2.0 * 95)
    clock.sleep(10.0)
    left.cell(2)
    clock.sleep(20.0)
    assert left.seconds(10) == pytest.approx(2.0 * 80)


def test_cells_of_an_earlier_session_took_no_time_of_this_one(clock):
    left = TimeLeft([10, 30, 60], clock)
    left.cell(3)
    clock.sleep(30.0)
    assert left.seconds(15) == pytest.approx(2.0 * 45)


def test_the_progress_line_of_a_run_fits_80_columns(monkeypatch):
    """What, where it stands, watts and joules, and the time all takes: none of it is cut off."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, legacy_windows=False)
    cells = [SimpleNamespace(spec=SimpleNamespace(text="mas:splits=2"), seed=n) for n in range(4)]
    monkeypatch.setattr("harness.cli.screen.running_order", lambda config: cells)
    workload = SimpleNamespace(progress_steps=lambda config, spec, seed: 100)
    with RunScreen(console, SimpleNamespace(), workload) as screen:
        screen.cell_started(cells[0], 1, 4)
        screen.round_done(
            Progress("sdnkt", tuple("sdnkt"), 12, 60, {"s": 1.0, "d": 2.3}, 8.44, 12345.0)
        )
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    line = next(line for line in text.splitlines() if "W" in line)
    assert "…" not in line
    assert "1/4 mas:splits=2 seed 0 sdnkt round 12 loss 3.30  8.44 W 12.3 kJ  all" in line
    assert line.rstrip().endswith("left")
