"""What is done of a run is read from its files, however it was broken off."""

import math

from harness.run_folder.left import done_so_far
from harness.running.limits import Limits
from harness.workloads.multitask.config import make_multitask_config
from harness.workloads.multitask.planning.plan import planned_run
from tests.harness.run_folder.conftest import SilentScreen, only


class Stopping(SilentScreen):
    """Press Ctrl-C at the n-th round."""

    def __init__(self, rounds: int) -> None:
        super().__init__()
        self._left = rounds

    def round_done(self, progress):
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt


def test_finished_cells_and_kept_rounds_count(runner, tmp_path) -> None:
    """Alone, each of two tasks has three rounds; the next cell is stopped in its third round."""
    runner.run(tmp_path, screen=Stopping(6 + 2), limits=Limits())
    done = done_so_far(only(tmp_path))
    finished = [cell for cell, units in done.items() if units == math.inf]
    begun = {cell: units for cell, units in done.items() if units != math.inf}
    assert len(finished) == 1
    assert list(begun.values()) == [2.0 + 1.0]  # a merged round, and one of one task
    (tmp_path / "empty").mkdir()
    assert done_so_far(tmp_path / "empty") == {}


def test_a_torn_row_and_garbage_count_as_not_done(tmp_path) -> None:
    (tmp_path / "cells.csv").write_text("run_id,cell,status\nr,a-s0-r0,done\nr,b-s")
    state = tmp_path / "checkpoints" / "b-s0-r0.partial" / "state-000001.json"
    state.parent.mkdir(parents=True)
    state.write_text('{"jobs": [{"unit_count": "x"}]}')
    assert done_so_far(tmp_path) == {"a-s0-r0": math.inf, "b-s0-r0": 0.0}


def test_the_plan_leaves_out_what_is_done() -> None:
    """Of four cells one is done and one is half done: five eighths of all passes are left."""
    config = make_multitask_config({"methods": ("all-in-one",), "seeds": (0, 1, 2, 3)})
    steps = 5 * config.rounds
    done = {"all-in-one-s0-r0": math.inf, "all-in-one-s2-r0": steps / 2}
    whole, left = planned_run(config), planned_run(config, done)
    assert left.forwards == {part: n * 2.5 / 4 for part, n in whole.forwards.items()}
