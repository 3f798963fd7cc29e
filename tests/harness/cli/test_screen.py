"""The bar of a run is marked as long as something disturbs the device."""

import io

from rich.console import Console

from harness.cli.screen import RunScreen
from harness.measurement.host_look import Trouble
from harness.records.cells import Cell
from harness.records.values import Progress
from harness.workloads.multitask.config import make_multitask_config
from harness.workloads.multitask.workload import WORKLOAD


def screen(text: io.StringIO) -> RunScreen:
    console = Console(file=text, force_terminal=True, width=100, highlight=False)
    return RunScreen(console, make_multitask_config({}), WORKLOAD)


def test_the_bar_is_marked_while_it_lasts() -> None:
    text = io.StringIO()
    with screen(text) as shown:
        shown.cell_started(Cell(WORKLOAD.parse("all-in-one"), 0, 0), 1, 2)
        shown.round_done(Progress("sdnkt", tuple("sdnkt"), 1, 5, {"s": 1.0}))
        quiet = text.getvalue()
        shown.disturbed(["foreign-load", "resumed"])
        marked = text.getvalue()[len(quiet) :]
        shown.round_done(Progress("sdnkt", tuple("sdnkt"), 2, 10, {"s": 1.0}))
        still = text.getvalue()[len(quiet) + len(marked) :]
        shown.disturbed([])
        after = text.getvalue()[len(quiet) + len(marked) + len(still) :]
    assert "round 1" in quiet
    assert "! foreign-load" not in quiet
    for piece in (marked, still):
        assert "! foreign-load" in piece
        assert "resumed" not in piece
    assert "round 2" in after
    assert "!" not in after


def test_troubles_of_the_host_are_wrapped_under_their_word() -> None:
    text = io.StringIO()
    screen(text).warn([Trouble("Other programs keep 1.9 of 2 cores busy", "Stop them. " * 9)])
    first, *rest = text.getvalue().rstrip().splitlines()
    assert first.startswith("Warning  Other programs")
    assert rest
    assert all(line.startswith(" " * 9) for line in rest)
