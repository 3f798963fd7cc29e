"""A GPU that fails in the middle of a run stops it, in words, and the same command goes on later.

No GPU is at hand: CUDA's words are raised where it would raise them, also by the clock that waits.
"""

import pytest

from harness.core.errors import EXIT_DEVICE, GpuLostError
from harness.running import session
from harness.workloads.multitask.training import copy
from tests.harness.run_folder.conftest import Runner, manifest, only, rows

WORDS = "CUDA error: unspecified launch failure\nCUDA kernel errors might be reported later"


@pytest.fixture
def card(monkeypatch):
    """Let the GPU fail at the fourth client, and answer nothing from then on."""
    plain, dead, trained = copy.train_client, [], []

    def failing(net, *more):
        trained.append(net.tasks)
        if len(trained) == 4:
            dead.append(True)
            raise RuntimeError(WORDS)
        return plain(net, *more)

    def clock_of(_kind, real=session.settled_clock):
        clock = real("cpu")

        def read():
            if dead:
                raise RuntimeError(WORDS)
            return clock()

        return read

    monkeypatch.setattr(copy, "train_client", failing)
    monkeypatch.setattr(session, "settled_clock", clock_of)
    return dead.clear


def test_the_run_stops_and_the_same_command_trains_the_rest(tmp_path, tmp_path_factory, card):
    runner = Runner(tmp_path_factory.mktemp("cache"))
    with pytest.raises(GpuLostError, match="unspecified launch failure") as caught:
        runner.run(tmp_path / "short", batch_size=2)
    assert caught.value.exit_status == EXIT_DEVICE
    assert "type the same command" in caught.value.remedy
    folder = only(tmp_path / "short")
    assert manifest(folder)["status"] == "failed"
    assert "the GPU failed while it trained" in manifest(folder)["reason"]
    states = [row["status"] for row in rows(folder, "cells")]
    assert states[-1] == "interrupted"
    assert "failed" not in states

    card()
    summary = runner.run(tmp_path / "short", batch_size=2)
    assert only(tmp_path / "short") == folder
    assert {row["status"] for row in summary.rows} == {"done"}
